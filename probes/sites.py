"""Which sites a question is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interp.errors import InterpError
from interp.sites import match_sites


def sites_of(recording: Any, patterns: str | Sequence[str] | None, stream: str) -> list[str]:
    """Return the sites with a position axis on a stream that match, in model order.

    Parameters
    ----------
    recording : Recording
    patterns : str or sequence of str, optional
        Names or patterns; None: all.
    stream : str
        The stream that the labels belong to.

    Raises
    ------
    InterpError
        If a pattern matches nothing, or only sites that have no such positions.
    """
    usable = [
        name
        for name, site in recording.sites.items()
        if site.per == "position" and site.stream == stream and site.signal != "attention"
    ]
    if patterns is None:
        chosen = usable
    else:
        matched = match_sites(patterns, list(recording.sites))
        chosen = [name for name in matched if name in usable]
    if not chosen:
        asked = "any site" if patterns is None else patterns
        raise InterpError(
            f"{asked} has no units at the positions of stream {stream!r}; there is: "
            f"{', '.join(usable) or 'none'}."
        )
    return chosen
