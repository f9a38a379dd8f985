"""Cells and gates of one recurrent layer, from its input, its hidden states and its weights.

The hidden states are the fused kernel's own, so no error grows along the sequence: every gate
depends on the recorded previous hidden state alone, all steps at once, and only the cell is
accumulated. ``docs/reconstruction.md`` has the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.capture.products import affine
from interp.capture.scan import scan_
from interp.capture.steps import Steps
from interp.sites import CELL, GRU_GATES, LSTM_GATES

_BLOCK = 1 << 20
"""Values of gates that are worked on at a time, so that they stay in the processor's cache."""


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

    @property
    def bias(self) -> Tensor | None:
        """The sum of both biases."""
        if self.input_bias is None or self.hidden_bias is None:
            return None
        return self.input_bias + self.hidden_bias

    def to(self, dtype: torch.dtype) -> Weights:
        """Return the weights in another type."""
        return Weights(*(part if part is None else part.to(dtype) for part in self._parts))

    def of_gates(self, gates: Sequence[int], n_gates: int) -> Weights:
        """Return the rows of some gates, which are given in ascending order."""
        if len(gates) == n_gates:
            return self
        return Weights(
            *(part if part is None else _rows(part, gates, n_gates) for part in self._parts)
        )

    @property
    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.input, self.hidden, self.input_bias, self.hidden_bias


def _rows(weight: Tensor, gates: Sequence[int], n_gates: int) -> Tensor:
    n_units = len(weight) // n_gates
    if gates[-1] - gates[0] == len(gates) - 1:
        return weight[gates[0] * n_units : (gates[-1] + 1) * n_units]
    return torch.cat([weight[gate * n_units : (gate + 1) * n_units] for gate in gates])


def lstm_signals(
    data: Tensor,
    hidden: Tensor,
    state: Sequence[Tensor],
    weights: Weights,
    steps: Steps,
    signals: Sequence[str],
) -> dict[str, Tensor]:
    """Return cells and gates of an LSTM layer.

    Parameters
    ----------
    data : Tensor
        (rows, n_inputs), the layer's input.
    hidden : Tensor
        (rows, n_hidden), the hidden states it returned.
    state : sequence of Tensor
        Initial hidden (batch, n_hidden) and cell (batch, n_units).
    weights : Weights
        Its weights.
    steps : Steps
        The order of the rows.
    signals : sequence of str
        Which of cell, input_gate, forget_gate, cell_gate and output_gate; no more is computed.

    Returns
    -------
    dict of str to Tensor
        (rows, n_units) each.
    """
    gates = set(signals).intersection(LSTM_GATES)
    needed = [g for g in LSTM_GATES if g in gates or (CELL in signals and g != LSTM_GATES[3])]
    chosen = weights.of_gates([LSTM_GATES.index(gate) for gate in needed], 4)
    block = _preactivations(data, steps.previous(hidden, state[0]), chosen)
    values = dict(zip(needed, block.chunk(len(needed), -1), strict=True))
    i, f, g = (values.get(name) for name in LSTM_GATES[:3])
    cells = torch.empty_like(f, memory_format=torch.contiguous_format) if CELL in signals else None
    initial = previous = state[-1].to(block.dtype)
    for rows, sizes in steps.blocks(_BLOCK // block.shape[1]):
        _activate_(block[rows], None if g is None else g[rows])
        if cells is not None:
            torch.mul(i[rows], g[rows], out=cells[rows])
            previous = scan_(f[rows], cells[rows], previous, initial, sizes, steps.reverse)
    found = {name: values[name] for name in needed if name in gates}
    if len(found) < len(needed):
        found = {name: part.clone() for name, part in found.items()}  # so the block can be freed
    return found if cells is None else {CELL: cells, **found}


def gru_signals(
    data: Tensor,
    hidden: Tensor,
    state: Sequence[Tensor],
    weights: Weights,
    steps: Steps,
    signals: Sequence[str],
) -> dict[str, Tensor]:
    """Return gates of a GRU layer; parameters as for `lstm_signals`."""
    needed = [
        g for g in GRU_GATES if g in signals or (GRU_GATES[2] in signals and g != GRU_GATES[1])
    ]
    chosen = weights.of_gates([GRU_GATES.index(gate) for gate in needed], 3)
    previous = steps.previous(hidden, state[0])
    block = affine(data, chosen.input, chosen.input_bias)
    other = affine(previous, chosen.hidden, chosen.hidden_bias)
    values = dict(zip(needed, block.chunk(len(needed), -1), strict=True))
    others = dict(zip(needed, other.chunk(len(needed), -1), strict=True))
    r, n = values.get(GRU_GATES[0]), values.get(GRU_GATES[2])
    for rows, _ in steps.blocks(_BLOCK // block.shape[1]):
        for gate in GRU_GATES[:2]:
            if gate in values:
                values[gate][rows].add_(others[gate][rows]).sigmoid_()
        if n is not None:
            _tanh_(n[rows].addcmul_(r[rows], others[GRU_GATES[2]][rows]))
    found = {name: values[name] for name in needed if name in signals}
    if len(found) < len(needed):
        found = {name: part.clone() for name, part in found.items()}
    return found


def _preactivations(data: Tensor, previous: Tensor, weights: Weights) -> Tensor:
    """Return W_i x + W_h h + b for all rows.

    One product over [x, h] saves a pass over the result; with fewer rows than columns, copying
    the weights side by side would cost more than that.
    """
    if len(data) < data.shape[1] + previous.shape[1]:
        block = affine(data, weights.input, weights.bias)
        return block.add_(affine(previous, weights.hidden, None))
    both = torch.cat([weights.input, weights.hidden], 1)
    return affine(torch.cat([data, previous], 1), both, weights.bias)


def _activate_(block: Tensor, cell_gate: Tensor | None) -> None:
    """Apply the sigmoid to a block of gates, and tanh to the cell gate inside it."""
    if cell_gate is None:
        block.sigmoid_()
    elif _has_slow_tanh(block):
        cell_gate.mul_(2)
        block.sigmoid_()
        cell_gate.mul_(2).sub_(1)
    else:
        tanh = cell_gate.tanh()
        block.sigmoid_()
        cell_gate.copy_(tanh)


def _tanh_(values: Tensor) -> Tensor:
    if _has_slow_tanh(values):
        return values.mul_(2).sigmoid_().mul_(2).sub_(1)
    return values.tanh_()


def _has_slow_tanh(values: Tensor) -> bool:
    """Whether tanh x is taken as 2 σ(2x) - 1, which is within 1.2e-7 and up to ten times faster."""
    return values.dtype == torch.float32 and values.device.type == "cpu"
