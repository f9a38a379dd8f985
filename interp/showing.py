"""The way up to the dashboard, for notebooks, scripts and the command line.

`dashboard` and `probes` are common names for folders. A folder of the user's with such a name
shadows ours, and the import would then fail with a puzzle; the helper here says which file stands
in the way.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from interp.errors import InterpError


def import_ours(package: str) -> ModuleType:
    """Return our top-level package `package`, or say which file shadows it.

    Raises
    ------
    InterpError
        If another package of that name comes first on the import path, or ours is missing.
    """
    try:
        found = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise InterpError(
            f"Importing {package} failed: {error}. Install interp with its dependencies: "
            "pip install -e . -c constraints.txt"
        ) from error
    if getattr(found, "__interp_package__", False):
        return found
    place = getattr(found, "__file__", None) or next(iter(getattr(found, "__path__", [])), "?")
    raise InterpError(
        f"interp needs its own package {package!r}, but Python finds another one first: "
        f"{Path(place)}. Rename that file or folder, or run from another folder."
    )


def show(*recordings: Any, port: int | None = None, open_browser: bool = True) -> None:
    """Open recordings in the local dashboard and wait until Ctrl-C.

    Parameters
    ----------
    *recordings : path
        Recording files.
    port : int, optional
        A free one is found when not given.
    open_browser : bool
        Whether to open the page.
    """
    import_ours("dashboard").serve(list(recordings), port=port, open_browser=open_browser)
