"""The handler of torch's cell functions, each call one step of a recurrent layer.

A cell's hidden and cell states are its own return values. Its gates are computed from what it was
given, by the same formulas as a fused layer's, as a sequence of one step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from interp.capture.mode import Function, handles
from interp.capture.modules import offers
from interp.capture.products import own_arithmetic
from interp.capture.reconstruction import Weights, gru_signals, lstm_signals
from interp.capture.session import Place
from interp.capture.steps import Steps
from interp.sites import CELL, GRU_GATES, HIDDEN, LSTM_GATES, SiteName

SIGNALS_OF: dict[Function, tuple[str, ...]] = {
    torch.lstm_cell: (HIDDEN, CELL, *LSTM_GATES),
    torch.gru_cell: (HIDDEN, *GRU_GATES),
    torch.rnn_tanh_cell: (HIDDEN,),
    torch.rnn_relu_cell: (HIDDEN,),
}
"""What each cell function can show, in model order."""

_MODULES: dict[type[nn.Module], Function] = {
    nn.LSTMCell: torch.lstm_cell,
    nn.GRUCell: torch.gru_cell,
    nn.RNNCell: torch.rnn_tanh_cell,
}


@offers
def _sites(module: nn.Module) -> Iterator[SiteName]:
    for kind, function in _MODULES.items():
        if isinstance(module, kind):
            yield from (SiteName("", signal) for signal in SIGNALS_OF[function])


@handles(*SIGNALS_OF)
def handle(
    places: Sequence[Place], function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run a cell function and record what each place wants of its step."""
    result = function(*args, **kwargs)
    wanted = {
        place: [signal for signal in SIGNALS_OF[function] if place.wants(signal)]
        for place in places
    }
    if not any(wanted.values()):
        return result
    with own_arithmetic(args[0].device):
        returned = result if isinstance(result, tuple) else (result,)
        values = dict(zip((HIDDEN, CELL), returned, strict=False))
        gates = {signal for signals in wanted.values() for signal in signals} - set(values)
        if gates:
            ordered = [signal for signal in SIGNALS_OF[function] if signal in gates]
            values |= _gates(function, returned[0].dtype, args, kwargs, ordered)
        for place, signals in wanted.items():
            for signal in signals:
                place.record_step(signal, values[signal], copy=signal not in gates)
    return result


def _gates(
    function: Function,
    dtype: torch.dtype,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    signals: Sequence[str],
) -> dict[str, Tensor]:
    names = ("input", "hx", "w_ih", "w_hh", "b_ih", "b_hh")
    named = dict(zip(names, args, strict=False)) | dict(kwargs)
    wide = torch.promote_types(dtype, torch.float32)

    def widened(value: Tensor) -> Tensor:
        return value.detach().to(dtype).to(wide)

    state = named["hx"] if isinstance(named["hx"], tuple | list) else [named["hx"]]
    flat = [widened(named[name]) for name in names[2:] if named.get(name) is not None]
    data, hidden = widened(named["input"]), widened(state[0])
    derive = lstm_signals if function is torch.lstm_cell else gru_signals
    values = derive(
        data, hidden, [widened(part) for part in state], Weights.of(flat, len(flat) == 4),
        Steps([len(data)]), signals,
    )  # fmt: skip
    return {name: part.to(dtype) for name, part in values.items()}
