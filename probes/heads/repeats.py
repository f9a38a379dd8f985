"""Random tokens in which one block comes twice: what tells an induction head from its look-alikes.

A block that is tiled over the whole window can be continued by attending a fixed distance back, or
to the token not seen for longest. Here one block of a random length comes a second time after a
random gap, in noise: only what finds the earlier occurrence of the current token can continue it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interp.errors import InterpError

#: Tokens that stand for no text, such as ``<pad>`` and ``[SEP]``.
SPECIAL = re.compile(r"[<\[].{2,}[>\]]")


@dataclass(frozen=True, eq=False)
class RepeatedDocuments:
    """Documents of random tokens with one repeated block each.

    Attributes
    ----------
    ids : ndarray (n_documents, length) int64
    control_ids : ndarray (n_documents, length) int64
        The same, with fresh random tokens in place of the second block.
    scored : ndarray (n_documents, length) bool
        The rows of the second block from which its next token follows: all but its last.
    distance : ndarray (n_documents,) int64
        How far the second block is behind the first.
    """

    ids: np.ndarray
    control_ids: np.ndarray
    scored: np.ndarray
    distance: np.ndarray


def repeated_documents(
    tokens: Sequence[int] | np.ndarray, n_documents: int, length: int, seed: int = 0
) -> RepeatedDocuments:
    """Draw documents: noise, a block, a gap of noise, the block again, noise.

    Parameters
    ----------
    tokens : sequence of int
        The token ids to draw from, uniformly, with replacement.
    n_documents : int
    length : int
        Tokens of a document, 16 at least. A block has a sixth to a third of them.
    seed : int

    Raises
    ------
    InterpError
        If the documents are too short, or there are too few tokens to tell positions apart.
    """
    choices = np.unique(np.asarray(tokens, np.int64))
    if length < 16:
        raise InterpError(f"A repeated block needs 16 positions at least; got {length}.")
    if len(choices) < 8:
        raise InterpError(
            f"Random tokens need 8 different ones at least; got {len(choices)}. With fewer, "
            "chance repetitions are everywhere."
        )
    rng = np.random.default_rng(seed)
    ids = rng.choice(choices, (n_documents, length))
    control = ids.copy()
    scored = np.zeros(ids.shape, bool)
    distance = np.zeros(n_documents, np.int64)
    for row in range(n_documents):
        block = int(rng.integers(length // 6, length // 3 + 1))
        gap = int(rng.integers(1, length - 2 * block))
        first = int(rng.integers(0, length - 2 * block - gap + 1))
        second = first + block + gap
        ids[row, second : second + block] = ids[row, first : first + block]
        scored[row, second : second + block - 1] = True
        distance[row] = second - first
    return RepeatedDocuments(ids, control, scored, distance)


def plain_tokens(vocabulary: Sequence[str]) -> np.ndarray:
    """Return the ids (n,) of the tokens that stand for text.

    Left out: empty strings, the unknown character, and names in angle or square brackets such as
    ``<pad>`` and ``[SEP]``.
    """
    kept = [
        index
        for index, token in enumerate(vocabulary)
        if token and "\ufffd" not in token and not SPECIAL.fullmatch(token.strip())
    ]
    return np.array(kept, np.int64)
