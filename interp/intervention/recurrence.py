"""A recurrent layer step by step, with units clamped inside the recurrence.

The clamped cell, gate or hidden state is what the rest of the step and the next step see. Products
with the input are taken over all steps at once; only the recurrent product waits for the step
before. Without clamps the result is the fused function's to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from interp.capture.mode import Function
from interp.capture.products import affine
from interp.capture.recurrent import Call
from interp.intervention.clamps import Entries
from interp.sites import CELL, GRU_GATES, HIDDEN, LSTM_GATES

Entered = Mapping[str, Entries]
"""The entries of one layer and direction, by signal."""
State = tuple[Tensor, ...]
Step = Callable[["LayerWeights", Tensor, State, Entered, int], State]


@dataclass(frozen=True)
class LayerWeights:
    """The weights of one layer in one direction, as torch lists them."""

    input: Tensor
    hidden: Tensor
    input_bias: Tensor | None
    hidden_bias: Tensor | None
    projection: Tensor | None = None

    @classmethod
    def of(cls, flat: Sequence[Tensor], has_biases: bool) -> LayerWeights:
        """Name the weights of torch's flat list."""
        biases = flat[2:4] if has_biases else (None, None)
        projection = flat[4 if has_biases else 2 :]
        return cls(flat[0], flat[1], *biases, *projection)


def run_clamped(call: Call, entries: Mapping[tuple[int, bool], Entered]) -> tuple[Tensor, ...]:
    """Run a fused recurrent call with clamps and return what the function returns.

    Layers without a clamp run through the fused function.

    Parameters
    ----------
    call : Call
        The whole call.
    entries : mapping of (layer, reverse) to mapping
        The entries of each clamped layer and direction, by signal, in the order of its rows.
    """
    data, lasts = call.data, []
    for index in range(call.n_layers):
        layer = call.layer(index, data)
        directions = (False, True)[: call.n_directions]
        if any((index, reverse) in entries for reverse in directions):
            parts = [_run_direction(layer, r, entries.get((index, r), {})) for r in directions]
            data = torch.cat([output for output, _ in parts], -1)
            lasts.append([torch.stack(state) for state in zip(*(p for _, p in parts), strict=True)])
        else:
            data, *last = layer.run()
            lasts.append(last)
    return (data, *(torch.cat(parts) for parts in zip(*lasts, strict=True)))


def as_computed(call: Call) -> Call:
    """Return a call with everything in the type that the function computes in under autocast."""
    if call.batch_sizes is not None:
        first = replace(
            call, data=call.data[: call.batch_sizes[0]], batch_sizes=call.batch_sizes[:1]
        )
    else:
        first = replace(call, data=call.data[:, :1] if call.batch_first else call.data[:1])
    with torch.no_grad():
        dtype = first.run()[0].dtype
    return replace(
        call,
        data=call.data.to(dtype),
        state=tuple(part.to(dtype) for part in call.state),
        weights=[part.to(dtype) for part in call.weights],
    )


def _run_direction(call: Call, reverse: bool, entries: Entered) -> tuple[Tensor, State]:
    """Return the hidden states, laid out like the data, and the last state of one direction."""
    per_direction = len(call.weights) // call.n_directions
    flat = call.weights[reverse * per_direction : (reverse + 1) * per_direction]
    weights = LayerWeights.of(flat, call.has_biases)
    state = tuple(part[int(reverse)] for part in call.state)
    data = call.data
    if call.batch_sizes is None:
        data = data.transpose(0, 1) if call.batch_first else data
        n_steps, batch = data.shape[:2]
        sizes = [batch] * n_steps
        data = data.reshape(n_steps * batch, data.shape[-1])
    else:
        sizes = call.batch_sizes.tolist()
    step, summed = _STEPS[call.function]
    bias = weights.input_bias
    if summed and bias is not None and weights.hidden_bias is not None:
        bias = bias + weights.hidden_bias
    inputs = affine(data.contiguous(), weights.input, bias).split(sizes)
    outputs: list[Tensor] = [data] * len(sizes)
    for index in reversed(range(len(sizes))) if reverse else range(len(sizes)):
        n = sizes[index]
        found = step(weights, inputs[index], tuple(part[:n] for part in state), entries, index)
        outputs[index] = found[0]
        # Rows that have ended, or in reverse not begun, keep their state.
        state = tuple(
            new if len(old) == n else torch.cat([new, old[n:]])
            for new, old in zip(found, state, strict=True)
        )
    if call.batch_sizes is not None:
        return torch.cat(outputs), state
    return torch.stack(outputs, 1 if call.batch_first else 0), state


