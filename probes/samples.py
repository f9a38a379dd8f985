"""What a probe is fitted to and scored on: activations, labels and documents of chosen rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.documents import Rows


@dataclass(frozen=True, eq=False)
class Samples:
    """Positions, or words made of several positions, whose activations are averaged.

    Attributes
    ----------
    rows : Rows
        The position of each sample; of a word, its last one.
    parts : ndarray (n_parts,) int64
        The positions that are read.
    offsets : ndarray (n_samples,) int64
        Where each sample begins among them.
    """

    rows: Rows
    parts: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, rows: Rows, n_most: int, word: np.ndarray | None = None) -> Samples:
        """Return at most `n_most` samples, evenly spaced.

        Parameters
        ----------
        rows : Rows
            All positions with a label.
        n_most : int
        word : ndarray (n_positions,), optional
            Number of the word at each position of the stream; samples are then words.
        """
        if word is None:
            kept = rows.part(rows.thinned(n_most))
            return cls(kept, kept.index, np.arange(len(kept)))
        number = word[rows.index]
        edges = np.flatnonzero(np.concatenate([[True], number[1:] != number[:-1]]))
        last = np.concatenate([edges[1:], [len(number)]]) - 1
        step = max(1, -(-len(edges) // n_most))
        first, last = edges[::step], last[::step]
        lengths = last - first + 1
        offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        inside = np.arange(lengths.sum()) - np.repeat(offsets, lengths)
        return cls(rows.part(last), rows.index[np.repeat(first, lengths) + inside], offsets)

    def read(self, recording: Any, sites: Sequence[str]) -> np.ndarray:
        """Return the activations (n_samples, n_units) float32 of all sites side by side."""
        blocks = []
        for site in sites:
            values = np.asarray(recording[site][self.parts], np.float32)
            finite = np.isfinite(values).all(axis=0)
            if not finite.all():
                raise InterpError(
                    f"{site}:{int((~finite).argmax())} holds NaN or infinities, which a linear "
                    "probe cannot use; record without them or choose other sites."
                )
            if len(self.parts) != len(self.offsets):
                lengths = np.diff(np.append(self.offsets, len(self.parts)))
                sums = np.add.reduceat(values, self.offsets, axis=0)
                values = (sums / lengths[:, None]).astype(np.float32)
            blocks.append(values)
        return np.concatenate(blocks, axis=1)
