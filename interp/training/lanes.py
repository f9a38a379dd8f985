"""Batches for truncated back-propagation: documents flow through parallel lanes.

Each lane reads one document after another in windows of a fixed length. A window belongs to one
document; what is left of it at the document's end is masked. The state of a lane is carried from
window to window and set to zero where a document starts, which is exactly how documents are
recorded later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

IGNORED = -100


def lanes(
    documents: list[np.ndarray], n_lanes: int, window: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield batches without end, the documents in a new random order each epoch.

    Parameters
    ----------
    documents : list of ndarray (n_characters,)
        Token ids.
    n_lanes, window : int
        Rows and steps of a batch.
    rng : numpy Generator

    Yields
    ------
    inputs : Tensor (n_lanes, window) int64
    targets : Tensor (n_lanes, window) int64
        The next character, `IGNORED` behind the document's end.
    fresh : Tensor (n_lanes,) bool
        Whether the lane starts a document.
    """
    queue = _endless(documents, rng)
    current = [next(queue) for _ in range(n_lanes)]
    # Lanes start inside their first document, else all lanes see document starts at once.
    offset = [int(rng.integers(0, max(1, len(d) - 1))) // window * window for d in current]
    fresh = np.ones(n_lanes, bool)
    while True:
        inputs = np.zeros((n_lanes, window), np.int64)
        targets = np.full((n_lanes, window), IGNORED, np.int64)
        started = fresh.copy()
        for lane, document in enumerate(current):
            piece = document[offset[lane] : offset[lane] + window + 1]
            n = len(piece) - 1
            inputs[lane, :n] = piece[:-1]
            targets[lane, :n] = piece[1:]
            offset[lane] += window
            fresh[lane] = offset[lane] >= len(document) - 1
            if fresh[lane]:
                current[lane], offset[lane] = next(queue), 0
        yield torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(started)


def repeat_pieces(
    batches: Iterator[tuple[Tensor, Tensor, Tensor]],
    share: float,
    rng: np.random.Generator,
    random_share: float = 0.0,
    random_ids: np.ndarray | None = None,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield `batches` with a piece of text repeated right behind itself in some of the rows.

    Source code repeats its own names and phrases; a window that holds a piece twice makes more
    of that, and asks for the heads that look back at what followed an earlier occurrence.

    Parameters
    ----------
    batches : iterator
        What :func:`lanes` yields.
    share : float
        Of the rows, 0 to 1.
    rng : numpy Generator
        Draws the rows, where a piece starts and its length, from an eighth of the window to a
        half.
    random_share : float
        Of the pieces, the share that is replaced by random tokens before it is repeated: there
        nothing but the repetition itself tells how they go on.
    random_ids : ndarray, optional
        What random tokens are drawn from.
    """
    for inputs, targets, fresh in batches:
        window = inputs.shape[1]
        for row in np.flatnonzero(rng.random(len(inputs)) < share):
            length = int(rng.integers(window // 8, window // 2 + 1))
            start = int(rng.integers(0, window + 1 - 2 * length))
            full = torch.cat([inputs[row], targets[row, -1:]])
            if (targets[row] == IGNORED).any():
                continue  # the document ends inside this window
            if random_ids is not None and rng.random() < random_share:
                drawn = rng.choice(random_ids, length)
                full[start : start + length] = torch.from_numpy(drawn)
            # Behind the second copy the text goes on as it did behind the first.
            full[start + length :] = full[start : window + 1 - length].clone()
            inputs[row], targets[row] = full[:-1], full[1:]
        yield inputs, targets, fresh


def _endless(documents: list[np.ndarray], rng: np.random.Generator) -> Iterator[np.ndarray]:
    usable = [document for document in documents if len(document) > 1]
    while True:
        for index in rng.permutation(len(usable)):
            yield usable[index]


def reset_lanes(state: Any, fresh: Tensor) -> Any:
    """Return `state` with zeros in the lanes that start a document, detached from its past."""
    if state is None:
        return None
    if isinstance(state, tuple):
        return tuple(reset_lanes(part, fresh) for part in state)
    return state.detach().masked_fill(fresh[None, :, None], 0.0)
