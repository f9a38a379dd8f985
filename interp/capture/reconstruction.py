"""Cells and gates of one recurrent layer, from its input, its hidden states and its weights.

The hidden states are the fused kernel's own, so no error grows along the sequence: every gate
depends on the recorded previous hidden state alone, all steps at once, and only the cell is
accumulated. ``docs/reconstruction.md`` has the equations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from interp.capture.anchoring import LARGE, anchor_cells_
from interp.capture.products import affine
from interp.capture.scan import Columns, scan_
from interp.capture.steps import Block, Steps
from interp.heap import LARGEST_KEPT
from interp.sites import CELL, GRU_GATES, LSTM_GATES

_BLOCK = 1 << 24
"""Values of gates that are computed at a time, so that what is needed only on the way takes no
more memory for a long sequence."""
_CACHED = 1 << 20
"""Values of gates that are passed over at a time, so that they stay in the processor's cache."""


class Weights(NamedTuple):
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
    anchored: bool = False,
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
    anchored : bool
        Whether cells that drifted are to agree with the hidden states again (`anchoring`); these
        must not have been rounded to a smaller type.

    Returns
    -------
    dict of str to Tensor
        (rows, n_units) each.
    """
    needed = [g for g in LSTM_GATES if g in signals or (CELL in signals and g != LSTM_GATES[3])]
    chosen = weights.of_gates([LSTM_GATES.index(gate) for gate in needed], 4)
    kept = _Kept(needed, signals, data.shape[0], state[1])
    preactivations = _Preactivations(chosen, needed, data.shape[0])
    initial = cell = state[1]
    largest = initial.new_zeros(initial.shape[1])
    for block in steps.blocks(_BLOCK // chosen.input.shape[0]):
        groups = preactivations(data, hidden, state[0], steps, block)
        cells = kept.rows(CELL, block) if CELL in signals else None
        for small in Steps(block.sizes, steps.reverse).blocks(_CACHED // chosen.input.shape[0]):
            rows = small.rows
            for group in groups:
                group.activate_(rows)
            if cells is not None:
                gates = [gate for group in groups for gate in group.columns(rows)][:3]
                cell = scan_(
                    _take(cells, rows), gates, cell, initial, small.sizes, steps.reverse, largest
                )
        kept.put(block, [part for group in groups for part in group.gates])
    if anchored and CELL in signals:
        _anchor_(kept.values[CELL], largest, data, hidden, state, weights, steps)
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
    kept = _Kept(needed, signals, data.shape[0], state[0])
    for block in steps.blocks(_BLOCK // chosen.input.shape[0]):
        gates = affine(data[block.rows], chosen.input, chosen.input_bias)
        previous = steps.previous(hidden, state[0], block)
        others = affine(previous, chosen.hidden, chosen.hidden_bias).chunk(len(needed), -1)
        parts = gates.chunk(len(needed), -1)
        for name, part, other in zip(needed, parts, others, strict=True):
            if name == GRU_GATES[2]:
                part.addcmul_(parts[0], other)
                _Group(part, 1, 0, doubled=False).activate_(slice(0, part.shape[0]))
            else:
                part.add_(other).sigmoid_()
        kept.put(block, parts)
    return kept.values


def _anchor_(
    cells: Tensor,
    largest: Tensor,
    data: Tensor,
    hidden: Tensor,
    state: Sequence[Tensor],
    weights: Weights,
    steps: Steps,
) -> None:
    """Correct cells where they drifted, as far as hidden states show them.

    Sequences of different lengths are left as they are, and so are layers with a projection, which
    hides what each unit showed.
    """
    if not steps.is_uniform or hidden.shape[1] != cells.shape[1]:
        return
    units = torch.nonzero(largest > LARGE)[:, 0]
    if not len(units):
        return
    names = [LSTM_GATES[1], LSTM_GATES[3]]
    initial = [state[0], state[1][:, units]]
    gates = lstm_signals(data, hidden, initial, weights.of_units(units, 4), steps, names)
    parts = cells[:, units], hidden[:, units], *(gates[name] for name in names)
    shape = len(steps.sizes), steps.sizes[0], len(units)
    corrected, *others = (part.view(shape) for part in parts)
    in_order = [part.flip(0) if steps.reverse else part for part in (corrected, *others)]
    if anchor_cells_(*in_order):
        found = in_order[0].flip(0) if steps.reverse else in_order[0]
        cells[:, units] = found.view(len(cells), -1)


def _take(values: Tensor, rows: slice) -> Tensor:
    """Return some rows; without a view of its own where these are all, which costs a call."""
    return values if rows.stop - rows.start == values.shape[0] else values[rows]


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
        return _take(self.values[name], block.rows)

    def put(self, block: Block, parts: Sequence[Tensor]) -> None:
        """Keep the gates of a block that were asked for."""
        is_only = block.rows.stop - block.rows.start == self._n_rows
        for name, part in zip(self._needed, parts, strict=True):
            if name in self._signals:
                if is_only and self._whole:
                    self.values[name] = part
                else:
                    self.rows(name, block).copy_(part)


class _Group:
    """Gates that lie side by side in one tensor, (rows, gates × n_units).

    Parameters
    ----------
    values : Tensor
        What goes into the sigmoid or tanh of each gate.
    n_gates : int
        Number of gates.
    cell_gate : int or None
        Which of them is the cell gate, whose function is tanh.
    doubled : bool
        Whether the cell gate's values are doubled already, see `activate_`.
    """

    def __init__(self, values: Tensor, n_gates: int, cell_gate: int | None, doubled: bool) -> None:
        self.values = values
        self.gates: Sequence[Tensor] = values.chunk(n_gates, -1) if n_gates > 1 else [values]
        self._cell_gate = None if cell_gate is None else self.gates[cell_gate]
        self._doubled = doubled

    def columns(self, rows: slice) -> list[Columns]:
        """Return where each gate lies in some rows."""
        values, n_units = _take(self.values, rows), self.gates[0].shape[1]
        return [Columns(values, k * n_units) for k in range(len(self.gates))]

    def activate_(self, rows: slice) -> None:
        """Apply tanh to the cell gate and the sigmoid to the rest, in some rows.

        Torch's float32 tanh on a CPU takes up to ten times as long as its sigmoid; 2 σ(2x) - 1 is
        within 1.2e-7 of it.
        """
        values = _take(self.values, rows)
        if self._cell_gate is None:
            values.sigmoid_()
            return
        cell_gate = _take(self._cell_gate, rows)
        if _by_sigmoid(values):
            if not self._doubled:
                cell_gate.mul_(2)
            values.sigmoid_()
            torch.add(_MINUS_ONE, cell_gate, alpha=2, out=cell_gate)
        else:
            tanh = cell_gate.tanh()
            values.sigmoid_()
            cell_gate.copy_(tanh)


_MINUS_ONE = torch.tensor(-1.0, dtype=torch.float32, device="cpu")


def _by_sigmoid(values: Tensor) -> bool:
    return values.dtype == torch.float32 and values.device.type == "cpu"


class _Preactivations:
    """W_i x + W_h h + b for block after block of rows.

    One product over [x, h] saves a pass over the result; where there are fewer rows than columns
    in all, copying the weights side by side would cost more than that. On a CPU a result of 32 MiB
    or more is cut into several, with some gates each: the C library gives such memory back to the
    system each time it is freed, and getting its pages anew costs as much as half the product.
    """

    def __init__(self, weights: Weights, gates: Sequence[str], n_rows: int) -> None:
        self._weights = weights
        self._gates = gates
        self._is_joined = n_rows >= weights.input.shape[1] + weights.hidden.shape[1]
        n_bytes = n_rows * weights.input.shape[0] * weights.input.element_size()
        self._n_groups = 1
        if weights.input.device.type == "cpu" and n_bytes > LARGEST_KEPT:
            n_parts = -(-n_bytes // LARGEST_KEPT)
            divisors = [n for n in range(2, len(gates)) if len(gates) % n == 0]
            self._n_groups = next((n for n in divisors if n >= n_parts), len(gates))
        self._prepared = self._prepare()

    def _prepare(self) -> list[tuple[tuple[Tensor, ...], Tensor | None, int | None]]:
        """Return weights, bias and the place of the cell gate of each group."""
        per_group = len(self._gates) // self._n_groups
        n_units = self._weights.input.shape[0] // len(self._gates)
        whole = self._weights.input, self._weights.hidden
        joined = (torch.cat(whole, 1),) if self._is_joined else whole
        bias = self._weights.bias
        place = self._gates.index(LSTM_GATES[2]) if LSTM_GATES[2] in self._gates else None
        if place is not None and self._is_joined and _by_sigmoid(joined[0]):
            rows = slice(place * n_units, (place + 1) * n_units)
            joined[0][rows].mul_(2)  # by a power of two: the product is the same to the bit
            if bias is not None:
                bias[rows].mul_(2)
        if self._n_groups == 1:
            return [(joined, bias, place)]
        biases = [None] * self._n_groups if bias is None else bias.chunk(self._n_groups)
        parts = zip(*(part.chunk(self._n_groups) for part in joined), strict=True)
        inside = [
            place - i * per_group if place is not None and place // per_group == i else None
            for i in range(self._n_groups)
        ]
        return list(zip(parts, biases, inside, strict=True))

    def __call__(
        self, data: Tensor, hidden: Tensor, initial: Tensor, steps: Steps, block: Block
    ) -> list[_Group]:
        inputs = self._inputs(data, hidden, initial, steps, block)
        groups = []
        for weights, bias, cell_gate in self._prepared:
            values = affine(inputs[0], weights[0], bias)
            for other, weight in zip(inputs[1:], weights[1:], strict=True):
                values.add_(affine(other, weight, None))
            n_gates = len(self._gates) // self._n_groups
            groups.append(_Group(values, n_gates, cell_gate, self._is_joined))
        return groups

    def _inputs(
        self, data: Tensor, hidden: Tensor, initial: Tensor, steps: Steps, block: Block
    ) -> list[Tensor]:
        data = _take(data, block.rows)
        if not self._is_joined:
            return [data, steps.previous(hidden, initial, block)]
        n_inputs = data.shape[1]
        both = data.new_empty(data.shape[0], n_inputs + hidden.shape[1])
        both[:, :n_inputs].copy_(data)
        steps.put_previous(both[:, n_inputs:], hidden, initial, block)
        return [both]
