"""A single recurrent layer of torch's own, recorded from what it was given and has returned.

Its output is its hidden states, and cells and gates follow from these (`reconstruction`). A hook
sees both, so that no function mode is on the way, which 18 calls in the module's own forward would
pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from interp.capture.hooks import observes
from interp.capture.modules import offered_by
from interp.capture.packing import Order
from interp.capture.products import own_arithmetic
from interp.capture.recurrent import FUNCTION_OF, Call, LayerRun, record_layer, wishes_of
from interp.capture.session import Place
from interp.sites import HIDDEN


@observes
def observe(place: Place, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
    """Record what a place wants of its layer."""
    call = _call(place.module, *args, **kwargs)
    hidden = output[0]
    if isinstance(hidden, PackedSequence):
        hidden = hidden.data
    elif hidden.ndim == 2:
        hidden = hidden.unsqueeze(0 if call.batch_first else 1)
    with own_arithmetic(call.data.device):
        for wish in wishes_of(place, call):
            record_layer(place, LayerRun(call, (hidden,)), wish)


def derives(place: Place) -> bool:
    """Return whether more is wanted of a single layer than the states it returns."""
    return place.shows_all and any(
        place.wants(site.signal, site.layer, site.reverse)
        for site in offered_by(place.module)
        if site.signal != HIDDEN
    )


def _call(layer: Any, input: Any, hx: Any = None) -> Call:
    """Return the call that a layer makes for the arguments of its forward, named as there."""
    data, batch_sizes, order = input, None, Order()
    if isinstance(input, PackedSequence):
        data, batch_sizes, *indices = input
        order = Order(*indices)
        n_sequences = int(batch_sizes[0])
    else:
        batch = 0 if layer.batch_first else 1
        data = input if input.ndim == 3 else input.unsqueeze(batch)
        n_sequences = data.shape[batch]
    return Call(
        FUNCTION_OF[layer.mode], data, _state(layer, data, n_sequences, hx, order.sorted_indices),
        layer._flat_weights, layer.bias, 1, 0.0, layer.training, False, layer.batch_first,
        batch_sizes, order,
    )  # fmt: skip


def _state(
    layer: Any, data: Tensor, n_sequences: int, given: Any, order: Tensor | None
) -> tuple[Tensor, ...]:
    """Return the initial hidden state and, for an LSTM, cell: (1, sequences, n) each."""
    if given is None:
        widths = [layer.proj_size or layer.hidden_size, layer.hidden_size]
        return tuple(
            data.new_zeros(1, n_sequences, width)
            for width in widths[: 2 if layer.mode == "LSTM" else 1]
        )
    parts = given if isinstance(given, tuple | list) else (given,)
    parts = tuple(part if part.ndim == 3 else part.unsqueeze(1) for part in parts)
    return parts if order is None else tuple(part.index_select(1, order) for part in parts)
