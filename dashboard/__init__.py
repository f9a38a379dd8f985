"""The dashboard: recordings of neural networks on screen.

`create_app(source)` returns a Dash application over one source or several; `serve(paths)` opens
recordings and serves them on this machine. Importing the package imports neither Dash nor h5py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard.scripts import SCRIPTS, STYLES

if TYPE_CHECKING:
    from dashboard.app import create_app
    from dashboard.serving import serve

__version__ = "0.1.0"
__interp_package__ = True  # tells our package from a folder of the same name
__interp_package__ = True  # interp.showing.import_ours looks for it
__all__ = ["create_app", "serve"]

# Dash looks for these two lists on the top-level package of a component, and nowhere else.
_js_dist = [
    {"relative_package_path": f"components/{name}", "namespace": "dashboard"} for name in SCRIPTS
]
_css_dist = [
    {"relative_package_path": f"components/{name}", "namespace": "dashboard"} for name in STYLES
]

_LAZY = {"create_app": "dashboard.app", "serve": "dashboard.serving"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
