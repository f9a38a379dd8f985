"""Changing what happens inside a model while it runs: units held at a value, heads put out."""

from interp.intervention.clamping import Clamped
from interp.intervention.clamps import Clamp

__all__ = ["Clamp", "Clamped"]