def lstm_step(w: LayerWeights, data: Tensor, state: State, entries: Entered, index: int) -> State:
    """Return hidden and cell after one step of an LSTM.

    ``i, f, o = sigmoid(...)``, ``g = tanh(...)``, ``c = f c + i g``, ``h = o tanh(c)``, each
    clamped before it is used (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

    Parameters
    ----------
    w : LayerWeights
    data : Tensor (n_running, 4 n_units)
        The product with the step's input, all biases added.
    state : tuple of Tensor
        Hidden and cell before the step, (n_running, n).
    entries : mapping of str to Entries
        By signal.
    index : int
        The step.
    """
    hidden, cell = state
    pre = (data + affine(hidden, w.hidden, None)).chunk(4, -1)
    gates = [part.tanh() if k == 2 else part.sigmoid() for k, part in enumerate(pre)]
    i, f, g, o = (
        _put(entries, name, gate, index) for name, gate in zip(LSTM_GATES, gates, strict=True)
    )
    cell = _put(entries, CELL, torch.addcmul(i * g, f, cell), index)
    hidden = o * cell.tanh()
    if w.projection is not None:
        hidden = hidden @ w.projection.T
    return _put(entries, HIDDEN, hidden, index), cell


def gru_step(w: LayerWeights, data: Tensor, state: State, entries: Entered, index: int) -> State:
    """Return the hidden state after one step of a GRU (torch's variant of Cho et al. 2014).

    Parameters
    ----------
    w, data, state, entries, index
        As of :func:`lstm_step`; `data` has the input's bias only.
    """
    (hidden,) = state
    inputs, recurrent = data.chunk(3, -1), affine(hidden, w.hidden, w.hidden_bias).chunk(3, -1)
    reset, update, new = GRU_GATES
    r = _put(entries, reset, (inputs[0] + recurrent[0]).sigmoid(), index)
    z = _put(entries, update, (inputs[1] + recurrent[1]).sigmoid(), index)
    n = _put(entries, new, (inputs[2] + r * recurrent[2]).tanh(), index)
    return (_put(entries, HIDDEN, n + z * (hidden - n), index),)


def _plain_step(activate: Callable[[Tensor], Tensor]) -> Step:
    def step(w: LayerWeights, data: Tensor, state: State, entries: Entered, index: int) -> State:
        hidden = activate(data + affine(state[0], w.hidden, None))
        return (_put(entries, HIDDEN, hidden, index),)

    return step


def _put(entries: Entered, signal: str, values: Tensor, index: int) -> Tensor:
    found = entries.get(signal)
    return values if found is None else found.put(values, index)


_STEPS: dict[Function, tuple[Step, bool]] = {
    torch.lstm: (lstm_step, True),
    torch.gru: (gru_step, False),
    torch.rnn_tanh: (_plain_step(torch.tanh), True),
    torch.rnn_relu: (_plain_step(torch.relu), True),
}
"""The step of each fused function, and whether it takes both biases with the input."""
_CELLS: dict[Function, Function] = {
    torch.lstm_cell: torch.lstm,
    torch.gru_cell: torch.gru,
    torch.rnn_tanh_cell: torch.rnn_tanh,
    torch.rnn_relu_cell: torch.rnn_relu,
}
CELL_FUNCTIONS = tuple(_CELLS)


def run_cell_clamped(
    function: Function, data: Tensor, state: State, flat: Sequence[Tensor | None],
    entries: Entered, index: int = 0,
) -> State:  # fmt: skip
    """Run one of torch's cell functions with clamps and return the state after it.

    Parameters
    ----------
    function : callable
        ``torch.lstm_cell`` or one of its siblings.
    data : Tensor (batch, n_inputs)
    state : tuple of Tensor
        Hidden, and cell for an LSTM.
    flat : sequence of Tensor or None
        The four weights, biases None where there are none.
    entries : mapping of str to Entries
        By signal.
    index : int
        The step.
    """
    step, summed = _STEPS[_CELLS[function]]
    weights = LayerWeights(*flat)  # type: ignore[arg-type]
    bias = weights.input_bias
    if summed and bias is not None and weights.hidden_bias is not None:
        bias = bias + weights.hidden_bias
    return step(weights, affine(data.contiguous(), weights.input, bias), state, entries, index)
