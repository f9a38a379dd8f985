"""Attention flow: how much can pass from an input to an output through all layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.heads.rollout import residual_map

#: Capacities are whole numbers for the solver: 1 is this many.
UNITS = 1 << 24
#: Largest work in pairs × edges: some 40 s, such as 64 positions through 12 layers 4 times over.
MOST_WORK = 1_000_000_000


def attention_flow(
    layers: Sequence[np.ndarray] | np.ndarray,
    outputs: Sequence[int] | None = None,
    residual: float = 0.5,
    most_work: int = MOST_WORK,
) -> np.ndarray:
    """Return the maximum flow from inputs to outputs (Abnar & Zuidema 2020, arXiv 2005.00928).

    Nodes are the positions before and behind every layer, and the capacity of an edge is the
    weight of the layer's map with the residual connection (see :func:`attention_rollout`).
    Solved by SciPy's Dinic algorithm in whole numbers: right to 1e-5.

    Parameters
    ----------
    layers : sequence of ndarray (n_heads, n, n) or (n, n)
        Maps of one document, first layer first.
    outputs : sequence of int, optional
        The positions behind the last layer to ask about; default: all.
    residual : float
        The share of the residual connection, in [0, 1].
    most_work : int
        Refuse when (input, output) pairs × edges exceed it.

    Returns
    -------
    ndarray (n_outputs, n) float64
        From each input position, in [0, 1]. Unlike a rollout's, rows do not sum to 1.

    Raises
    ------
    InterpError
        If the document is too long for it; rollout has no such limit.
    """
    from scipy.sparse.csgraph import maximum_flow

    maps = [residual_map(weights, residual) for weights in layers]
    if not maps or len({step.shape for step in maps}) != 1:
        raise InterpError("Flow needs maps of one size, of a layer at least.")
    n = len(maps[0])
    wanted = list(range(n)) if outputs is None else [int(i) for i in outputs]
    if any(not 0 <= i < n for i in wanted):
        raise InterpError(f"Outputs are positions from 0 to {n - 1}; got {wanted}.")
    graph = _graph(maps)
    reached = np.linalg.multi_dot([np.eye(n), *[(m > 0).astype(float) for m in maps[::-1]]]) > 0
    work = int(reached[wanted].sum()) * graph.nnz
    if work > most_work:
        raise InterpError(
            f"Flow over {n} positions, {len(maps)} layers and {len(wanted)} outputs is "
            f"{work:,} pairs × edges; the limit is {most_work:,}. Ask about fewer outputs or a "
            "shorter document, raise most_work, or take the rollout."
        )
    found = np.zeros((len(wanted), n))
    for row, output in enumerate(wanted):
        for source in np.flatnonzero(reached[output]).tolist():
            sink = len(maps) * n + output
            found[row, source] = maximum_flow(graph, source, sink).flow_value / UNITS
    return np.minimum(found, 1.0)


def _graph(maps: list[np.ndarray]) -> Any:
    """Return capacities (nodes × nodes): node l n + i is position i before layer l."""
    from scipy.sparse import coo_array

    n = len(maps[0])
    starts, ends, capacities = [], [], []
    for layer, step in enumerate(maps):
        query, key = np.nonzero(step)
        starts.append(layer * n + key)
        ends.append((layer + 1) * n + query)
        capacities.append(np.rint(step[query, key] * UNITS).astype(np.int32))
    size = (len(maps) + 1) * n
    data = (np.concatenate(capacities), (np.concatenate(starts), np.concatenate(ends)))
    return coo_array(data, shape=(size, size)).tocsr()
