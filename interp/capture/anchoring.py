"""Cells that agree with the hidden states again, where both had grown large.

A float32 cell of 30 is rounded by 1e-6 at every step, by the kernel and by our scan alike but not
in the same direction. While the cell is large its hidden state is saturated and does not show it;
where a unit comes back to small values within few steps, it does: the kernel's ``h = o · tanh(c)``
then bounds the kernel's cell to an interval. The smallest correction is found that meets these
intervals and changes each step by no more than a rounding of that step's own cell, so that every
recorded cell is still one step from the recorded one before.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGE = 8.0
"""Cells below this are rounded by no more than 2.4e-7 a step."""
_SEEN = 4e-7
"""A disagreement of hidden states that is more than the rounding of the gates."""
_ALLOWED = 2e-7
"""How far a corrected hidden state may lie from the kernel's."""
_SHARE = 4e-7
"""What one step may add to a correction, relative to its cell."""
_SATURATED = 0.98
_SMALLEST_GATE = 0.02
"""Where ``tanh`` is flat, or the output gate shut, the hidden state says nothing of the cell."""


def anchor_cells_(cells: Tensor, hidden: Tensor, forget: Tensor, output: Tensor) -> bool:
    """Correct cells in place where the hidden states show that they have drifted.

    Parameters
    ----------
    cells, hidden, forget, output : Tensor
        (steps, batch, n) float32, in the order of reading, of units whose cells grew large; the
        hidden states are those of the kernel, without a projection.

    Returns
    -------
    bool
        Whether any cell was changed.
    """
    corrected = cells.flatten(1)
    hidden, forget, output = (part.flatten(1) for part in (hidden, forget, output))
    off = (output * corrected.tanh() - hidden).abs_() > _SEEN
    off &= (hidden.abs() < _SATURATED * output) & (output > _SMALLEST_GATE)
    drifted = torch.nonzero(off.any(0))[:, 0]
    if not len(drifted):
        return False
    forget, output, seen = (part[:, drifted] for part in (forget, output, hidden))
    drifting = corrected[:, drifted]
    visible = (seen.abs() < _SATURATED * output) & (output > _SMALLEST_GATE)
    ratio = (seen / output).clamp_(-_SATURATED, _SATURATED)
    missing = ratio.atanh().sub_(drifting)
    slack = _ALLOWED / (output.clamp(min=_SMALLEST_GATE) * (1 - ratio * ratio))
    lowest = torch.where(visible, missing - slack, -torch.inf)
    highest = torch.where(visible, missing + slack, torch.inf)
    corrected[:, drifted] = drifting + _corrections(lowest, highest, forget, drifting)
    cells.copy_(corrected.view_as(cells))
    return True


def _corrections(lowest: Tensor, highest: Tensor, forget: Tensor, cells: Tensor) -> Tensor:
    """Return corrections between `lowest` and `highest`, (steps, n) like them, in small shares.

    Going back, each step's interval is narrowed to what the steps after it can still be met from;
    going forward, the correction that the step before leaves over is moved into the interval.
    """
    share = cells.abs().clamp_(min=1).mul_(_SHARE)
    for t in reversed(range(len(cells) - 1)):
        kept = forget[t + 1]
        # A gate that is all but shut forgets the steps before: nothing follows for them.
        open_ = kept > 1e-3
        below = torch.where(open_, (lowest[t + 1] - share[t + 1]) / kept, -torch.inf)
        above = torch.where(open_, (highest[t + 1] + share[t + 1]) / kept, torch.inf)
        # Where the intervals of two steps cannot both be met, the earlier one's own is kept.
        narrow_low = torch.minimum(torch.maximum(lowest[t], below), highest[t])
        highest[t] = torch.maximum(torch.minimum(highest[t], above), lowest[t])
        lowest[t] = narrow_low
    correction = torch.zeros_like(cells)
    before = torch.zeros_like(cells[0])
    for t in range(len(cells)):
        left = forget[t] * before
        wanted = torch.minimum(torch.maximum(left, lowest[t]), highest[t])
        before = left + torch.clamp(wanted - left, -share[t], share[t])
        correction[t] = before
    return correction
