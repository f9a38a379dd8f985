"""Which stream a site belongs to: told from the lengths of its axes, not from its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from interp.errors import CaptureError
from interp.sites import ATTENTION, KEY, VALUE, SiteDescription

#: Signals whose axis of steps is that of the keys.
_OF_KEYS = (KEY, VALUE)


def with_streams(
    found: Mapping[str, SiteDescription],
    shapes: Mapping[str, tuple[int, ...]],
    n_fed: Mapping[str, int],
    dtype: str,
) -> dict[str, SiteDescription]:
    """Return site descriptions as a recording holds them: stream, key stream and storage type.

    Parameters
    ----------
    found : mapping of str to SiteDescription
        The sites that fired in a forward.
    shapes : mapping of str to tuple of int
        The shape of their values in it.
    n_fed : mapping of str to int
        Positions that were fed, padding included, by stream, the leading one first. No two are
        equal, which is the caller's care: so a length tells the stream.
    dtype : str
        Storage type.

    Raises
    ------
    CaptureError
        If, with several streams, an axis of steps is as long as none of them.
    """
    return {
        name: replace(site, dtype=dtype, **_streams(site, shapes.get(name, ()), n_fed))
        for name, site in found.items()
    }


def _streams(
    site: SiteDescription, shape: tuple[int, ...], n_fed: Mapping[str, int]
) -> dict[str, Any]:
    lead = next(iter(n_fed))
    if len(n_fed) == 1 or len(shape) < 3:
        return {"stream": lead, "key_stream": lead if site.signal == ATTENTION else None}
    if site.signal == ATTENTION:
        return {
            "stream": _stream_of_length(site.name, shape, shape[-2], n_fed),
            "key_stream": _stream_of_length(site.name, shape, shape[-1], n_fed),
        }
    steps = shape[1] if site.n_heads is None else shape[2]
    return {"stream": _stream_of_length(site.name, shape, steps, n_fed)}


def _stream_of_length(
    site: str, shape: tuple[int, ...], length: int, n_fed: Mapping[str, int]
) -> str:
    for stream, fed in n_fed.items():
        if length == fed:
            return stream
    fed_text = " and ".join(f"{fed} {stream}" for stream, fed in n_fed.items())
    raise CaptureError(
        f"Site {site} has shape {shape} for {fed_text} positions, and {length} is none of these; "
        "a recording holds one row of units per position. Choose others with --sites; "
        "`interp sites` lists the shapes."
    )
