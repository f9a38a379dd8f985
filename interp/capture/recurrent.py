"""The handler of torch's fused recurrent functions: every layer's hidden states, cells and gates.

``torch.lstm`` and its siblings run all layers in one call and return the top layer's hidden
states. Here the call is run one layer at a time through the same function, which costs the same
and shows every layer; `reconstruction` derives cells and gates from that.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from interp.capture.mode import Function, handles
from interp.capture.modules import offers
from interp.capture.packing import Order, order_of
from interp.capture.products import own_arithmetic
from interp.capture.reconstruction import Weights, gru_signals, lstm_signals
from interp.capture.session import Place
from interp.capture.steps import Alike, Steps, unpack
from interp.errors import CaptureError
from interp.heap import keep_freed_blocks
from interp.sites import CELL, GRU_GATES, HIDDEN, LSTM_GATES, SiteName

SIGNALS_OF: dict[Function, tuple[str, ...]] = {
    torch.lstm: (HIDDEN, CELL, *LSTM_GATES),
    torch.gru: (HIDDEN, *GRU_GATES),
    torch.rnn_tanh: (HIDDEN,),
    torch.rnn_relu: (HIDDEN,),
}
"""What each fused function can show, in model order."""
FUNCTION_OF: dict[str, Function] = {
    "LSTM": torch.lstm, "GRU": torch.gru, "RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu,
}  # fmt: skip
"""The fused function of each mode of `nn.RNNBase`."""


@dataclass(slots=True)
class Call:
    """The arguments of a fused recurrent function.

    Attributes
    ----------
    function : callable
        ``torch.lstm``, ``torch.gru``, ``torch.rnn_tanh`` or ``torch.rnn_relu``.
    data : Tensor
        (steps, batch, n_inputs), with the first two swapped when `batch_first`, or
        (rows, n_inputs) when packed.
    state : tuple of Tensor
        Initial hidden, and cell for an LSTM, each (layers × directions, batch, n_units).
    weights : list of Tensor
        The flat list of all layers.
    order : Order
        Of the sequences, when packed.
    """

    function: Function
    data: Tensor
    state: tuple[Tensor, ...]
    weights: Sequence[Tensor]
    has_biases: bool
    n_layers: int
    dropout: float
    train: bool
    bidirectional: bool
    batch_first: bool = False
    batch_sizes: Tensor | None = None
    order: Order = Order()

    @classmethod
    def bind(cls, function: Function, args: tuple[Any, ...], arguments: Iterable[Any] = ()) -> Call:
        """Name the positional arguments of a call; `arguments` are the module's that makes it."""
        is_lstm = function is torch.lstm
        state_at_2 = isinstance(args[2], tuple | list) if is_lstm else isinstance(args[2], Tensor)
        if isinstance(args[1], Tensor) and state_at_2:
            data, batch_sizes, state, *rest = args
            batch_first = False
        else:
            data, state, *rest, batch_first = args
            batch_sizes = None
        weights, has_biases, n_layers, dropout, train, bidirectional = rest
        return cls(
            function, data, tuple(state) if is_lstm else (state,), weights, has_biases, n_layers,
            dropout, train, bidirectional, batch_first, batch_sizes,
            order_of(batch_sizes, arguments),
        )  # fmt: skip

    @property
    def n_steps(self) -> int:
        """Steps of the longest sequence."""
        if self.batch_sizes is not None:
            return len(self.batch_sizes)
        return self.data.shape[1 if self.batch_first else 0]

    @property
    def n_directions(self) -> int:
        """1, or 2 when bidirectional."""
        return 2 if self.bidirectional else 1

    def layer(self, index: int, data: Tensor) -> Call:
        """Return the call of one layer alone, fed with `data`."""
        n = self.n_directions
        per_layer = len(self.weights) // self.n_layers
        return Call(
            self.function,
            data,
            tuple(part[index * n : (index + 1) * n] for part in self.state),
            self.weights[index * per_layer : (index + 1) * per_layer],
            self.has_biases,
            1,
            0.0,
            self.train,
            self.bidirectional,
            self.batch_first,
            self.batch_sizes,
            self.order,
        )

    def run(self) -> tuple[Tensor, ...]:
        """Call the function: output, last hidden and, for an LSTM, last cell."""
        state = self.state if self.function is torch.lstm else self.state[0]
        rest = (
            state, self.weights, self.has_biases, self.n_layers, self.dropout, self.train,
            self.bidirectional,
        )  # fmt: skip
        if self.batch_sizes is None:
            return self.function(self.data, *rest, self.batch_first)
        return self.function(self.data, self.batch_sizes, *rest)


