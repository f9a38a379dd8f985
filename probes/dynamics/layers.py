"""The recurrent layers of a model: their weights, one step, and the step's exact derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from interp.capture.modules import ModuleNames
from interp.errors import ModelError, unknown_name
from interp.sites import escape

#: Gates in torch's order, by kind of net.
GATES = {
    "lstm": ("input_gate", "forget_gate", "cell_gate", "output_gate"),
    "gru": ("reset_gate", "update_gate", "new_gate"),
    "tanh": ("hidden",),
    "relu": ("hidden",),
}
_CELLS: dict[type[nn.Module], str] = {
    nn.LSTMCell: "lstm", nn.GRUCell: "gru", nn.RNNCell: "rnn",
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One layer in one direction of a recurrent module, or a cell; all weights in float64.

    The state is the hidden state, followed by the cell of an LSTM: [h, c].

    Attributes
    ----------
    name : str
        As in the names of its sites: ``"lstm/l0"``, ``"lstm/l1_reverse"``, ``"decoder.cell"``.
    module : str
        The module's path.
    kind : {"lstm", "gru", "tanh", "relu"}
    index : int or None
        The layer inside a fused module, None for a cell.
    reverse : bool
    w_ih, w_hh : Tensor
        (gates × n_cells, n_inputs) and (gates × n_cells, n_hidden).
    b_ih, b_hh : Tensor
        (gates × n_cells,), zero without biases.
    w_hr : Tensor or None
        (n_hidden, n_cells), the projection of an LSTM with ``proj_size``.
    """

    name: str
    module: str
    kind: str
    index: int | None
    reverse: bool
    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor
    b_hh: Tensor
    w_hr: Tensor | None = None

    @property
    def n_cells(self) -> int:
        """Rows of each gate."""
        return self.w_hh.shape[0] // len(GATES[self.kind])

    @property
    def n_hidden(self) -> int:
        """Length of the hidden state."""
        return self.w_hh.shape[1]

    @property
    def n_inputs(self) -> int:
        """Length of the input."""
        return self.w_ih.shape[1]

    @property
    def n_state(self) -> int:
        """Length of the state: hidden, and the cell of an LSTM."""
        return self.n_hidden + (self.n_cells if self.kind == "lstm" else 0)

    def recurrent(self, gate: str) -> Tensor:
        """Return the recurrent weights of one gate, (n_cells, n_hidden)."""
        return self.w_hh.chunk(len(GATES[self.kind]))[GATES[self.kind].index(gate)]


def recurrent_layers(model: nn.Module) -> dict[str, Layer]:
    """Return the layers of every ``nn.LSTM``, ``nn.GRU``, ``nn.RNN`` and cell inside a model.

    Parameters
    ----------
    model : nn.Module
        Any module; the recurrent ones are found by their type.

    Returns
    -------
    dict of str to Layer
        By name, in model order. Weights are detached copies on the CPU.

    Raises
    ------
    ModelError
        If there is none.
    """
    found = {layer.name: layer for layer in _layers(model)}
    if not found:
        kinds = sorted({type(module).__name__ for module in model.modules()})
        raise ModelError(
            f"{type(model).__name__} has no recurrent module of torch (nn.LSTM, nn.GRU, nn.RNN or "
            f"their cells); it is made of: {', '.join(kinds[:12])}. A recurrence written by hand "
            "has no weights that could be found by their names."
        )
    return found


def chosen_layers(model: nn.Module, names: list[str] | None) -> dict[str, Layer]:
    """Return all layers of a model, or those with some names, such as ``["lstm/l0"]``.

    Raises
    ------
    ModelError
        If a name is not among them.
    """
    layers = recurrent_layers(model)
    for name in names or ():
        if name not in layers:
            raise ModelError(unknown_name("recurrent layer", name, layers))
    return {name: layer for name, layer in layers.items() if names is None or name in names}


def _layers(model: nn.Module) -> Iterator[Layer]:
    for path, module in ModuleNames(model).modules.items():
        if isinstance(module, nn.RNNBase):
            kind = module.mode.removeprefix("RNN_").lower()
            for index in range(module.num_layers):
                for reverse in (False, True)[: 2 if module.bidirectional else 1]:
                    suffix = f"l{index}{'_reverse' if reverse else ''}"
                    yield Layer(
                        f"{escape(path)}/{suffix}", path, kind, index, reverse,
                        **_weights(module, f"_{suffix}"),
                    )  # fmt: skip
        elif type(module) in _CELLS:
            kind = _CELLS[type(module)]
            kind = str(module.nonlinearity) if kind == "rnn" else kind
            yield Layer(escape(path), path, kind, None, False, **_weights(module, ""))


def _weights(module: nn.Module, suffix: str) -> dict[str, Any]:
    def weight(name: str) -> Tensor | None:
        value = getattr(module, name + suffix, None)
        return None if value is None else value.detach().to("cpu", torch.float64)

    w_ih, w_hh = weight("weight_ih"), weight("weight_hh")
    assert w_ih is not None and w_hh is not None
    biases = (weight(name) for name in ("bias_ih", "bias_hh"))
    b_ih, b_hh = (w_hh.new_zeros(len(w_hh)) if bias is None else bias for bias in biases)
    return {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh, "w_hr": weight("weight_hr")}
