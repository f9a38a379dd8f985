"""Cells and gates of one recurrent layer, from its input, its hidden states and its weights.

The hidden states are the fused kernel's own, so no error grows along the sequence: every gate
depends on the recorded previous hidden state alone, all steps at once, and only the cell is
accumulated. ``docs/reconstruction.md`` has the equations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.capture.products import affine
from interp.capture.scan import scan_
from interp.capture.steps import Block, Steps
from interp.sites import CELL, GRU_GATES, LSTM_GATES

_BLOCK = 1 << 24
"""Values of gates that are computed at a time, so that what is needed only on the way takes no
more memory for a long sequence."""
_CACHED = 1 << 20
"""Values of gates that are passed over at a time, so that they stay in the processor's cache."""


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
        return self._each(lambda part: part.to(dtype))

    def of_gates(self, gates: Sequence[int], n_gates: int) -> Weights:
        """Return the rows of some gates, which are given in ascending order."""
        if len(gates) == n_gates:
            return self
        return self._each(lambda part: _rows(part, gates, n_gates))

    def of_units(self, units: Tensor, n_gates: int) -> Weights:
        """Return the rows of some units, in each of the gates."""
        n_units = len(self.input) // n_gates
        rows = torch.cat([units + gate * n_units for gate in range(n_gates)])
        return self._each(lambda part: part[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Weights:
        biases = (
            None if bias is None else change(bias) for bias in (self.input_bias, self.hidden_bias)
        )
        return Weights(change(self.input), change(self.hidden), *biases)


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
    needed = [g for g in LSTM_GATES if g in signals or (CELL in signals and g != LSTM_GATES[3])]
    chosen = weights.of_gates([LSTM_GATES.index(gate) for gate in needed], 4)
    cell_gate = needed.index(LSTM_GATES[2]) if LSTM_GATES[2] in needed else None
    kept = _Kept(needed, signals, len(data), state[1])
    preactivations = _Preactivations(chosen, len(data))
    initial = cell = state[1]
    for block in steps.blocks(_BLOCK // len(chosen.input)):
        gates = preactivations(data[block.rows], steps.previous(hidden, state[0], block))
        parts = gates.chunk(len(needed), -1)
        cells = kept.rows(CELL, block) if CELL in signals else None
        for small in Steps(block.sizes, steps.reverse).blocks(_CACHED // gates.shape[1]):
            rows = small.rows
            _activate_(gates[rows], None if cell_gate is None else parts[cell_gate][rows])
            if cells is not None:
                torch.mul(parts[0][rows], parts[2][rows], out=cells[rows])
                forget = parts[1][rows]
                cell = scan_(forget, cells[rows], cell, initial, small.sizes, steps.reverse)
        kept.put(block, parts)
    return kept.values


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
    kept = _Kept(needed, signals, len(data), state[0])
    for block in steps.blocks(_BLOCK // len(chosen.input)):
        gates = affine(data[block.rows], chosen.input, chosen.input_bias)
        previous = steps.previous(hidden, state[0], block)
        others = affine(previous, chosen.hidden, chosen.hidden_bias).chunk(len(needed), -1)
        parts = gates.chunk(len(needed), -1)
        for name, part, other in zip(needed, parts, others, strict=True):
            if name == GRU_GATES[2]:
                _activate_(part.addcmul_(parts[0], other), part)
            else:
                part.add_(other).sigmoid_()
        kept.put(block, parts)
    return kept.values


class _Kept:
    """The signals that were asked for, filled block by block.

    A single block is kept as it is, gates side by side, where all of it was asked for; several
    are copied together while they are in the cache, which takes less memory than joining them.
    """

    def __init__(
        self, needed: Sequence[str], signals: Sequence[str], n_rows: int, like: Tensor
    ) -> None:
        self._needed = needed
        self._n_rows = n_rows
        self._like = like
        self._whole = set(needed) <= set(signals)
        self._signals = set(signals)
        self.values: dict[str, Tensor] = {}

    def rows(self, name: str, block: Block) -> Tensor:
        """Return the place for a block of a signal."""
        if name not in self.values:
            self.values[name] = self._like.new_empty(self._n_rows, self._like.shape[1])
        return self.values[name][block.rows]

    def put(self, block: Block, parts: Sequence[Tensor]) -> None:
        """Keep the gates of a block that were asked for."""
        is_only = block.rows.stop - block.rows.start == self._n_rows
        for name, part in zip(self._needed, parts, strict=True):
            if name in self._signals:
                if is_only and self._whole:
                    self.values[name] = part
                else:
                    self.rows(name, block).copy_(part)


class _Preactivations:
    """W_i x + W_h h + b for block after block of rows.

    One product over [x, h] saves a pass over the result; where there are fewer rows than columns
    in all, copying the weights side by side would cost more than that.
    """

    def __init__(self, weights: Weights, n_rows: int) -> None:
        self._weights = weights
        self._bias = weights.bias
        self._both = None
        if n_rows >= weights.input.shape[1] + weights.hidden.shape[1]:
            self._both = torch.cat([weights.input, weights.hidden], 1)

    def __call__(self, data: Tensor, previous: Tensor) -> Tensor:
        if self._both is not None:
            return affine(torch.cat([data, previous], 1), self._both, self._bias)
        block = affine(data, self._weights.input, self._bias)
        return block.add_(affine(previous, self._weights.hidden, None))


def _activate_(gates: Tensor, cell_gate: Tensor | None) -> None:
    """Apply tanh to the cell gate, which lies inside `gates`, and the sigmoid to the rest.

    Torch's float32 tanh on a CPU takes up to ten times as long as its sigmoid; 2 σ(2x) - 1 is
    within 1.2e-7 of it.
    """
    if cell_gate is None:
        gates.sigmoid_()
    elif gates.dtype == torch.float32 and gates.device.type == "cpu":
        cell_gate.mul_(2)
        gates.sigmoid_()
        cell_gate.mul_(2).sub_(1)
    else:
        tanh = cell_gate.tanh()
        gates.sigmoid_()
        cell_gate.copy_(tanh)
