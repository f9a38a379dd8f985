"""The order of steps in the rows of a recurrent layer, dense or packed, forward or reverse.

Rows are (step, sequence) pairs, step by step. In a packed batch the sequences are sorted, longest
first, so a step holds the rows of the sequences that are still running.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence


@dataclass(frozen=True)
class Steps:
    """How many sequences run at each step, and in which direction they are read.

    Attributes
    ----------
    sizes : sequence of int
        Rows of each step; never growing.
    reverse : bool
        Whether the layer reads from the last step to the first.
    """

    sizes: Sequence[int]
    reverse: bool = False

    @property
    def is_uniform(self) -> bool:
        """Whether all sequences have the same number of steps."""
        return self.sizes[0] == self.sizes[-1]

    def previous(self, rows: Tensor, initial: Tensor) -> Tensor:
        """Return each row's state before its step.

        Parameters
        ----------
        rows : Tensor
            (rows, n_units), the states after each step.
        initial : Tensor
            (batch, n_units), the states before the first step that is read.
        """
        if self.is_uniform:
            batch = self.sizes[0]
            parts = [rows[batch:], initial] if self.reverse else [initial, rows[:-batch]]
            return torch.cat(parts)
        steps = rows.split(list(self.sizes))
        parts = []
        for t, size in enumerate(self.sizes):
            if not self.reverse:
                parts.append(steps[t - 1][:size] if t else initial)
            else:
                later = steps[t + 1] if t + 1 < len(steps) else initial[:0]
                parts += [later, initial[len(later) : size]]
        return torch.cat(parts)

    def blocks(self, n_rows: int) -> Iterator[tuple[slice, Sequence[int]]]:
        """Yield runs of whole steps, about `n_rows` rows each, in the order of reading.

        Yields
        ------
        rows : slice
            The rows of the block.
        sizes : sequence of int
            The rows of each of its steps, first step first.
        """
        per_block = max(1, n_rows // max(1, self.sizes[0]))
        starts = [0, *accumulate(self.sizes)]
        firsts = range(0, len(self.sizes), per_block)
        for first in reversed(firsts) if self.reverse else firsts:
            sizes = self.sizes[first : first + per_block]
            yield slice(starts[first], starts[first + len(sizes)]), sizes


def unpack(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """Return values and lengths of a packed sequence, in the caller's order.

    Returns
    -------
    values : Tensor
        (batch, steps, n_units), zero past the end of each row.
    lengths : Tensor
        (batch,) int64.
    """
    return pad_packed_sequence(packed, batch_first=True)
