"""`interp demo`: from nothing to a coloured page."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    port: Annotated[int | None, typer.Option(help="Default: a free one.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
) -> None:
    """Record a bundled LSTM reading Python source, and show it in the browser.

    The page opens at the unit that is on inside quotation marks.
    """
    import sys

    from interp.demo import CONCEPT, prepare_demo, string_unit
    from interp.showing import import_ours

    path = prepare_demo(lambda line: print(line, file=sys.stderr))
    import_ours("dashboard").serve(
        [path], port=port, open_browser=browser, unit=string_unit(), track=CONCEPT
    )
