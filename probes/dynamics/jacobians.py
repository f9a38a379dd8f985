"""The spectrum of d state_{t+1} / d state_t at positions of real text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from interp.errors import InterpError
from probes.dynamics.layers import chosen_layers
from probes.dynamics.lyapunov import lyapunov_exponents
from probes.dynamics.steps import differentiate
from probes.dynamics.traces import Trace, run_and_trace
from probes.findings import plain


@dataclass
class StepSpectra:
    """The step Jacobians of one layer at some positions.

    Attributes
    ----------
    layer, kind : str
    n_state : int
        Length of the state: [h, c] for an LSTM, h otherwise.
    places : list of (int, int)
        Document (or row, counted over all batches) and position.
    eigenvalues : ndarray (n_positions, n_state) complex128
        Largest absolute value first.
    norm : ndarray (n_positions,)
        Largest singular value: the most by which one step can stretch a small change.
    step_error : float
        Largest distance between a step of ours and the recorded next state.
    lyapunov : ndarray (n_exponents,) or None
        Mean growth rates in nats per step along the documents, largest first.
    """

    layer: str
    kind: str
    n_state: int
    places: list[tuple[int, int]] = field(default_factory=list)
    eigenvalues: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), complex))
    norm: np.ndarray = field(default_factory=lambda: np.zeros(0))
    step_error: float = 0.0
    lyapunov: np.ndarray | None = None

    @property
    def spectral_radius(self) -> np.ndarray:
        """Largest absolute eigenvalue at each position, (n_positions,)."""
        return np.abs(self.eigenvalues).max(axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary, complex numbers as two lists."""
        rounded = self.eigenvalues.round(6)
        return plain(
            {
                "layer": self.layer,
                "kind": self.kind,
                "n_state": self.n_state,
                "places": self.places,
                "real": rounded.real,
                "imaginary": rounded.imag,
                "spectral_radius": self.spectral_radius,
                "norm": self.norm,
                "n_above_one": (np.abs(self.eigenvalues) > 1).sum(axis=1),
                "step_error": self.step_error,
                "lyapunov": self.lyapunov,
            }
        )


def step_spectra(
    model: nn.Module,
    batches: Sequence[Any],
    *,
    layers: list[str] | None = None,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    n_positions: int = 10,
    skip: int = 0,
    n_exponents: int = 0,
    seed: int = 0,
) -> list[StepSpectra]:
    """Return the eigenvalues of every layer's step at positions drawn from real input.

    The Jacobian is that of one layer under the input it had. A stack of layers has a block
    triangular Jacobian, so its eigenvalues are those of its layers together.

    Parameters
    ----------
    model : nn.Module
        In eval mode; its recurrent modules may be anywhere inside.
    batches : sequence
        What `forward` takes, such as (batch, steps, n_inputs) tensors.
    layers : list of str, optional
        Names such as ``"lstm/l0"``; default: all.
    forward : callable, optional
        ``forward(model, batch)``; by default ``model(batch)``.
    n_positions : int
        Positions in all, spread over the rows of the batches.
    skip : int
        First positions of each row to leave out; the very first is always, as its preceding
        state is not recorded.
    n_exponents : int
        Lyapunov exponents to estimate; each step then costs a Jacobian.
    seed : int
        Of the draw.

    Raises
    ------
    InterpError
        If there is no recurrent layer, no row is long enough, or a layer's recorded states do not
        follow from its weights.
    """
    chosen = chosen_layers(model, layers)
    if n_positions < 1:
        raise InterpError(f"n_positions is at least 1, not {n_positions}.")
    found = {name: StepSpectra(name, layer.kind, layer.n_state) for name, layer in chosen.items()}
    rates: dict[str, list[np.ndarray]] = {name: [] for name in chosen}
    n_rows, n_left = 0, n_positions
    for i, batch in enumerate(batches):
        quota = -(-n_left // (len(batches) - i))  # a short row's share goes to the next ones
        traces = run_and_trace(model, batch, list(chosen.values()), forward)
        for name, trace in traces.items():
            rows, steps = _draw(trace, quota, skip, np.random.default_rng([seed, i]))
            _add(found[name], trace, rows, steps, n_rows)
            if n_exponents:
                rates[name] += _rates(trace, n_exponents, skip)
        n_left = n_positions - len(found[name].places)
        n_rows += len(next(iter(traces.values())).lengths)
    for name, spectra in found.items():
        if not spectra.places:
            raise InterpError(
                f"No document has more than {max(skip, 1):,} positions, so no step is left to "
                "look at. Skip fewer positions or give longer documents."
            )
        if rates[name]:
            spectra.lyapunov = np.mean(rates[name], axis=0)
    return list(found.values())


def _draw(
    trace: Trace, n: int, skip: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    first = max(skip, 1)
    places = [
        (row, at)
        for row, length in enumerate(trace.lengths.tolist())
        for at in range(first, length)
    ]
    picked = np.sort(rng.permutation(len(places))[:n])
    pairs = torch.tensor([places[i] for i in picked], dtype=torch.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _add(
    found: StepSpectra, trace: Trace, rows: torch.Tensor, steps: torch.Tensor, n_before: int
) -> None:
    if not len(rows):
        return
    found.step_error = max(found.step_error, trace.check(rows, steps))
    values, norms = [], []
    for row, at in zip(rows, steps, strict=True):
        inputs, before = trace.at(row[None], at[None])
        jacobian = differentiate(trace.layer, inputs, before).by_state[0]
        eigenvalues = torch.linalg.eigvals(jacobian).numpy()
        values.append(eigenvalues[np.argsort(-np.abs(eigenvalues), kind="stable")])
        norms.append(float(torch.linalg.matrix_norm(jacobian, 2)))
        length = int(trace.lengths[row])
        position = length - 1 - int(at) if trace.layer.reverse else int(at)
        found.places.append((n_before + int(row), position))
    old = found.eigenvalues.reshape(-1, found.n_state)
    found.eigenvalues = np.concatenate([old, np.stack(values)])
    found.norm = np.concatenate([found.norm, norms])


def _rates(trace: Trace, n_exponents: int, skip: int) -> list[np.ndarray]:
    found = []
    for row, length in enumerate(trace.lengths.tolist()):
        if length > skip + 1:
            inputs, states = trace.inputs[row, 1:length], trace.states[row, : length - 1]
            found.append(
                lyapunov_exponents(trace.layer, inputs, states, n_exponents=n_exponents, skip=skip)
            )
    return found
