"""Which stream a site belongs to: told from the lengths of its axes, not from its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from interp.errors import CaptureError
from interp.sites import ATTENTION, SiteDescription
from interp.wording import count


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


def misfit(
    site: SiteDescription, shape: tuple[int, ...], n_rows: int, n_fed: Mapping[str, int]
) -> str | None:
    """Return why values of this shape are no rows of a recording, None where they are.

    Parameters
    ----------
    site : SiteDescription
        Attention sites and their queries, keys and values are stored in another way.
    shape : tuple of int
        Of the values of one forward.
    n_rows : int
        Documents in it.
    n_fed : mapping of str to int
        Positions that were fed, padding included, by stream.
    """
    if site.n_heads is not None:
        return None
    fits = len(shape) == 3 and shape[1] in n_fed.values() or len(shape) == 2
    if fits and shape[0] == n_rows:
        return None
    return shape_message(site.name, shape, n_rows, n_fed)


def shape_message(site: str, shape: tuple[int, ...], n_rows: int, n_fed: Mapping[str, int]) -> str:
    """Return the message for values that are no rows of a recording."""
    fed = " and ".join(f"{count(n, 'position')} ({stream})" for stream, n in n_fed.items())
    return (
        f"Site {site} has shape {shape} for {count(n_rows, 'row')} of {fed}; a recording "
        "holds one row of units per position or per document. Choose others with --sites; "
        "`interp sites` lists the shapes."
    )


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
    raise CaptureError(shape_message(site, shape, shape[0], n_fed))
