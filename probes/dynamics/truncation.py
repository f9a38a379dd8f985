"""What truncated back-propagation and clipping do to the gradients of real training windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interp.errors import InterpError
from probes.findings import plain

#: ``run(start, stop, state)`` gives the losses (rows, stop - start) of these steps and the state.
Run = Callable[[int, int, Any], tuple[Tensor, Any]]


@dataclass
class Updates:
    """The gradients that training in windows of one length would have applied.

    Attributes
    ----------
    window : int
        Steps of back-propagation; all of them for the full gradient.
    norm : ndarray (n_updates,)
        Of the gradient of each window's mean loss, over all parameters, before clipping.
    clipped_norm : ndarray (n_updates,)
        After clipping.
    share_clipped : float
    cosine, cosine_clipped : float
        Between the mean of the updates' gradients (as they are, or clipped) and the full gradient.
    relative_norm, relative_norm_clipped : float
        Norm of that mean over the full gradient's.
    cosine_by_parameter, relative_norm_by_parameter : dict of str to float
        The same for each parameter by itself, unclipped.
    """

    window: int
    norm: np.ndarray
    clipped_norm: np.ndarray
    share_clipped: float
    cosine: float
    cosine_clipped: float
    relative_norm: float
    relative_norm_clipped: float
    cosine_by_parameter: dict[str, float]
    relative_norm_by_parameter: dict[str, float]


@dataclass
class Truncation:
    """Full against truncated back-propagation over the same steps of the same documents.

    Attributes
    ----------
    updates : list of Updates
        One per window length, the full one last.
    n_steps, n_documents : int
    clip_norm : float
    loss : float
        Mean loss in nats; the same for every window length, since only the graph is cut.
    parameters : dict
    """

    updates: list[Updates]
    n_steps: int
    n_documents: int
    clip_norm: float
    loss: float
    parameters: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, window: int) -> Updates:
        """Return the updates of one window length."""
        return next(found for found in self.updates if found.window == window)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary."""
        return plain(vars(self) | {"updates": [vars(update) for update in self.updates]})


def compare_truncation(
    model: nn.Module,
    runs: Sequence[Run],
    *,
    n_steps: int = 512,
    windows: Sequence[int] = (32, 128),
    clip_norm: float = 1.0,
    n_documents: int | None = None,
) -> Truncation:
    """Compare gradients of truncated back-propagation with the full one, before and after clipping.

    Each run is a batch of documents from their start. Training in windows of w steps carries the
    state from window to window and cuts the graph between them; every window is an update with
    the gradient of its mean loss. The weights stay as they are, so that the mean of these
    gradients and the full one are of the same loss, and differ only by what truncation leaves out
    (Tallec & Ollivier 2017).

    Parameters
    ----------
    model : nn.Module
        In eval mode; its parameters that require gradients are compared.
    runs : sequence of callable
        ``run(start, stop, state)`` reads these steps of a batch, from `state` (None at first), and
        returns the losses (rows, stop - start) and the state behind them.
    n_steps : int
        Steps of each run; the length of the full back-propagation.
    windows : sequence of int
        Divisors of `n_steps`.
    clip_norm : float
        Largest norm of an update; a larger gradient is scaled down to it (Pascanu et al. 2013).
    n_documents : int, optional
        Documents behind the runs, for the record.

    Raises
    ------
    InterpError
        If a window does not divide the steps, or there is nothing to compare.
    """
    _check(n_steps, windows, clip_norm, runs)
    named = [(name, part) for name, part in model.named_parameters() if part.requires_grad]
    if not named:
        raise InterpError(f"{type(model).__name__} has no parameter that requires gradients.")
    lengths = [*dict.fromkeys(w for w in windows if w != n_steps), n_steps]
    means = {w: _Mean() for w in lengths}
    losses: list[float] = []
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        for run in runs:
            for window in lengths:
                state: Any = None
                for start in range(0, n_steps, window):
                    loss, state = run(start, start + window, detached(state))
                    gradient = _gradient(loss.mean(), [part for _, part in named])
                    means[window].add(gradient, clip_norm)
                    if window == n_steps:
                        losses.append(float(loss.detach().mean()))
    names = [name for name, _ in named]
    sizes = [part.numel() for _, part in named]
    full = means[n_steps].whole()
    updates = [_compare(w, means[w], full, names, sizes, clip_norm) for w in lengths]
    parameters = {"n_steps": n_steps, "windows": lengths[:-1], "clip_norm": clip_norm}
    return Truncation(
        updates, n_steps, n_documents or len(runs), clip_norm, float(np.mean(losses)), parameters
    )


def detached(state: Any) -> Any:
    """Return a state cut from the graph: tensors, or tuples, lists and dictionaries of them."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {key: detached(part) for key, part in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(detached(part) for part in state))
    if isinstance(state, tuple | list):
        return type(state)(detached(part) for part in state)
    return state


class _Mean:
    """Mean of gradients, as they are and clipped, with the norm of each."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._clipped: Tensor | None = None
        self.norms: list[float] = []

    def add(self, gradient: Tensor, clip_norm: float) -> None:
        norm = float(gradient.norm())
        self.norms.append(norm)
        clipped = gradient * min(1.0, clip_norm / max(norm, 1e-30))
        self._sum = gradient if self._sum is None else self._sum.add_(gradient)
        self._clipped = clipped if self._clipped is None else self._clipped.add_(clipped)

    def whole(self) -> Tensor:
        assert self._sum is not None
        return self._sum / len(self.norms)

    def clipped(self) -> Tensor:
        assert self._clipped is not None
        return self._clipped / len(self.norms)


def _check(n_steps: int, windows: Sequence[int], clip_norm: float, runs: Sequence[Run]) -> None:
    if not runs:
        raise InterpError("There is no batch of documents to compare gradients on.")
    if not clip_norm > 0:
        raise InterpError(f"clip_norm is above 0, not {clip_norm}.")
    for window in windows:
        if not 1 <= window <= n_steps or n_steps % window:
            raise InterpError(
                f"A window of {window} steps does not divide the {n_steps} steps of full "
                "back-propagation; choose divisors, so that every window has the same weight."
            )


def _gradient(loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    """Return the gradient of all parameters as one vector of float64."""
    parts = torch.autograd.grad(loss, parameters, allow_unused=True)
    zero = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, parts, strict=True)]
    return torch.cat([part.detach().flatten().double().cpu() for part in zero])


def _compare(
    window: int,
    mean: _Mean,
    full: Tensor,
    names: list[str],
    sizes: list[int],
    clip_norm: float,
) -> Updates:
    norms = np.array(mean.norms)
    whole, clipped = mean.whole(), mean.clipped()
    pairs = list(zip(names, whole.split(sizes), full.split(sizes), strict=True))
    return Updates(
        window=window,
        norm=norms,
        clipped_norm=np.minimum(norms, clip_norm),
        share_clipped=float((norms > clip_norm).mean()),
        cosine=_cosine(whole, full),
        cosine_clipped=_cosine(clipped, full),
        relative_norm=_ratio(whole, full),
        relative_norm_clipped=_ratio(clipped, full),
        cosine_by_parameter={name: _cosine(a, b) for name, a, b in pairs},
        relative_norm_by_parameter={name: _ratio(a, b) for name, a, b in pairs},
    )


def _cosine(one: Tensor, other: Tensor) -> float:
    norms = float(one.norm() * other.norm())
    return float(one @ other) / norms if norms > 0 else float("nan")


def _ratio(one: Tensor, other: Tensor) -> float:
    norm = float(other.norm())
    return float(one.norm()) / norm if norm > 0 else float("nan")
