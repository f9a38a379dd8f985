"""A recording in words: what it prints of itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from interp.wording import size_text

if TYPE_CHECKING:
    from interp.sites import SiteDescription
    from interp.storage.recording import Recording

_SITES_SHOWN = 24


def describe(recording: Recording) -> str:
    """Return several lines that say what a recording holds."""
    lines = [f"<Recording {recording.path}: {_state(recording)}>"]
    for name, stream in recording.streams.items():
        lines.append(f"  stream      {name}: {repr(stream).partition(': ')[2][:-1]}")
    names = [*recording.sites]
    width = max((len(name) for name in names), default=0)
    for i, name in enumerate(names[:_SITES_SHOWN]):
        label = "sites" if i == 0 else ""
        lines.append(f"  {label:<11} {name:<{width}}  {_site(recording.sites[name])}")
    if len(names) > _SITES_SHOWN:
        lines.append(f"  {'':<11} and {len(names) - _SITES_SHOWN} more")
    if recording.predictions is not None:
        predictions = recording.predictions
        lines.append(f"  predictions top {predictions.top_k} of the {predictions.target} position")
    if recording.is_complete and len(recording.annotations):
        shown = [f"{name} ({recording.annotations[name].kind})" for name in recording.annotations]
        lines.append(f"  annotations {', '.join(shown)}")
    return "\n".join(lines)


def _state(recording: Recording) -> str:
    size = size_text(os.stat(recording.path).st_size)
    if recording.is_complete:
        return f"complete, {size}"
    done, total = recording.done_segments, recording.n_segments
    return f"INCOMPLETE, {done:,} of {total:,} segments ({done / total:.0%}), {size}"


def _site(site: SiteDescription) -> str:
    heads = "" if site.n_heads is None else f"  {site.n_heads} heads"
    rows = "" if site.per == "position" else "  one row per document"
    return f"{site.n_units:,} units  {site.dtype}{heads}{rows}"
