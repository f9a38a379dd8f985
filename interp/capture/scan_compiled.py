"""The cell's recurrence as one compiled loop over steps, for layers that are narrow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from interp.compiled import compiled


def scan_compiled_(
    cells: Tensor, gates: Sequence[Tensor], previous: Tensor, initial: Tensor,
    sizes: Sequence[int], reverse: bool,
) -> Tensor:  # fmt: skip
    """Write the cells of a CPU layer, float32 or float64; parameters as for `scan_`."""
    running = initial.clone()  # also of sequences that begin on the way, when read in reverse
    running[: len(previous)] = previous
    n_rows = np.full(len(sizes), sizes[0]) if sizes[0] == sizes[-1] else np.array(sizes)
    input_gate, forget_gate, cell_gate = (_flat(gate) for gate in gates)
    i, f, g = (np.uint64(gate.stride(0)) for gate in gates)
    _read_steps(
        cells.numpy(), input_gate, i, forget_gate, f, cell_gate, g, running.numpy(),
        n_rows.view(np.uint64), reverse,
    )  # fmt: skip
    return running[: sizes[0 if reverse else -1]]


def _flat(rows: Tensor) -> np.ndarray:
    """Return a view of the memory from a tensor's first value to its last."""
    n_rows, n_units = rows.shape
    return rows.as_strided(((n_rows - 1) * rows.stride(0) + n_units,), (1,)).numpy()


@compiled
def _read_steps(
    cells: np.ndarray,
    input_gate: np.ndarray,
    i: int,
    forget_gate: np.ndarray,
    f: int,
    cell_gate: np.ndarray,
    g: int,
    running: np.ndarray,
    n_rows: np.ndarray,
    reverse: bool,
) -> None:
    """Read steps in order; `running` holds each sequence's cells before and after.

    Gates are flat, with `i`, `f` and `g` values from row to row. Indices are unsigned: numba would
    look whether others are negative, and could not take several values at a time.
    """
    n_steps, n_units = np.uint64(n_rows.shape[0]), np.uint64(cells.shape[1])
    row = np.uint64(cells.shape[0]) if reverse else np.uint64(0)
    for at in range(n_steps):
        n = n_rows[n_steps - np.uint64(1) - at] if reverse else n_rows[at]
        if reverse:
            row -= n
        for sequence in range(n):
            cell, before, here = cells[row + sequence], running[sequence], row + sequence
            for unit in range(n_units):
                added = input_gate[here * i + unit] * cell_gate[here * g + unit]
                value = forget_gate[here * f + unit] * before[unit] + added
                before[unit] = value
                cell[unit] = value
        if not reverse:
            row += n
