"""The order of steps in the rows of a recurrent layer, dense or packed, forward or reverse.

Rows are (step, sequence) pairs, step by step. In a packed batch the sequences are sorted, longest
first, so a step holds the rows of the sequences that are still running.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, overload

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence


class Alike(Sequence[int]):
    """The sizes of steps that are all the same, without a list of them.

    Parameters
    ----------
    size : int
        Rows of each step.
    n_steps : int
        Number of steps.
    """

    def __init__(self, size: int, n_steps: int) -> None:
        self._size = size
        self._n_steps = n_steps

    def __len__(self) -> int:
        return self._n_steps

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return Alike(self._size, len(range(self._n_steps)[index]))
        if not -self._n_steps <= index < self._n_steps:
            raise IndexError(index)
        return self._size


class Block(NamedTuple):
    """A run of whole steps.

    Attributes
    ----------
    rows : slice
        Its rows.
    steps : slice
        Its steps.
    sizes : sequence of int
        Rows of each of its steps, first step first.
    """

    rows: slice
    steps: slice
    sizes: Sequence[int]


@dataclass(slots=True)
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

    def blocks(self, n_rows: int) -> Iterator[Block]:
        """Yield blocks of about `n_rows` rows in the order of reading."""
        per_block = max(1, n_rows // max(1, self.sizes[0]))
        if self.is_uniform and per_block >= len(self.sizes):
            rows = slice(0, len(self.sizes) * self.sizes[0])
            yield Block(rows, slice(0, len(self.sizes)), self.sizes)
            return
        starts = [0, *accumulate(self.sizes)]
        firsts = range(0, len(self.sizes), per_block)
        for first in reversed(firsts) if self.reverse else firsts:
            sizes = self.sizes[first : first + per_block]
            last = first + len(sizes)
            yield Block(slice(starts[first], starts[last]), slice(first, last), sizes)

    def put_previous(self, out: Tensor, states: Tensor, initial: Tensor, block: Block) -> None:
        """Write what `previous` returns into `out`, (rows of the block, n_units)."""
        batch = block.sizes[0]
        if self.reverse or not self.is_uniform or block.rows.start:
            out.copy_(self.previous(states, initial, block))
        else:
            out[:batch] = initial
            out[batch:] = states[: block.rows.stop - batch]

    def previous(self, states: Tensor, initial: Tensor, block: Block) -> Tensor:
        """Return the state before its step for each row of a block.

        Parameters
        ----------
        states : Tensor
            (rows, n_units), the states after each step, of all blocks.
        initial : Tensor
            (batch, n_units), the states with which sequences start.
        block : Block
            What `blocks` yields.

        Returns
        -------
        Tensor
            (rows of the block, n_units).
        """
        start, stop = block.rows.start, block.rows.stop
        if not self.reverse:
            if self.is_uniform and start:
                return states[start - block.sizes[0] : stop - block.sizes[0]]
            first = block.steps.start
            before = states[start - self.sizes[first - 1] : start] if first else initial
            if self.is_uniform:
                return torch.cat([before, states[: stop - block.sizes[0]]])
            parts = [before, *states[block.rows].split(list(block.sizes))]
            return torch.cat([part[:n] for part, n in zip(parts, block.sizes, strict=False)])
        after = self.sizes[block.steps.stop] if block.steps.stop < len(self.sizes) else 0
        if self.is_uniform:
            later = states[start + block.sizes[0] : stop + after]
            return later if after else torch.cat([later, initial])
        parts = [*states[start : stop + after].split([*block.sizes, after])][1:]
        return torch.cat(
            [
                torch.cat([part, initial[len(part) : n]])
                for part, n in zip(parts, block.sizes, strict=True)
            ]
        )


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
