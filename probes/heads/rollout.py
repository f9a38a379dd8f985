"""Attention rollout: how weights of several layers multiply along the residual stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interp.errors import InterpError


def residual_map(weights: np.ndarray, residual: float = 0.5) -> np.ndarray:
    """Return one layer's map with the residual connection in it, each row summing to 1.

    Parameters
    ----------
    weights : ndarray (n_heads, n, n) or (n, n)
        Averaged over the heads; a row without any weight stays on itself alone.
    residual : float
        The share of the residual connection, in [0, 1]; one half weighs it like the attention, as
        the paper does.

    Returns
    -------
    ndarray (n, n) float64

    Raises
    ------
    InterpError
        If queries and keys differ in number, as in cross-attention, or weights are negative.
    """
    found = np.asarray(weights, np.float64)
    found = found.mean(axis=0) if found.ndim == 3 else found
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        raise InterpError(
            f"Rollout and flow need square maps of one stream; got {np.shape(weights)}."
        )
    if not np.isfinite(found).all() or (found < 0).any():
        raise InterpError("Weights must be finite and not negative.")
    total = found.sum(axis=1, keepdims=True)
    attended = np.divide(found, total, out=np.zeros_like(found), where=total > 0)
    share = np.where(total > 0, residual, 1.0)
    return share * np.eye(len(found)) + (1 - share) * attended


def attention_rollout(
    layers: Sequence[np.ndarray] | np.ndarray, residual: float = 0.5
) -> np.ndarray:
    """Return the rollout behind every layer (Abnar & Zuidema 2020, arXiv 2005.00928).

    R_l = A_l R_{l-1} with R_0 = identity, where A_l is the mean over the heads plus the identity,
    rows divided by their sum. Rows of a causal model stay causal.

    Parameters
    ----------
    layers : sequence of ndarray (n_heads, n, n) or (n, n)
        Maps of one document, first layer first.
    residual : float
        The share of the residual connection, in [0, 1].

    Returns
    -------
    ndarray (n_layers, n, n) float64
        Rows sum to 1: how much each position behind a layer is made of each input position, if
        attention were all that mixes.
    """
    if not len(layers):
        raise InterpError("Rollout needs the map of a layer at least.")
    found: list[np.ndarray] = []
    for weights in layers:
        step = residual_map(weights, residual)
        if found and step.shape != found[-1].shape:
            raise InterpError(
                f"Layers must have maps of one size; got {found[-1].shape} and {step.shape}."
            )
        found.append(step @ found[-1] if found else step)
    return np.stack(found)
