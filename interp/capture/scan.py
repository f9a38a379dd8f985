"""The cell's recurrence ``c_t = f_t · c_{t-1} + a_t``, elementwise and in order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MAX_WIDTH = 256
"""Up to this many values a step, the call of one operation per step costs more than the
arithmetic, and the scan in chunks is faster (measured; see benchmarks/capture.py)."""
_MIN_STEPS = 32


def scan_(
    forget: Tensor, cells: Tensor, previous: Tensor, initial: Tensor, sizes: Sequence[int],
    reverse: bool,
) -> Tensor:  # fmt: skip
    """Replace what is added at each step by the cell after it.

    Parameters
    ----------
    forget : Tensor
        (rows, n_units), the forget gate.
    cells : Tensor
        (rows, n_units), contiguous: the products of input and cell gate; overwritten.
    previous : Tensor
        (running sequences, n_units), the cells before the first step that is read.
    initial : Tensor
        (batch, n_units), the cells with which sequences start.
    sizes : sequence of int
        Rows of each step.
    reverse : bool
        Whether the last step is read first.

    Returns
    -------
    Tensor
        The cells after the step that is read last.
    """
    batch, n_steps = sizes[0], len(sizes)
    previous = previous[:batch] if not reverse else previous
    if batch != sizes[-1] or (reverse and len(previous) != batch):
        return _scan_ragged_(forget, cells, previous, initial, sizes, reverse)
    forget, cells = forget.unflatten(0, (n_steps, batch)), cells.view(n_steps, batch, -1)
    if n_steps < _MIN_STEPS or (cells.device.type == "cpu" and cells[0].numel() > _MAX_WIDTH):
        return _scan_steps_(forget, cells, previous, reverse)
    if reverse:
        flipped = cells.flip(0)
        last = _scan_chunks_(forget.flip(0), flipped, previous)
        cells.copy_(flipped.flip(0))
        return last
    return _scan_chunks_(forget, cells, previous)


def _scan_steps_(forget: Tensor, cells: Tensor, previous: Tensor, reverse: bool) -> Tensor:
    """Go step by step over (steps, batch, n_units)."""
    pairs = list(zip(forget.unbind(0), cells.unbind(0), strict=True))
    for kept, cell in reversed(pairs) if reverse else pairs:
        previous = cell.addcmul_(kept, previous)
    return previous


def _scan_ragged_(
    forget: Tensor, cells: Tensor, previous: Tensor, initial: Tensor, sizes: Sequence[int],
    reverse: bool,
) -> Tensor:  # fmt: skip
    """Go step by step where sequences end (or, read in reverse, begin) on the way."""
    pairs = list(zip(forget.split(list(sizes)), cells.split(list(sizes)), strict=True))
    for kept, cell in reversed(pairs) if reverse else pairs:
        if len(cell) > len(previous):
            previous = torch.cat([previous, initial[len(previous) : len(cell)]])
        previous = cell.addcmul_(kept, previous[: len(cell)])
    return previous


def _scan_chunks_(forget: Tensor, cells: Tensor, previous: Tensor) -> Tensor:
    """Cut (steps, batch, n_units) into chunks that are read side by side.

    Each chunk is read from a cell of 0, with the product of its forget gates beside it; then the
    chunks' true first cells are found one after the other, and each one's share is added. In
    float64, so that the split leaves no trace in float32: a float32 sum of the two shares would
    lose digits where they cancel.
    """
    n_steps, batch, n_units = cells.shape
    length = _chunk_length(n_steps)
    n_chunks = n_steps // length
    n_whole = n_chunks * length
    shape = (n_chunks, length, batch, n_units)
    kept = torch.empty(length, n_chunks, batch, n_units, dtype=torch.float64, device=cells.device)
    kept.copy_(forget[:n_whole].unflatten(0, shape[:2]).transpose(0, 1))
    whole = cells[:n_whole].view(shape).transpose(0, 1)
    local = torch.empty_like(kept).copy_(whole)
    kepts, locals_ = kept.unbind(0), local.unbind(0)
    product, cell = kepts[0], locals_[0]
    for next_kept, next_local in zip(kepts[1:], locals_[1:], strict=True):
        cell = next_local.addcmul_(next_kept, cell)
        product = next_kept.mul_(product)
    first = torch.cat([previous.to(torch.float64)[None], cell[:-1]])
    firsts = first.unbind(0)
    cell = firsts[0]
    for following, chunk_product in zip(firsts[1:], product.unbind(0), strict=False):
        cell = following.addcmul_(chunk_product, cell)
    whole.copy_(local.addcmul_(kept, first))
    return _scan_steps_(forget[n_whole:], cells[n_whole:], cells[n_whole - 1], reverse=False)


def _chunk_length(n_steps: int) -> int:
    """Return a length near 0.8 √steps that leaves few steps over."""
    root = math.isqrt(n_steps)
    return min(range(max(2, root * 2 // 3), root + 2), key=lambda length: n_steps % length)
