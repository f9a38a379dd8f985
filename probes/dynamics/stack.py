"""The layers of one recurrent module as one map from state to state, under a given input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from interp.errors import ModelError
from probes.dynamics.layers import Layer
from probes.dynamics.steps import differentiate, step


class Stack:
    """A recurrent module, step by step: each layer reads the new hidden state of the one below.

    Parameters
    ----------
    layers : sequence of Layer
        Of one module, from the bottom up.

    Raises
    ------
    ModelError
        If the module is bidirectional: the reverse direction's step goes the other way.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        if any(layer.reverse for layer in layers):
            raise ModelError(
                f"{layers[0].module} is bidirectional: its two directions step through time in "
                "opposite ways, so it is no map from one state to the next. Take its layers one "
                "by one, such as with interp dynamics jacobian."
            )
        self.layers = list(layers)
        sizes = [layer.n_state for layer in layers]
        self._bounds = [sum(sizes[:i]) for i in range(len(sizes) + 1)]

    @property
    def n_state(self) -> int:
        """Length of the state: that of every layer, one after the other."""
        return self._bounds[-1]

    @property
    def n_inputs(self) -> int:
        """Length of the input."""
        return self.layers[0].n_inputs

    def parts(self, state: Tensor) -> list[Tensor]:
        """Return each layer's part of states (batch, n_state)."""
        return [state[:, a:b] for a, b in zip(self._bounds[:-1], self._bounds[1:], strict=True)]

    def top(self, state: Tensor) -> Tensor:
        """Return the top layer's hidden state, (batch, n_hidden)."""
        return self.parts(state)[-1][:, : self.layers[-1].n_hidden]

    def step(self, inputs: Tensor, state: Tensor) -> Tensor:
        """Return the state after one step; see :func:`probes.dynamics.steps.step`."""
        found = []
        for layer, part in zip(self.layers, self.parts(state), strict=True):
            found.append(step(layer, inputs, part))
            inputs = found[-1][:, : layer.n_hidden]
        return torch.cat(found, 1)

    def differentiate(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next state (batch, n_state) and d state' / d state (batch, n, n).

        The Jacobian is block lower triangular: a layer sees the layers below it, not above.
        """
        jacobian = state.new_zeros(len(state), self.n_state, self.n_state)
        found = []
        below: Tensor | None = None  # d inputs of this layer / d state
        for i, (layer, part) in enumerate(zip(self.layers, self.parts(state), strict=True)):
            here = differentiate(layer, inputs, part)
            start, stop = self._bounds[i], self._bounds[i + 1]
            if below is not None:
                jacobian[:, start:stop] = here.by_input @ below
            jacobian[:, start:stop, start:stop] += here.by_state
            below = jacobian[:, start : start + layer.n_hidden]
            inputs = here.state[:, : layer.n_hidden]
            found.append(here.state)
        return torch.cat(found, 1), jacobian
