"""What the attention views send: thumbnails, maps, and what a head does in the window in sight.

Pure functions from arrays to arrays and bytes. Weights lie in [0, 1]; where one byte must do, it
holds the square root, so that a weight of 1/1000 is still told from none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

METRICS = ("entropy", "first", "previous", "same", "distance", "largest")
"""What the grid can be sorted and coloured by: of every head, in the window in sight."""


def roots(weights: np.ndarray) -> np.ndarray:
    """Return uint8 codes round(255 √w): 0.4 % of the largest weight is the smallest step."""
    return np.rint(255 * np.sqrt(np.clip(np.nan_to_num(weights), 0, 1))).astype(np.uint8)


def shrink(weights: np.ndarray, size: int) -> np.ndarray:
    """Return a (n_queries, n_keys) map with each axis at most `size`: the largest of each cell.

    A mean would wash out the thin diagonals and columns by which heads are told apart.
    """
    for axis in (0, 1):
        factor = -(-weights.shape[axis] // size)
        if factor > 1:
            rows = weights if axis == 0 else weights.T
            # The whole cells at once, stride by stride; what is left over at the end by itself.
            whole = len(rows) // factor * factor
            cells = rows[0:whole:factor].copy()
            for shift in range(1, factor):
                np.maximum(cells, rows[shift:whole:factor], out=cells)
            if whole < len(rows):
                cells = np.concatenate([cells, rows[whole:].max(0, keepdims=True)])
            weights = cells if axis == 0 else cells.T
    return weights


def head_metrics(
    weights: np.ndarray, keys_first: int, queries_first: int, is_cross: bool = False
) -> dict[str, float]:
    """Return what one head does in a window, as means over its rows.

    Parameters
    ----------
    weights : array (n_queries, n_keys)
        In [0, 1]. A row whose weights do not reach 1 attends outside the window as well.
    keys_first, queries_first : int
        Position in the document of the first key and the first query.
    is_cross : bool
        Whether queries and keys stand on different streams: then no key is the position before.

    Returns
    -------
    dict
        ``entropy``: of the row, divided by the logarithm of the number of keys with any weight
        (0 to 1, 0 where there is one key); ``first``: weight on the window's first key;
        ``previous`` and ``same``: on the position before, and itself; ``distance``: mean
        number of positions between query and key; ``largest``: the largest weight. NaN where
        no row has any weight, or a measure means nothing.
    """
    total = weights.sum(1, dtype=np.float64)
    kept = total > 1e-6
    if not kept.any():
        return dict.fromkeys(METRICS, float("nan"))
    rows, total = weights[kept], total[kept]
    visible = np.maximum((rows > 0).sum(1), 1)
    # Of the row divided by its sum s: ln s - (Σ w ln w) / s.
    plogp = (rows * np.log(np.maximum(rows, np.float32(1e-30)))).sum(1, dtype=np.float64)
    nats = np.log(total) - plogp / total
    entropy = np.divide(nats, np.log(visible), out=np.zeros(len(rows)), where=visible > 1)
    queries = queries_first + np.flatnonzero(kept)
    keys = keys_first + np.arange(weights.shape[1])
    apart = np.abs(queries[:, None] - keys[None, :]).astype(np.float32)
    found = {
        "entropy": float(entropy.mean()),
        "first": float(rows[:, 0].mean(dtype=np.float64)),
        "previous": _on_offset(rows, queries - 1 - keys_first),
        "same": _on_offset(rows, queries - keys_first),
        "distance": float((np.einsum("qk,qk->q", rows, apart) / total).mean()),
        "largest": float(rows.max(1).mean(dtype=np.float64)),
    }
    return (
        found | dict.fromkeys(("previous", "same", "distance"), float("nan")) if is_cross else found
    )


def _on_offset(rows: np.ndarray, columns: np.ndarray) -> float:
    """Return the mean weight on one column per row, over the rows whose column is in sight."""
    inside = np.flatnonzero((columns >= 0) & (columns < rows.shape[1]))
    return float(rows[inside, columns[inside]].mean()) if len(inside) else float("nan")


def pack(header: Mapping[str, Any], arrays: Iterable[np.ndarray]) -> bytes:
    """Return one body: length of the JSON header as uint32, the header, the arrays' bytes.

    The header is padded with spaces so that what follows begins at a multiple of 4.
    """
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    pieces = [np.uint32(len(text)).tobytes(), text]
    pieces += [np.ascontiguousarray(array).tobytes() for array in arrays]
    return b"".join(pieces)


def halves(weights: np.ndarray) -> np.ndarray:
    """Return float16: the recorded weights themselves where these were stored so."""
    return weights.astype("<f2")


def score_steps(
    query: np.ndarray, keys: np.ndarray, weights: np.ndarray, scale: float | None = None
) -> dict[str, list[float] | float]:
    """Return the textbook's steps from one query and all its keys to its row of weights.

    Parameters
    ----------
    query : array (head_dim,)
    keys : array (n_keys, head_dim)
        As the scores are computed from them, after rotary embedding.
    weights : array (n_keys,)
        The recorded row; keys that were masked have weight 0.
    scale : float, optional
        What dot products are multiplied with; default 1/√head_dim (Vaswani et al. 2017).

    Returns
    -------
    dict
        ``dot`` (n_keys,), ``scale``, ``score`` = dot · scale, ``softmax`` over the keys that
        have weight, ``weight`` as recorded, ``error``: the largest difference between the two
        (models that add a bias to scores, or cap them, differ here).
    """
    scale = 1 / float(np.sqrt(len(query))) if scale is None else scale
    dot = keys.astype(np.float64) @ query.astype(np.float64)
    score = dot * scale
    seen = weights > 0
    exponent = np.where(seen, np.exp(score - score[seen].max()), 0.0) if seen.any() else 0 * score
    softmax = exponent / max(float(exponent.sum()), 1e-300) * float(weights.sum())
    return {
        "dot": dot.tolist(),
        "scale": scale,
        "score": score.tolist(),
        "softmax": softmax.tolist(),
        "weight": weights.astype(float).tolist(),
        "error": float(np.abs(softmax - weights).max()) if len(weights) else 0.0,
    }