@dataclass(slots=True)
class LayerRun:
    """One layer of a call: its call alone, and what that returned."""

    call: Call
    result: tuple[Tensor, ...]


def run_layers(call: Call) -> tuple[tuple[Tensor, ...], list[LayerRun]]:
    """Run a call layer by layer; return what the whole call returns, and each layer's part."""
    runs: list[LayerRun] = []
    data = call.data
    for index in range(call.n_layers):
        layer = call.layer(index, data)
        result = layer.run()
        runs.append(LayerRun(layer, result))
        data = result[0]
        if call.train and call.dropout and index < call.n_layers - 1:
            data = torch.dropout(data, call.dropout, True)
    if len(runs) == 1:
        return runs[0].result, runs
    last = (torch.cat(parts) for parts in zip(*(run.result[1:] for run in runs), strict=True))
    return (data, *last), runs


_verified: weakref.WeakKeyDictionary[nn.Module, dict[Any, bool]] = weakref.WeakKeyDictionary()
"""Which modules gave the same bits layer by layer, by kind of call."""


def _run(call: Call, module: nn.Module) -> tuple[tuple[Tensor, ...], list[LayerRun]]:
    """Return the result of a call of several layers, to the bit, and each layer's part."""
    if call.train and call.dropout:
        return _run_with_dropout(call)
    known = _verified.setdefault(module, {})
    key = _kind(call)
    if key not in known:
        result = call.run()
        with torch.no_grad():
            again, runs = run_layers(call)
        known[key] = _same_bits(result, again)
        return result, runs
    if known[key]:
        return run_layers(call)
    result = call.run()
    with torch.no_grad():
        return result, run_layers(call)[1]


def _kind(call: Call) -> tuple[Any, ...]:
    """Return what decides which kernels a call takes; on an accelerator the shapes do, too."""
    data = call.data
    return (
        call.function, call.n_layers, call.has_biases, call.bidirectional, call.train,
        call.batch_first, call.batch_sizes is None, data.dtype, data.device,
        torch.is_grad_enabled(), torch.get_num_threads(),
        torch.is_autocast_enabled(data.device.type),
        None if data.device.type == "cpu" else tuple(data.shape),
    )  # fmt: skip


def _same_bits(one: Iterable[Tensor], other: Iterable[Tensor]) -> bool:
    return all(
        torch.equal(a, b) or bool(((a == b) | (a.isnan() & b.isnan())).all())
        for a, b in zip(one, other, strict=True)
    )


def _run_with_dropout(call: Call) -> tuple[tuple[Tensor, ...], list[LayerRun]]:
    """Run a call with dropout between its layers twice, from the same random state."""
    device = call.data.device
    # Not under no_grad: there dropout draws other numbers.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        again, runs = run_layers(call)
    result = call.run()
    if not _same_bits(result, again):
        raise CaptureError(
            "This recurrent module is in train mode with dropout between its layers, and run layer "
            "by layer it drew other random numbers. Call model.eval() first."
        )
    return result, runs


@offers
def _sites(module: nn.Module) -> Iterator[SiteName]:
    if not isinstance(module, nn.RNNBase):
        return
    function = FUNCTION_OF[module.mode]
    for layer in range(module.num_layers):
        for reverse in (False, True)[: 2 if module.bidirectional else 1]:
            for signal in SIGNALS_OF[function]:
                yield SiteName("", signal, layer, reverse)


