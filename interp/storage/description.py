"""A recording in words: what it prints of itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from interp.storage.attention_site import STATS, AttentionSite
from interp.wording import count, size_text

if TYPE_CHECKING:
    from interp.sites import SiteDescription
    from interp.storage.recording import Recording

_SITES_SHOWN = 24


def describe(recording: Recording) -> str:
    """Return several lines that say what a recording holds."""
    lines = [f"<Recording {recording.path}: {_state(recording)}>"]
    for name, stream in recording.streams.items():
        lines.append(f"  stream      {name}: {repr(stream).partition(': ')[2][:-1]}")
    names = list(recording.sites)
    width = max((len(name) for name in names), default=0)
    for i, name in enumerate(names[:_SITES_SHOWN]):
        label = "sites" if i == 0 else ""
        lines.append(f"  {label:<11} {name:<{width}}  {_site(recording.sites[name])}")
    if len(names) > _SITES_SHOWN:
        lines.append(f"  {'':<11} and {len(names) - _SITES_SHOWN} more")
    for i, (name, found) in enumerate(list(recording.attention_sites.items())[:_SITES_SHOWN]):
        lines.append(f"  {'' if i else 'attention':<11} {name}  {attention_text(found)}")
    if len(recording.attention_sites) > _SITES_SHOWN:
        lines.append(f"  {'':<11} and {len(recording.attention_sites) - _SITES_SHOWN} more")
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


def attention_text(site: AttentionSite) -> str:
    """Return what a recording keeps of an attention site, in words."""
    text = f"{count(site.n_heads or 0, 'head')}  {site.form_text}"
    if site.form != STATS:
        text += f" as {site.dtype}, each weight within {site.max_error:.2g}"
    across = f"  {site.stream} to {site.key_stream}" if site.is_cross else ""
    return f"{text}  keys: {site.keys}{across}"
