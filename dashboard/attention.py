"""What the attention views send: thumbnails, maps, the steps of a score.

Pure functions from arrays to arrays and bytes. Weights lie in [0, 1]; where one byte must do, it
holds the square root, so that a weight of 1/1000 is still told from none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


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


def patch_names(rectangles: np.ndarray) -> list[str]:
    """Return a name of each position of an image: ``"row,column"``, or ``"[class]"``.

    `rectangles` is (n, 4) left, top, right, bottom; what has no place in the image is empty.
    """
    has_place = rectangles[:, 2] > rectangles[:, 0]
    tops, lefts = (np.unique(rectangles[has_place, axis]) for axis in (1, 0))
    row = np.searchsorted(tops, rectangles[:, 1]) + 1
    column = np.searchsorted(lefts, rectangles[:, 0]) + 1
    return [
        f"{row[i]},{column[i]}" if has_place[i] else "[class]" if i == 0 else f"token {i}"
        for i in range(len(rectangles))
    ]


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


def fullest_start(mass: np.ndarray, n: int) -> int:
    """Return where the run of `n` keys begins that a head looks at most.

    Parameters
    ----------
    mass : array (n_keys,)
        Weight on each key, summed over queries; NaN counts as none.
    n : int
        Positions of the run, at least 1.

    Returns
    -------
    int
        0 where the first `n` keys hold at least nine tenths of what any run holds, so that a head
        that looks everywhere is shown from its beginning. Else the middle one of the runs that
        hold as much as the best, within a thousandth, so that what is looked at has keys around it.
    """
    if len(mass) <= n:
        return 0
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(mass.astype(np.float64)))])
    held = total[n:] - total[:-n]
    best = held.max()
    if held[0] >= 0.9 * best:
        return 0
    alike = np.flatnonzero(held >= 0.999 * best)
    return int(alike[len(alike) // 2])


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
