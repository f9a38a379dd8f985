"""See what the inside of a trained sequence model does.

The public names are imported when they are first used, so that ``import interp`` stays instant:
torch is loaded only where a model runs, h5py only where a recording is opened.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "InterpError": "interp.errors",
    "Recorder": "interp.capture",
    "name_value": "interp.capture",
    "open": "interp.storage",
    "record": "interp.extraction",
    "show": "interp.showing",
}

__all__ = ["InterpError", "Recorder", "__version__", "name_value", "open", "record", "show"]

if TYPE_CHECKING:
    from interp.capture import Recorder, name_value
    from interp.errors import InterpError
    from interp.extraction import record
    from interp.showing import show
    from interp.storage import open


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'interp' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
