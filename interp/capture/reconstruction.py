"""Cells and gates of one recurrent layer, from its input, its hidden states and its weights.

The hidden states are the fused kernel's own, so no error grows along the sequence: every gate
depends on the recorded previous hidden state alone, all steps at once, and only the cell is
accumulated. ``docs/reconstruction.md`` has the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from interp.sites import CELL, GRU_GATES, LSTM_GATES


@dataclass(frozen=True)
class Weights:
    """The weights of one layer in one direction.

    Attributes
    ----------
    input, hidden : Tensor
        (gates × n_units, n_inputs) and (gates × n_units, n_hidden).
    input_bias, hidden_bias : Tensor or None
        (gates × n_units,).
    """

    input: Tensor
    hidden: Tensor
    input_bias: Tensor | None = None
    hidden_bias: Tensor | None = None

    @classmethod
    def of(cls, flat: Sequence[Tensor], has_biases: bool) -> Weights:
        """Name the weights of torch's flat list (a projection at its end isn't needed)."""
        return cls(*flat[:4]) if has_biases else cls(*flat[:2])


def reconstruct(
    kind: str,
    data: Tensor,
    hidden: Tensor,
    state: tuple[Tensor, ...],
    weights: Weights,
    reverse: bool,
    batch_sizes: Tensor | None,
    signals: Sequence[str],
) -> dict[str, Tensor]:
    """Return the signals that were asked for, laid out as `data`."""
    previous = _previous(hidden, state[0], reverse, batch_sizes)
    x = F.linear(data, weights.input, weights.input_bias)
    h = F.linear(previous, weights.hidden, weights.hidden_bias)
    if kind == "gru":
        xr, xz, xn = x.chunk(3, -1)
        hr, hz, hn = h.chunk(3, -1)
        r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
        return dict(zip(GRU_GATES, (r, z, torch.tanh(xn + r * hn)), strict=True))
    i, f, g, o = (x + h).chunk(4, -1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    values = dict(zip(LSTM_GATES, (i, f, g, o), strict=True))
    if CELL in signals:
        values[CELL] = _scan(f, i * g, state[1], reverse, batch_sizes)
    return values


def _previous(hidden: Tensor, initial: Tensor, reverse: bool, batch_sizes: Tensor | None) -> Tensor:
    """Return each step's previous hidden state."""
    if batch_sizes is None:
        if reverse:
            return torch.cat([hidden[1:], initial[None]])
        return torch.cat([initial[None], hidden[:-1]])
    steps = hidden.split(batch_sizes.tolist())
    if not reverse:
        parts = [initial, *steps[:-1]]
        return torch.cat([part[: len(step)] for part, step in zip(parts, steps, strict=True)])
    parts = [*steps[1:], initial[:0]]
    return torch.cat(
        [
            torch.cat([part, initial[len(part) : len(step)]])
            for part, step in zip(parts, steps, strict=True)
        ]
    )


def _scan(
    forget: Tensor, added: Tensor, initial: Tensor, reverse: bool, batch_sizes: Tensor | None
) -> Tensor:
    """Return c_t = forget_t · c_{t-1} + added_t for all steps."""
    if batch_sizes is None:
        cells = torch.empty_like(added)
        steps = range(len(added))
        previous = initial
        for t in reversed(steps) if reverse else steps:
            previous = torch.addcmul(added[t], forget[t], previous, out=cells[t])
        return cells
    sizes = batch_sizes.tolist()
    forgets, cells = forget.split(sizes), list(added.split(sizes))
    previous = initial
    order = range(len(sizes))
    for t in reversed(order) if reverse else order:
        n = sizes[t]
        if reverse:
            previous = (
                torch.cat([previous, initial[len(previous) : n]])
                if t < len(sizes) - 1
                else initial[:n]
            )
        previous = cells[t] = torch.addcmul(cells[t], forgets[t], previous[:n])
    return torch.cat(cells)
