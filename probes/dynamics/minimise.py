"""Minimising the speed of a recurrent net from many starts at once."""

from __future__ import annotations

import torch
from torch import Tensor

from probes.dynamics.stack import Stack

_FIRST_DAMPING = 1e-2
_LARGEST_DAMPING = 1e10
#: Below this share of the tolerance more steps change nothing that is reported.
_ENOUGH = 1e-8


def minimise_speed(
    stack: Stack, starts: Tensor, inputs: Tensor, tolerance: float, n_steps: int
) -> tuple[Tensor, Tensor]:
    """Return minima of q(s) = |F(s, x) - s|² / 2 and their q.

    By Levenberg's and Marquardt's method: with r = F(s) - s and A = dF/ds - 1, the step solves
    (AᵀA + λ) d = -Aᵀ r; λ falls after a step that lowers q and grows after one that does not, so
    that it goes over from gradient descent to Newton's method, which finds saddles as well.

    Parameters
    ----------
    stack : Stack
    starts : Tensor (n_starts, n_state) float64
    inputs : Tensor (n_inputs,) float64
    tolerance : float
        Starts far below it are left alone.
    n_steps : int

    Returns
    -------
    states : Tensor (n_starts, n_state)
    speeds : Tensor (n_starts,)
    """
    states = starts.clone()
    speeds = torch.full((len(states),), torch.inf, dtype=torch.float64)
    damping = torch.full_like(speeds, _FIRST_DAMPING)
    identity = torch.eye(stack.n_state, dtype=torch.float64)
    # The Jacobians of so many states at a time are held: 128 MB.
    per_batch = max(1, (1 << 24) // stack.n_state**2)
    for chosen in torch.arange(len(states)).split(per_batch):
        for _ in range(n_steps):
            if not len(chosen):
                break
            old = states[chosen]
            after, jacobian = stack.differentiate(inputs.expand(len(old), -1), old)
            residual = after - old
            speeds[chosen] = 0.5 * residual.square().sum(1)
            a = jacobian - identity
            normal = a.mT @ a + damping[chosen, None, None] * identity
            change = torch.linalg.solve(normal, (a.mT @ residual[:, :, None])).squeeze(2)
            new = old - change
            moved = stack.step(inputs.expand(len(new), -1), new) - new
            speed = 0.5 * moved.square().sum(1)
            better = speed < speeds[chosen]  # also False for NaN
            states[chosen] = torch.where(better[:, None], new, old)
            speeds[chosen] = torch.where(better, speed, speeds[chosen])
            factor = torch.where(better, 0.2, 5.0).to(damping)
            damping[chosen] = (damping[chosen] * factor).clamp(min=1e-15)
            going = (speeds[chosen] > _ENOUGH * tolerance) & (damping[chosen] < _LARGEST_DAMPING)
            chosen = chosen[going]
    return states, speeds
