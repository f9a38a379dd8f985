"""One step of a recurrent layer, and its derivatives with respect to state and input.

With pre-activations a = W x + U h + b, a step's differential is D da + E ds, where D holds the
slopes of the gates and E what carries the old state over by itself. dA/dh = U gives the Jacobian
of the state, da/dx = W that of the input; `docs/dynamics.md` has the blocks written out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from probes.dynamics.layers import Layer


class Derivatives(NamedTuple):
    """A step and its Jacobians, for a batch of states.

    Attributes
    ----------
    state : Tensor (batch, n_state)
        After the step.
    by_state : Tensor (batch, n_state, n_state)
        d state' / d state.
    by_input : Tensor (batch, n_state, n_inputs)
        d state' / d input.
    """

    state: Tensor
    by_state: Tensor
    by_input: Tensor


def step(layer: Layer, inputs: Tensor, state: Tensor) -> Tensor:
    """Return the state after one step.

    Parameters
    ----------
    layer : Layer
    inputs : Tensor (batch, n_inputs) float64
    state : Tensor (batch, n_state) float64

    Returns
    -------
    Tensor (batch, n_state)
    """
    hidden = state[:, : layer.n_hidden]
    if layer.kind == "lstm":
        i, f, g, o = _lstm_gates(layer, inputs, hidden)
        cell = f * state[:, layer.n_hidden :] + i * g
        shown = o * cell.tanh()
        return torch.cat([shown if layer.w_hr is None else shown @ layer.w_hr.T, cell], 1)
    if layer.kind == "gru":
        r, z, n, _ = _gru_gates(layer, inputs, hidden)
        return (1 - z) * n + z * hidden
    a = inputs @ layer.w_ih.T + layer.b_ih + hidden @ layer.w_hh.T + layer.b_hh
    return a.tanh() if layer.kind == "tanh" else a.relu()


def differentiate(layer: Layer, inputs: Tensor, state: Tensor) -> Derivatives:
    """Return one step and its Jacobians; parameters as for :func:`step`."""
    return _RULES[layer.kind](layer, inputs, state)


def _lstm_gates(layer: Layer, inputs: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
    a = inputs @ layer.w_ih.T + layer.b_ih + hidden @ layer.w_hh.T + layer.b_hh
    i, f, g, o = a.chunk(4, 1)
    return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()


def _gru_gates(layer: Layer, inputs: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
    from_input = (inputs @ layer.w_ih.T + layer.b_ih).chunk(3, 1)
    from_state = (hidden @ layer.w_hh.T + layer.b_hh).chunk(3, 1)
    r, z = ((x + h).sigmoid() for x, h in zip(from_input[:2], from_state[:2], strict=True))
    return r, z, (from_input[2] + r * from_state[2]).tanh(), from_state[2]


def _lstm(layer: Layer, inputs: Tensor, state: Tensor) -> Derivatives:
    cell = state[:, layer.n_hidden :]
    i, f, g, o = _lstm_gates(layer, inputs, state[:, : layer.n_hidden])
    after = f * cell + i * g
    squashed = after.tanh()
    slope = o * (1 - squashed**2)  # dh'/dc' before a projection
    to_cell = (g * i * (1 - i), cell * f * (1 - f), i * (1 - g**2))
    to_output = squashed * o * (1 - o)

    def rows(weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return dh' and dc' by what the pre-activations see through `weight`."""
        w_i, w_f, w_g, w_o = weight.chunk(4)
        by_input, by_forget, by_candidate = to_cell
        cells = _scaled(by_input, w_i) + _scaled(by_forget, w_f) + _scaled(by_candidate, w_g)
        shown = slope[:, :, None] * cells + _scaled(to_output, w_o)
        return _projected(layer, shown), cells

    h_by_h, c_by_h = rows(layer.w_hh)
    h_by_x, c_by_x = rows(layer.w_ih)
    h_by_c = _projected(layer, torch.diag_embed(slope * f))
    top, bottom = torch.cat([h_by_h, h_by_c], 2), torch.cat([c_by_h, torch.diag_embed(f)], 2)
    shown = o * squashed
    hidden = shown if layer.w_hr is None else shown @ layer.w_hr.T
    return Derivatives(
        torch.cat([hidden, after], 1), torch.cat([top, bottom], 1), torch.cat([h_by_x, c_by_x], 1)
    )


def _gru(layer: Layer, inputs: Tensor, hidden: Tensor) -> Derivatives:
    r, z, n, from_state = _gru_gates(layer, inputs, hidden)
    to_update = (hidden - n) * z * (1 - z)
    to_new = (1 - z) * (1 - n**2)
    to_reset = to_new * from_state * r * (1 - r)
    u_r, u_z, u_n = layer.w_hh.chunk(3)
    w_r, w_z, w_n = layer.w_ih.chunk(3)
    by_state = (
        torch.diag_embed(z) + _scaled(to_update, u_z) + _scaled(to_reset, u_r)
        + _scaled(to_new * r, u_n)
    )  # fmt: skip
    by_input = _scaled(to_update, w_z) + _scaled(to_reset, w_r) + _scaled(to_new, w_n)
    return Derivatives((1 - z) * n + z * hidden, by_state, by_input)


def _plain(layer: Layer, inputs: Tensor, hidden: Tensor) -> Derivatives:
    after = step(layer, inputs, hidden)
    slope = 1 - after**2 if layer.kind == "tanh" else (after > 0).to(after.dtype)
    return Derivatives(after, _scaled(slope, layer.w_hh), _scaled(slope, layer.w_ih))


def _scaled(rows: Tensor, weight: Tensor) -> Tensor:
    """Return diag(rows) @ weight for each of a batch, (batch, n, m)."""
    return rows[:, :, None] * weight


def _projected(layer: Layer, rows: Tensor) -> Tensor:
    return rows if layer.w_hr is None else layer.w_hr @ rows


_RULES: dict[str, Callable[[Layer, Tensor, Tensor], Derivatives]] = {
    "lstm": _lstm, "gru": _gru, "tanh": _plain, "relu": _plain,
}  # fmt: skip
