"""The cell's recurrence as one compiled loop over steps, for layers that are narrow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from interp.compiled import compiled


def scan_compiled_(
    cells: Tensor, gates: Sequence[tuple[Tensor, int]], previous: Tensor, initial: Tensor,
    sizes: Sequence[int], reverse: bool, largest: Tensor,
) -> Tensor:  # fmt: skip
    """Write the cells of a CPU layer, float32 or float64; parameters as for `scan_`."""
    running = initial.clone()  # also of sequences that begin on the way, when read in reverse
    running[: len(previous)] = previous
    n_rows = np.full(len(sizes), sizes[0]) if sizes[0] == sizes[-1] else np.array(sizes)
    (inputs, i), (forget, f), (added, g) = gates
    _read_steps(
        cells.numpy(), inputs.numpy(), i, forget.numpy(), f, added.numpy(), g, running.numpy(),
        n_rows, reverse, largest.numpy(),
    )  # fmt: skip
    return running[: sizes[0 if reverse else -1]]


@compiled
def _read_steps(
    cells: np.ndarray,
    inputs: np.ndarray,
    i: int,
    forget: np.ndarray,
    f: int,
    added: np.ndarray,
    g: int,
    running: np.ndarray,
    n_rows: np.ndarray,
    reverse: bool,
    largest: np.ndarray,
) -> None:
    """Read steps in order; `running` holds each sequence's cells before and after.

    A gate is in the columns from `i`, `f` or `g` on.
    """
    n_steps, n_units = len(n_rows), cells.shape[1]
    row = len(cells) if reverse else 0
    for at in range(n_steps):
        n = n_rows[n_steps - 1 - at] if reverse else n_rows[at]
        if reverse:
            row -= n
        for sequence in range(n):
            here = row + sequence
            cell, before = cells[here], running[sequence]
            # Rows of their own: numba would look whether an index of two parts is negative, and
            # could not take several units at a time.
            input_gate = inputs[here, i : i + n_units]
            forget_gate = forget[here, f : f + n_units]
            cell_gate = added[here, g : g + n_units]
            for unit in range(n_units):
                value = forget_gate[unit] * before[unit] + input_gate[unit] * cell_gate[unit]
                before[unit] = value
                cell[unit] = value
                size = abs(value)
                largest[unit] = size if size > largest[unit] else largest[unit]
        if not reverse:
            row += n
