"""How much of a loss's gradient arrives at inputs k steps back, through the real model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interp.errors import InterpError
from probes.documents import draw_documents
from probes.dynamics.layer_inputs import LayerInputs
from probes.findings import plain
from probes.intervals import percentile_interval

#: Lags over which the factor per step is fitted.
FIT = (5, 25)
N_RESAMPLES = 500
Loss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class LayerGradient:
    """The gradient by lag at the inputs of one layer.

    Attributes
    ----------
    layer : str
    mean, median : ndarray (n_lags + 1,)
        Over windows, of the norm of dL_T / dx_{T-k}; lag 0 first.
    truncated : dict of int to ndarray (n_lags + 1,)
        By window length of truncated back-propagation.
    clipped : ndarray (n_lags + 1,) or None
        `mean`, with each window's gradients scaled as clipping scales them.
    factor : float
        exp of the slope of ln `mean` over `fit_lags`: what is left per further step.
    interval : (float, float)
        95 % of resamples of the documents, of `factor`, widened for few documents
        (:func:`probes.intervals.percentile_interval`); NaN from one.
    fit_lags : (int, int)
    """

    layer: str
    mean: np.ndarray
    median: np.ndarray
    truncated: dict[int, np.ndarray]
    clipped: np.ndarray | None
    factor: float
    interval: tuple[float, float]
    fit_lags: tuple[int, int]


@dataclass
class GradientByLag:
    """The gradients by lag of all layers.

    Attributes
    ----------
    layers : list of LayerGradient
    n_lags, n_windows, n_documents : int
    clip_factor : ndarray (n_windows,) or None
        What clipping multiplied each window's gradient by.
    parameters : dict
    """

    layers: list[LayerGradient]
    n_lags: int
    n_windows: int
    n_documents: int
    clip_factor: np.ndarray | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, layer: str) -> LayerGradient:
        """Return one layer by name."""
        return next(found for found in self.layers if found.layer == layer)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary."""
        layers = [
            vars(layer) | {"truncated": {str(w): v for w, v in layer.truncated.items()}}
            for layer in self.layers
        ]
        return plain(vars(self) | {"layers": layers})


def gradient_by_lag(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Loss | None = None,
    *,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    n_lags: int = 100,
    truncate: Sequence[int] = (),
    clip_norm: float | None = None,
    fit: tuple[int, int] = FIT,
    documents: Callable[[Any], Sequence[int]] | None = None,
    seed: int = 0,
) -> GradientByLag:
    """Return E |dL_T / dx_{T-k}| for lags k = 0 .. n_lags, at the inputs of every layer.

    L_T is the loss at the last position of a window, so that one backward pass gives all lags.
    Truncated back-propagation in windows of w steps cuts the graph at every w-th position: of the
    w losses of a window, those at offset k and later reach lag k, so the mean over a window is
    (1 - k / w) g(k), and 0 from w on. Clipping multiplies the whole gradient of a window by
    min(1, c / norm), all lags alike.

    Parameters
    ----------
    model : nn.Module
        In eval mode, with ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` anywhere inside.
    batches : iterable
        Windows of more than `n_lags` steps, as `forward` takes them.
    loss : callable, optional
        ``loss(output, batch)`` gives the loss of every position, (rows, steps). Without it, for a
        model that is itself a recurrent module: a fixed random linear read-out of its output.
    forward : callable, optional
        ``forward(model, batch)``; by default ``model(batch)``.
    n_lags : int
    truncate : sequence of int
        Window lengths of truncated back-propagation to show beside.
    clip_norm : float, optional
        Also scale each batch as a training step on it would with this largest norm, the loss
        being the mean over the window.
    fit : (int, int)
        First and last lag of the fit.
    documents : callable, optional
        ``documents(batch)`` names the document of each row, for the interval; by default every
        row is its own.
    seed : int
        Of the read-out and the resamples.

    Raises
    ------
    InterpError
        If the model cannot be followed, the windows are too short, or a choice is out of range.
    """
    _check(n_lags, truncate, clip_norm, fit)
    loss = _read_out_loss(model, seed) if loss is None else loss
    rows: dict[str, list[np.ndarray]] = {}
    factors: list[float] = []
    owners: list[int] = []
    for batch in batches:
        norms, factor = _measure(model, batch, loss, forward, n_lags, clip_norm)
        n_rows = len(next(iter(norms.values())))
        for name, values in norms.items():
            rows.setdefault(name, []).append(values)
        factors += [factor] * n_rows
        start = 0 if documents is not None else len(owners)
        owners += list(documents(batch)) if documents else range(start, start + n_rows)
    if not rows:
        raise InterpError("There is no window to measure; give at least one batch.")
    scales = None if clip_norm is None else np.array(factors)
    layers = [
        _summary(name, np.concatenate(parts), np.array(owners), truncate, scales, fit, seed)
        for name, parts in rows.items()
    ]
    parameters = {
        "n_lags": n_lags, "truncate": list(truncate), "clip_norm": clip_norm, "fit": list(fit),
        "seed": seed,
    }  # fmt: skip
    return GradientByLag(layers, n_lags, len(owners), len(set(owners)), scales, parameters)


