"""`interp demo`: from nothing to a coloured page."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: a free one.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
    llm: Annotated[
        bool, typer.Option("--llm", help="The heads of SmolLM2-135M; needs its package.")
    ] = False,
) -> None:
    """Record bundled models reading Python source, and show them in the browser.

    The page opens at the unit of an LSTM that is on inside quotation marks; the picker has a
    Transformer with its attention as well.
    """
    import sys

    from interp.demo import CONCEPT, LLM_HEAD, prepare_demo, prepare_llm_demo, string_unit
    from interp.showing import import_ours

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    paths = [prepare_llm_demo(say)] if llm else prepare_demo(say)
    unit, track = (LLM_HEAD, None) if llm else (string_unit(), CONCEPT)
    import_ours("dashboard").serve(paths, port=port, open_browser=browser, unit=unit, track=track)
