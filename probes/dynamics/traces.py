"""What each recurrent layer read and held at every step of a run of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from interp.capture import Recorder
from interp.errors import ModelError
from interp.sites import CELL, HIDDEN, INPUT, SiteName
from probes.dynamics.layers import Layer, recurrent_layers
from probes.dynamics.steps import step

#: A step of ours that differs from the model's by more than this is not the model's step; for
#: half precision, by more roundings than this.
_TOLERANCE = 1e-4
_ROUNDINGS = 16


@dataclass(frozen=True)
class Trace:
    """One layer over the steps of a batch, in float64, in the order in which it reads them.

    Attributes
    ----------
    layer : Layer
    inputs : Tensor (batch, steps, n_inputs)
    states : Tensor (batch, steps, n_state)
        After each step.
    lengths : Tensor (batch,) int64
        Steps of each row.
    rounding : float
        Of the type that the model computes in.
    """

    layer: Layer
    inputs: Tensor
    states: Tensor
    lengths: Tensor
    rounding: float = 0.0

    def at(self, rows: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Return input and preceding state of some steps (from 1 on) of some rows."""
        return self.inputs[rows, steps], self.states[rows, steps - 1]

    def step_error(self, rows: Tensor, steps: Tensor) -> float:
        """Return how far one step of ours from the recorded states is from the recorded next."""
        inputs, before = self.at(rows, steps)
        difference = (step(self.layer, inputs, before) - self.states[rows, steps]).abs()
        return float(difference.max()) if len(rows) else 0.0

    def check(self, rows: Tensor, steps: Tensor) -> float:
        """Return the step error.

        Raises
        ------
        ModelError
            If it is so large that the layer does something else than its weights say.
        """
        error = self.step_error(rows, steps)
        scale = max(1.0, float(self.states.abs().max()))
        if not error <= max(_TOLERANCE, _ROUNDINGS * self.rounding) * scale:
            raise ModelError(
                f"{self.layer.name} does not compute what its weights say: one step from a "
                f"recorded state is {error:.2g} away from the next recorded state. Is it called "
                "with another state in between, in train mode, or quantised?"
            )
        return error


def run_and_trace(
    model: nn.Module,
    batch: Any,
    layers: Sequence[Layer] | None = None,
    forward: Callable[[nn.Module, Any], Any] | None = None,
) -> dict[str, Trace]:
    """Run a model on a batch and return what its recurrent layers read and held.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    batch : object
        What `forward` takes.
    layers : sequence of Layer, optional
        Default: all that the model has.
    forward : callable, optional
        ``forward(model, batch)``; by default ``model(batch)``.

    Returns
    -------
    dict of str to Trace
    """
    known = recurrent_layers(model)
    chosen = list(known.values()) if layers is None else list(layers)
    sites = {site for layer in chosen for site in _sites(layer, known)}
    with Recorder(model, sites=sorted(sites)) as recorder, torch.no_grad():
        if forward is None:
            model(batch)
        else:
            forward(model, batch)
    return {layer.name: _trace(recorder, layer, known) for layer in chosen}


def _site(layer: Layer, signal: str) -> str:
    return str(SiteName(layer.module, signal, layer.index, layer.reverse))


def _below(layer: Layer, known: dict[str, Layer]) -> list[Layer]:
    """Return the layers, one per direction, whose hidden states this one reads."""
    return [
        other for other in known.values()
        if layer.index and other.module == layer.module and other.index == layer.index - 1
    ]  # fmt: skip


def _sites(layer: Layer, known: dict[str, Layer]) -> list[str]:
    own = [HIDDEN, CELL] if layer.kind == "lstm" else [HIDDEN]
    found = [_site(layer, signal) for signal in own]
    below = _below(layer, known)
    if not below:
        return [*found, str(SiteName(layer.module, INPUT))]
    return [*found, *(_site(other, HIDDEN) for other in below)]


def _trace(recorder: Recorder, layer: Layer, known: dict[str, Layer]) -> Trace:
    def values(site: str) -> Tensor:
        return recorder[site].to(torch.float64)

    below = _below(layer, known)
    if below:
        inputs = torch.cat([values(_site(other, HIDDEN)) for other in below], -1)
    else:
        inputs = values(str(SiteName(layer.module, INPUT)))
    own = [HIDDEN, CELL] if layer.kind == "lstm" else [HIDDEN]
    states = torch.cat([values(_site(layer, signal)) for signal in own], -1)
    lengths = recorder.lengths(_site(layer, HIDDEN))
    if layer.reverse:
        inputs, states = _turned(inputs, lengths), _turned(states, lengths)
    rounding = torch.finfo(recorder[_site(layer, HIDDEN)].dtype).eps
    return Trace(layer, inputs, states, lengths, rounding)


def _turned(values: Tensor, lengths: Tensor) -> Tensor:
    """Return each row with its own steps in the opposite order."""
    turned = values.clone()
    for row, length in enumerate(lengths.tolist()):
        turned[row, :length] = values[row, :length].flip(0)
    return turned
