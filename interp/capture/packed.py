"""Packed sequences: rows of all steps one after the other, longest sequence first."""

from __future__ import annotations

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence


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