@handles(*SIGNALS_OF)
def handle(
    places: Sequence[Place], function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run a fused recurrent function and record what each place wants of it."""
    call = Call.bind(function, args, _given(places[-1]))
    wishes = [
        (place, wish) for place in places if not place.shows_all for wish in wishes_of(place, call)
    ]
    if not wishes:
        return function(*args, **kwargs)
    if call.n_layers == 1:
        result = function(*args, **kwargs)
        runs = [LayerRun(call, result)]
    else:
        result, runs = _run(call, places[-1].module)
    with own_arithmetic(call.data.device):
        for place, wish in wishes:
            record_layer(place, runs[wish.layer], wish)
    return result


def _given(place: Place) -> Iterator[Any]:
    args, kwargs = place.arguments[-1]
    yield from (*args, *kwargs.values())


@dataclass(slots=True)
class Wish:
    """What a place wants of one layer and direction."""

    layer: int
    reverse: bool
    signals: list[str]
    derived: list[str]
    is_top: bool


def wishes_of(place: Place, call: Call) -> list[Wish]:
    """Return what a place wants of a call, by layer and direction; the same for every forward."""
    key = call.function, call.n_layers, call.bidirectional
    found: list[Wish] | None = place.plans.get(key)
    if found is None:
        found = place.plans[key] = []
        for layer in range(call.n_layers):
            for reverse in (False, True)[: call.n_directions]:
                signals = [s for s in SIGNALS_OF[call.function] if place.wants(s, layer, reverse)]
                derived = [signal for signal in signals if signal != HIDDEN]
                if signals:
                    found.append(Wish(layer, reverse, signals, derived, layer == call.n_layers - 1))
    return found


def record_layer(place: Place, run: LayerRun, wish: Wish) -> None:
    """Record signals of one layer and direction; only the top layer's output is the model's."""
    keep_freed_blocks()
    hidden = run.result[0]
    if hidden.requires_grad:
        hidden = hidden.detach()
    if run.call.bidirectional:
        hidden = hidden.chunk(2, -1)[wish.reverse]
    values = {HIDDEN: hidden}
    if wish.derived:
        values |= _derive(run, hidden, wish.reverse, wish.derived)
    for signal in wish.signals:
        found, lengths = values[signal], None
        copy = wish.is_top and signal == HIDDEN
        if run.call.batch_sizes is not None:
            found, lengths = unpack(PackedSequence(found, run.call.batch_sizes, *run.call.order))
            copy = False
        elif not (signal == HIDDEN and run.call.batch_first):
            found = found.transpose(0, 1)
        place.record(
            signal, found, layer=wish.layer, reverse=wish.reverse, lengths=lengths, copy=copy
        )


def _derive(run: LayerRun, hidden: Tensor, reverse: bool, signals: list[str]) -> dict[str, Tensor]:
    """Return the cells and gates of one layer and direction, time first or packed.

    They are computed in float32 at least, without gradients (the caller sees to that), and
    returned in the type of the hidden states.
    """
    call = run.call
    per_direction = len(call.weights) // call.n_directions
    mine = call.weights[reverse * per_direction : (reverse + 1) * per_direction]
    data = call.data
    if call.batch_sizes is not None:
        sizes: Sequence[int] = call.batch_sizes.tolist()
        shape = data.shape[:1]
    else:
        if call.batch_first:
            data, hidden = data.transpose(0, 1), hidden.transpose(0, 1)
        shape = data.shape[:2]
        sizes = Alike(shape[1], shape[0])
    dtype = hidden.dtype
    weights = Weights.of(mine, call.has_biases)
    state = [part[int(reverse)] for part in call.state]
    wide = torch.promote_types(dtype, torch.float32)
    if not data.dtype == weights.input.dtype == dtype == wide:
        # As the kernel sees them (autocast rounds what it is given), in a type to compute in.
        data, *state = (part.to(dtype).to(wide) for part in (data, *state))
        weights, hidden = weights.to(dtype).to(wide), hidden.to(wide)
    anchored = partial(lstm_signals, anchored=dtype == torch.float32)
    derive = gru_signals if call.function is torch.gru else anchored
    rows, states = (part.reshape(-1, part.shape[-1]) for part in (data, hidden))
    values = derive(rows, states, state, weights, Steps(sizes, reverse), signals)
    if dtype != wide:
        values = {name: part.to(dtype) for name, part in values.items()}
    return {name: part.view(*shape, part.shape[-1]) for name, part in values.items()}
