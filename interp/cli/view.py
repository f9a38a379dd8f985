"""`interp view`: recordings on screen, in the local dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def view(
    runs: Annotated[list[Path], typer.Argument(help="Recordings.", show_default=False)],
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port; a free one is found when left out."),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address.")
    ] = False,
) -> None:
    """Look at recordings in the browser: text, cells and gates. Only this machine can connect."""
    from interp.showing import import_ours

    import_ours("dashboard").serve(list(runs), port=port, open_browser=not no_browser)
