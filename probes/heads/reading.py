"""Maps of a recording as rollout, flow and alignment take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.heads.alignment import AlignmentScore, score_alignment
from probes.heads.findings import head_names
from probes.heads.recorded import attention_sites_of


def layer_maps(
    recording: Any, document: int | str, sites: str | Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Return the map of each layer on one document, averaged over its heads.

    Parameters
    ----------
    recording : Recording
    document : int or str
        Index or name.
    sites : str or sequence of str, optional
        Attention sites in the order of the layers; default: all whose queries and keys are of the
        first such site's stream.

    Returns
    -------
    dict of str to ndarray (n, n) float64
        For :func:`probes.heads.rollout.attention_rollout` and
        :func:`probes.heads.flow.attention_flow`: give them ``list(found.values())``.

    Raises
    ------
    InterpError
        If a site's queries and keys are of different streams, or sites are of several streams.
    """
    names, known = attention_sites_of(recording, sites), recording.attention_sites
    within = [name for name in names if not known[name].is_cross]
    if sites is None and within:
        names = [name for name in within if known[name].stream == known[within[0]].stream]
    if {known[name].key_stream or known[name].stream for name in names} != {
        known[names[0]].stream
    } or not set(names) <= set(within):
        raise InterpError(
            f"Rollout and flow go along one stream; {', '.join(names)} attend across streams."
        )
    found: dict[str, np.ndarray] = {}
    for name in names:
        n_heads = known[name].n_heads
        total: Any = 0.0
        for head in range(n_heads):  # one head at a time, so that memory holds two maps
            total = total + recording.attention(name, document, head).astype(np.float64)
        found[name] = total / n_heads
    return found


def align_heads(
    recording: Any,
    sites: str | Sequence[str] | None = None,
    *,
    skip_last: bool = True,
    n_resamples: int = 500,
    seed: int = 0,
) -> dict[str, AlignmentScore]:
    """Return how each head of the cross-attention aligns the target with the source.

    Parameters
    ----------
    recording : Recording
    sites : str or sequence of str, optional
        Names or patterns; default: all with queries and keys of different streams.
    skip_last : bool
        Leave out the last step of every document, which predicts the end of the output.
    n_resamples, seed : int
        Of documents, for intervals.

    Returns
    -------
    dict of str to AlignmentScore
        By head, in model order.

    Raises
    ------
    InterpError
        If no site attends from one stream to another.
    """
    names = attention_sites_of(recording, sites)
    crossing = [name for name in names if recording.attention_sites[name].is_cross]
    if not crossing:
        raise InterpError(
            f"None of {', '.join(names)} attends from one stream to another, as a decoder does to "
            "its source; there is no alignment."
        )
    found: dict[str, AlignmentScore] = {}
    for name in crossing:
        site = recording.attention_sites[name]
        n_documents = recording.streams[site.stream].n_documents
        for head, label in enumerate(head_names(name, site.n_heads)):
            maps = (recording.attention(name, d, head) for d in range(n_documents))
            steps = (weights[:-1] if skip_last else weights for weights in maps)
            found[label] = score_alignment((w for w in steps if w.size), n_resamples, seed)
    return found
