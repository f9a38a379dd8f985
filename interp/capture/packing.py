"""The caller's order of a packed batch, whose sequences torch sorts by length.

The fused functions are given sorted rows and not their order, which the module keeps for itself. A
module may have packed its input within its own forward, so that its arguments do not tell either.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn.modules import rnn as torch_rnn
from torch.nn.utils.rnn import PackedSequence


class Order(NamedTuple):
    """Where sequences stand, (batch,) int64 each; None where they stand as the caller had them.

    Attributes
    ----------
    sorted_indices : Tensor or None
        The caller's row of each sequence.
    unsorted_indices : Tensor or None
        The sequence of each of the caller's rows.
    """

    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


def order_of(batch_sizes: Tensor | None, arguments: Iterable[Any]) -> Order:
    """Return the order of the packed batch that a fused function is being called with.

    Parameters
    ----------
    batch_sizes : Tensor or None
        As the function was given them; None where nothing is packed.
    arguments : iterable
        Of the module that calls it; looked at where the function isn't called by torch's own code.
    """
    if batch_sizes is None:
        return Order()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals is vars(torch_rnn):
            names = frame.f_locals
            if names.get("batch_sizes") is batch_sizes and "unsorted_indices" in names:
                return Order(names["sorted_indices"], names["unsorted_indices"])
        frame = frame.f_back
    packed = (value for value in arguments if isinstance(value, PackedSequence))
    found = next(packed, None)
    return Order() if found is None else Order(found.sorted_indices, found.unsorted_indices)
