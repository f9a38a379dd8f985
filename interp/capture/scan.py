"""The cell's recurrence ``c_t = f_t · c_{t-1} + a_t``, elementwise and in order."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_MAX_WIDTH = 2048
"""Up to this many values a step, a call of one operation per step costs more than the arithmetic
(measured; see benchmarks/capture.py)."""
_MIN_STEPS = 48
_UNSEEN = 3e-7
"""A difference between cells that is no more than the rounding of their gates."""


class Columns(NamedTuple):
    """A gate: the columns from `first` on, as many as a layer has units, of (rows, any) values."""

    values: Tensor
    first: int


def scan_(
    cells: Tensor, gates: Sequence[Columns], previous: Tensor, initial: Tensor,
    sizes: Sequence[int], reverse: bool, largest: Tensor,
) -> Tensor:  # fmt: skip
    """Write the cells after each step.

    Parameters
    ----------
    cells : Tensor
        (rows, n_units), contiguous; overwritten.
    gates : sequence of Columns
        Input, forget and cell gate, of contiguous values.
    previous : Tensor
        (running sequences, n_units), the cells before the first step that is read.
    initial : Tensor
        (batch, n_units), the cells with which sequences start.
    sizes : sequence of int
        Rows of each step.
    reverse : bool
        Whether the last step is read first.
    largest : Tensor
        (n_units,), raised to the largest magnitude of each unit's cells.

    Returns
    -------
    Tensor
        The cells after the step that is read last.
    """
    previous = previous if reverse else previous[: sizes[0]]
    is_narrow = sizes[0] * cells.shape[1] <= _MAX_WIDTH
    if is_narrow and cells.device.type == "cpu" and _has_memory(cells):
        from interp.capture.scan_compiled import scan_compiled_

        return scan_compiled_(cells, gates, previous, initial, sizes, reverse, largest)
    if not cells.numel():
        return previous
    n_units = cells.shape[1]
    inputs, forget, added = (values[:, n : n + n_units] for values, n in gates)
    last = _scan_(torch.mul(inputs, added, out=cells), forget, previous, initial, sizes, reverse)
    torch.maximum(largest, torch.maximum(cells.amax(0), -cells.amin(0)), out=largest)
    return last


def _has_memory(values: Tensor) -> bool:
    """Return whether a tensor has values; inside `torch.func.grad` it stands for one that has."""
    try:
        values.data_ptr()
    except RuntimeError:
        return False
    return True


def _scan_(
    cells: Tensor, forget: Tensor, previous: Tensor, initial: Tensor, sizes: Sequence[int],
    reverse: bool,
) -> Tensor:  # fmt: skip
    """Replace what is added at each step by the cells after it, by calls of torch."""
    batch, n_steps = sizes[0], len(sizes)
    if batch != sizes[-1] or (reverse and len(previous) != batch):
        return _scan_ragged_(forget, cells, previous, initial, sizes, reverse)
    shape = n_steps, batch, cells.shape[1]
    forget, cells = forget.view(shape), cells.view(shape)
    if n_steps < _MIN_STEPS or cells.device.type != "cuda":
        return _scan_steps_(forget, cells, previous, reverse)
    return scan_chunks_(forget, cells, previous, reverse, chunk_lengths(n_steps))


def _scan_steps_(forget: Tensor, cells: Tensor, previous: Tensor, reverse: bool) -> Tensor:
    """Go step by step over (steps, batch, n_units); return the cells read last."""
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


def scan_chunks_(
    forget: Tensor, cells: Tensor, previous: Tensor, reverse: bool, lengths: Sequence[int]
) -> Tensor:
    """Go over (steps, batch, n_units) in chunks of steps that are read side by side, twice.

    The first reading starts every chunk at 0 and finds where it ends, and how much of the cell
    before it is left there. So the cells with which chunks end obey the same recurrence, from
    chunk to chunk, and are found by the same means (Blelloch 1990, prefix sums over blocks), in
    float64. The second reading starts where each chunk truly does and takes the steps one by one,
    which keeps every float32 cell a rounding away from one step: sums of the two shares would lose
    digits where these cancel. What rounding adds up to until the end of a chunk is spread over it.

    Parameters
    ----------
    forget, cells : Tensor
        (steps, batch, n_units), the forget gates and what is added at each step; `cells` is
        overwritten.
    previous : Tensor
        (batch, n_units), the cells before the first step that is read.
    reverse : bool
        Whether the last step is read first.
    lengths : sequence of int
        Steps of a chunk, and how chunks are cut into chunks of chunks in turn; one by one when
        there are none left.

    Returns
    -------
    Tensor
        The cells read last.
    """
    if not lengths:
        return _scan_steps_(forget, cells, previous, reverse)
    n_steps, length = cells.shape[0], lengths[0]
    n_chunks, n_over = divmod(n_steps, length)
    begin, end = (n_over, n_steps) if reverse else (0, n_steps - n_over)
    shape = (n_chunks, length, *cells.shape[1:])
    chunks = forget[begin:end].view(shape)
    gates, steps = chunks.unbind(1), cells[begin:end].view(shape).unbind(1)
    if reverse:
        gates, steps = gates[::-1], steps[::-1]
    ends = torch.addcmul(steps[1], gates[1], steps[0])
    for gate, step in zip(gates[2:], steps[2:], strict=True):
        torch.addcmul(step, gate, ends, out=ends)
    ends = ends.double()
    scan_chunks_(chunks.prod(1).double(), ends, previous.double(), reverse, lengths[1:])
    ends, first = ends.to(cells.dtype), previous[None]
    cell = torch.cat([ends[1:], first] if reverse else [first, ends[:-1]])
    for gate, step in zip(gates, steps, strict=True):
        cell = step.addcmul_(gate, cell)
    if cells.dtype != torch.float64:
        _spread_(ends.sub_(cell), steps)
    last = cell[0 if reverse else -1]
    if not n_over:
        return last
    over = slice(begin) if reverse else slice(end, None)
    return _scan_steps_(forget[over], cells[over], last, reverse)


def _spread_(missing: Tensor, steps: Sequence[Tensor]) -> None:
    """Add to each step of the chunks its share of what is missing at their ends, if it matters."""
    lowest, highest = torch.aminmax(missing)
    if max(-float(lowest), float(highest)) > _UNSEEN:
        for n, step in enumerate(steps, 1):
            step.add_(missing, alpha=n / len(steps))


@functools.lru_cache(4096)
def chunk_lengths(n_steps: int) -> tuple[int, ...]:
    """Return how to cut steps into chunks, and those again: one or two lengths.

    The number of calls decides: two for each step of a chunk on every level, one for each chunk
    and each step that is left over, and as long as eight for what a level takes besides.
    """

    def n_calls(lengths: tuple[int, ...]) -> int:
        found, n = 0, n_steps
        for length in lengths:
            found, n = found + 8 + 2 * length + n % length, n // length
        return found + n

    one = [(length,) for length in range(4, 28)]
    two = [(*outer, inner) for outer in one for inner in range(4, 16)]
    return min((cut for cut in one + two if math.prod(cut) <= n_steps // 2), key=n_calls)
