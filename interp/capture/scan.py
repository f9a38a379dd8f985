"""The cell's recurrence ``c_t = f_t · c_{t-1} + a_t``, elementwise and in order."""

from __future__ import annotations

import functools
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

    In float64, so that the split leaves no trace in float32: a float32 sum of the two shares of a
    cell (see `_side_by_side_`) would lose digits where they cancel.
    """
    n_steps, rows = len(cells), cells.view(len(cells), -1)
    gates = forget.flatten(1)
    lengths = _chunk_lengths(n_steps)
    length, n_chunks = lengths[0], math.prod(lengths[1:])
    n_whole, n_over = divmod(n_steps, length)
    shape = (length, n_chunks, rows.shape[1])
    kept, local = (torch.empty(shape, dtype=torch.float64, device=cells.device) for _ in range(2))
    for buffer, values in ((kept, gates), (local, rows)):
        buffer[:, :n_whole].copy_(_in_chunks(values, length))
        if n_whole < n_chunks:  # the last chunks are filled up with steps that nothing follows
            buffer[:, n_whole:] = 0
            buffer[:n_over, n_whole:][:, :1] = values[n_whole * length :, None]
    _side_by_side_(kept, local, previous.reshape(1, -1).to(torch.float64), lengths[1:])
    _in_chunks(rows, length).copy_(local[:, :n_whole])
    if n_over:
        rows[n_whole * length :] = local[:n_over, n_whole]
    return cells[-1]


def _in_chunks(values: Tensor, length: int) -> Tensor:
    """Return (length, whole chunks, width), a view of (steps, width)."""
    n_whole = len(values) // length
    return values[: n_whole * length].unflatten(0, (n_whole, length)).transpose(0, 1)


def _side_by_side_(kept: Tensor, cells: Tensor, first: Tensor, lengths: Sequence[int]) -> None:
    """Solve the recurrence over (length, chunks, width), whose chunks follow one another.

    Each chunk is read from a cell of 0, with the product of its forget gates beside it. The cells
    with which chunks truly begin obey the same recurrence, from chunk to chunk, and are found by
    the same means; then each one's share is added (Blelloch 1990, prefix sums over blocks).

    Parameters
    ----------
    kept : Tensor
        The forget gates; overwritten.
    cells : Tensor
        What is added at each step; overwritten by the cells.
    first : Tensor
        (1, width), the cell before the first chunk.
    lengths : sequence of int
        How the chunks are cut in turn; their product is the number of chunks.
    """
    gates, steps = kept.unbind(0), cells.unbind(0)
    product, cell = gates[0], steps[0]
    for gate, step in zip(gates[1:], steps[1:], strict=True):
        cell = step.addcmul_(gate, cell)
        product = gate.mul_(product)
    ends = cell.clone()
    if len(lengths) == 1:
        before = first[0]
        for end, gate in zip(ends.unbind(0), product.unbind(0), strict=True):
            before = end.addcmul_(gate, before)
    else:
        shape = (-1, lengths[0])
        _side_by_side_(
            product.clone().unflatten(0, shape).transpose(0, 1),
            ends.unflatten(0, shape).transpose(0, 1), first, lengths[1:],
        )  # fmt: skip
    cells.addcmul_(kept, torch.cat([first, ends[:-1]]))


@functools.lru_cache(4096)
def _chunk_lengths(n_steps: int) -> tuple[int, ...]:
    """Return how to cut steps into chunks, and those again: two or three lengths.

    Two operations per step of a chunk on every level and one per chunk on the last decide the
    cost, with some more per level and where the product of the lengths is more than the steps.
    """
    best: tuple[float, tuple[int, ...]] = math.inf, ()
    for length in range(4, 28):
        n_chunks = -(-n_steps // length)
        for inner in (1, *range(4, 16)):
            outer = -(-n_chunks // inner)
            n_calls = 2 * length + outer + (0 if inner == 1 else 2 * inner + 6)
            n_calls += 0 if length * inner * outer == n_steps else 7
            cut: tuple[int, ...] = (length, outer) if inner == 1 else (length, inner, outer)
            best = min(best, (n_calls, cut))
    return best[1]
