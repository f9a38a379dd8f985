"""The fused kernel's own cells, one step a call, for layers whose cells grow large.

A float32 cell of 30 is rounded by 1e-6 at every step, by the kernel and by the scan alike but not
in the same direction. While the cell is large its hidden state is saturated and doesn't show it;
where a unit adds up to 0 again within few steps, it does. Such layers are rare, and short calls of
the kernel return its cells; that they gave the same hidden states, to the bit, is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

LARGE = 8.0
"""Cells below this are rounded by no more than 2.4e-7 a step."""


def stepped_cells(
    function: Callable[..., Any],
    data: Tensor,
    hidden: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    has_biases: bool,
    reverse: bool,
) -> Tensor | None:
    """Return the cells of a layer run one step at a time, or None if its bits differ.

    Parameters
    ----------
    function : callable
        ``torch.lstm``.
    data, hidden : Tensor
        (steps, batch, n), the layer's input and the hidden states it returned.
    state : sequence of Tensor
        Initial hidden and cell, (batch, n).
    weights : sequence of Tensor
        The weights of this layer and direction.
    has_biases, reverse : bool
        Whether there are biases, and whether the last step is read first.
    """
    n_steps, batch, _ = data.shape
    width = max(2, batch)  # a product with a single row takes another kernel
    h, c = (part.expand(1, width, -1).contiguous() for part in state)
    cells = torch.empty(n_steps, batch, c.shape[-1], dtype=c.dtype, device=c.device)
    for t in reversed(range(n_steps)) if reverse else range(n_steps):
        step = data[t].expand(1, width, -1).contiguous()
        output, h, c = function(step, (h, c), weights, has_biases, 1, 0.0, False, False, False)
        if not torch.equal(output[0, :batch], hidden[t]):
            return None
        cells[t] = c[0, :batch]
    return cells
