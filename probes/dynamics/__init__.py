"""What a recurrent net does over time: gates, timescales, gradients, Jacobians, fixed points.

``docs/dynamics.md`` has the definitions and the papers. What needs only a recording
(`measure_saturation`, `measure_timescales`) runs without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

#: Public name to the module that has it; nothing heavy is imported before it is used.
_PLACES = {
    "measure_saturation": "saturation",
    "Saturation": "saturation",
    "measure_timescales": "timescales",
    "Timescales": "timescales",
    "autocorrelation": "lagged",
    "recurrent_layers": "layers",
    "Layer": "layers",
    "Stack": "stack",
    "weight_spectra": "spectra",
    "WeightSpectrum": "spectra",
    "step_spectra": "jacobians",
    "StepSpectra": "jacobians",
    "lyapunov_exponents": "lyapunov",
    "gradient_by_lag": "gradients",
    "GradientByLag": "gradients",
    "compare_truncation": "truncation",
    "Truncation": "truncation",
    "find_fixed_points": "fixed_points",
    "FixedPoints": "fixed_points",
}
__all__ = sorted(_PLACES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'probes.dynamics' has no attribute {name!r}")
    return getattr(import_module(f"probes.dynamics.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
