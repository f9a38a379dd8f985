"""Lyapunov exponents: how fast small changes of the state grow or fade along real input."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from interp.errors import InterpError
from probes.dynamics.layers import Layer
from probes.dynamics.steps import differentiate


def lyapunov_exponents(
    layer: Layer,
    inputs: Tensor,
    states: Tensor,
    *,
    n_exponents: int = 10,
    skip: int = 0,
    seed: int = 0,
) -> np.ndarray:
    """Return the largest Lyapunov exponents along one run of a layer.

    A random frame of `n_exponents` directions goes through the product of the step Jacobians and
    is made orthonormal again by QR after each step; the mean logarithms of R's diagonal are the
    exponents (Benettin et al. 1980).

    Parameters
    ----------
    layer : Layer
    inputs : Tensor (n_steps, n_inputs)
    states : Tensor (n_steps, n_state)
        Before each step.
    n_exponents : int
        At most ``layer.n_state``.
    skip : int
        First steps that turn the frame but are not counted.
    seed : int
        Of the first frame.

    Returns
    -------
    ndarray (n_exponents,)
        Nats per step, largest first; above 0 the run is chaotic, -inf for a direction that is
        lost altogether.

    Raises
    ------
    InterpError
        If more exponents are asked for than the state has directions, or no step is counted.
    """
    if not 1 <= n_exponents <= layer.n_state:
        raise InterpError(
            f"{layer.name} has {layer.n_state} directions; asked for {n_exponents} exponents."
        )
    if len(inputs) <= skip:
        raise InterpError(f"{len(inputs)} steps leave none to count after the first {skip}.")
    generator = torch.Generator().manual_seed(seed)
    frame = torch.randn(layer.n_state, n_exponents, generator=generator, dtype=torch.float64)
    frame = torch.linalg.qr(frame)[0]
    total = torch.zeros(n_exponents, dtype=torch.float64)
    for i in range(len(inputs)):
        jacobian = differentiate(layer, inputs[i : i + 1], states[i : i + 1]).by_state[0]
        frame, r = torch.linalg.qr(jacobian @ frame)
        if i >= skip:
            total += r.diagonal().abs().log()
    return np.sort((total / (len(inputs) - skip)).numpy())[::-1].copy()