def _check(
    n_lags: int, truncate: Sequence[int], clip_norm: float | None, fit: tuple[int, int]
) -> None:
    if n_lags < 1:
        raise InterpError(f"n_lags is at least 1, not {n_lags}.")
    if any(window < 1 for window in truncate):
        raise InterpError(f"A window of back-propagation has at least 1 step: {list(truncate)}.")
    if clip_norm is not None and not clip_norm > 0:
        raise InterpError(f"clip_norm is above 0, not {clip_norm}.")
    if not 0 <= fit[0] < fit[1] <= n_lags:
        raise InterpError(
            f"The fit over lags {fit[0]} to {fit[1]} needs 0 <= first < last <= the longest lag, "
            f"{n_lags}. Ask for more lags, or fit others: fit=(1, {n_lags}), --fit 1 {n_lags}."
        )


def _measure(
    model: nn.Module,
    batch: Any,
    loss: Loss,
    forward: Callable[[nn.Module, Any], Any] | None,
    n_lags: int,
    clip_norm: float | None,
) -> tuple[dict[str, np.ndarray], float]:
    """Return norms (rows, n_lags + 1) by layer, and the factor of clipping."""
    # cuDNN's recurrent kernels have no backward pass in eval mode.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        with LayerInputs(model) as inputs:
            output = model(batch) if forward is None else forward(model, batch)
        losses = loss(output, batch)
        if losses.ndim != 2 or losses.shape[1] <= n_lags:
            raise InterpError(
                f"{n_lags} lags need the losses of windows of at least {n_lags + 1} steps, "
                f"(rows, steps); the loss gave shape {tuple(losses.shape)}."
            )
        names = list(inputs.found)
        gradients = torch.autograd.grad(
            losses[:, -1].sum(),
            [inputs.found[name] for name in names],
            retain_graph=clip_norm is not None,
            allow_unused=True,
        )
        factor = 1.0
        if clip_norm is not None:
            norm = parameter_norm(model, losses.mean())
            factor = min(1.0, clip_norm / max(norm, 1e-30))
    found = {}
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is None:
            raise InterpError(f"The loss does not depend on {name}; what is it the loss of?")
        by_step = inputs.by_step(name, gradient)
        if by_step.shape[1] != losses.shape[1]:  # lag 0 would be another position than T
            raise InterpError(
                f"{name} read {by_step.shape[1]} steps, but the loss has {losses.shape[1]} "
                "positions, so lags cannot be counted. Give the loss of every position that is "
                "read, (rows, steps): leave the last token out of what the model reads, say."
            )
        by_lag = by_step.flip(1)[:, : n_lags + 1]
        found[name] = by_lag.double().norm(dim=-1).cpu().numpy()
    return found, factor


def parameter_norm(model: nn.Module, loss: Tensor) -> float:
    """Return the norm of the gradient of all trainable parameters, as clipping computes it."""
    parameters = [part for part in model.parameters() if part.requires_grad]
    if not parameters:
        raise InterpError(
            f"{type(model).__name__} has no trainable parameter, so there is no gradient to clip; "
            "leave clip_norm out, or set requires_grad."
        )
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    squares = [part.double().pow(2).sum() for part in gradients if part is not None]
    return float(torch.stack(squares).sum().sqrt())


def _summary(
    name: str,
    norms: np.ndarray,
    owners: np.ndarray,
    truncate: Sequence[int],
    scales: np.ndarray | None,
    fit: tuple[int, int],
    seed: int,
) -> LayerGradient:
    mean = norms.mean(axis=0)
    lags = np.arange(len(mean))
    truncated = {w: mean * np.clip(1 - lags / w, 0, None) for w in truncate}
    clipped = None if scales is None else (norms * scales[:, None]).mean(axis=0)
    index = np.unique(owners, return_inverse=True)[1]
    n_documents = int(index.max()) + 1
    weights = draw_documents(n_documents, N_RESAMPLES, seed)[:, index]
    resampled = weights @ norms / weights.sum(axis=1, keepdims=True)
    factors = np.array([decay_factor(curve, fit) for curve in resampled])
    return LayerGradient(
        name, mean, np.median(norms, axis=0), truncated, clipped, decay_factor(mean, fit),
        percentile_interval(factors, n_documents), fit,
    )  # fmt: skip


def decay_factor(curve: np.ndarray, fit: tuple[int, int] = FIT) -> float:
    """Return exp of the least-squares slope of ln `curve` over the lags of `fit`.

    Parameters
    ----------
    curve : ndarray (n_lags + 1,)
    fit : (int, int)
        First and last lag.

    Returns
    -------
    float
        NaN where less than two lags have a gradient above 0.
    """
    lags = np.arange(fit[0], fit[1] + 1)
    there = curve[lags] > 0
    if there.sum() < 2:
        return float("nan")
    slope = np.polyfit(lags[there], np.log(curve[lags[there]]), 1)[0]
    return float(np.exp(slope))


def _read_out_loss(model: nn.Module, seed: int) -> Loss:
    if not isinstance(model, nn.RNNBase):
        raise InterpError(
            f"What is the loss of {type(model).__name__}? Give loss=lambda output, batch: ..., "
            "which returns the loss of every position, (rows, steps)."
        )
    batch_first, generator = model.batch_first, torch.Generator().manual_seed(seed)

    def loss(output: Any, batch: Any) -> Tensor:
        hidden = output[0] if batch_first else output[0].transpose(0, 1)
        width = hidden.shape[-1]
        generator.manual_seed(seed)
        weight = torch.randn(width, generator=generator, dtype=torch.float64) / width**0.5
        return hidden @ weight.to(hidden)

    return loss
