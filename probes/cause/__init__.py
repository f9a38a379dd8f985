"""What a unit does: the model runs with it clamped, and its loss is compared."""

from __future__ import annotations

from probes.cause.ablation import ablate
from probes.cause.findings import Ablation, Effect
from probes.cause.steering import Steering, steer

__all__ = ["Ablation", "Effect", "Steering", "ablate", "steer"]
