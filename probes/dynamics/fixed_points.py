"""Fixed points of a small recurrent net under a constant input, and what they are like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.errors import InterpError
from probes.dynamics.minimise import minimise_speed
from probes.dynamics.stack import Stack
from probes.findings import plain

#: A longer state makes every step of the search a solve of that size for every start.
LARGEST_STATE = 512


@dataclass(frozen=True)
class FixedPoint:
    """A state that one step leaves where it is.

    Attributes
    ----------
    state : ndarray (n_state,)
    speed : float
        q = |F(s) - s|² / 2.
    eigenvalues : ndarray (n_state,) complex128
        Of the step's Jacobian there, largest absolute value first.
    n_unstable : int
        Directions in which a small change grows: eigenvalues outside the unit circle.
    n_starts : int
        Starts that ended here.
    distance : float
        To the nearest of the visited states.
    output : ndarray (n_outputs,) or None
        What the read-out says there.
    """

    state: np.ndarray
    speed: float
    eigenvalues: np.ndarray
    n_unstable: int
    n_starts: int
    distance: float
    output: np.ndarray | None = None

    @property
    def is_stable(self) -> bool:
        """Whether every small change fades."""
        return bool(np.abs(self.eigenvalues[0]) < 1)

    @property
    def code(self) -> tuple[int, ...] | None:
        """Signs of the outputs."""
        return None if self.output is None else tuple(np.sign(self.output).astype(int).tolist())


@dataclass
class FixedPoints:
    """All fixed points that were found.

    Attributes
    ----------
    points : list of FixedPoint
        Stable ones first, then by unstable directions.
    n_starts, n_slow : int
        Starts in all, and those that ended at a slow point: a minimum of q above the tolerance.
    slowest_speed : float or None
        Smallest q among the slow points.
    n_state : int
    warnings : list of str
    parameters : dict
    """

    points: list[FixedPoint]
    n_starts: int
    n_slow: int
    slowest_speed: float | None
    n_state: int
    warnings: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def stable(self) -> list[FixedPoint]:
        """Those from which no small change grows."""
        return [point for point in self.points if point.is_stable]

    @property
    def saddles(self) -> list[FixedPoint]:
        """The others."""
        return [point for point in self.points if not point.is_stable]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary, complex numbers as two lists."""
        points = [
            vars(point)
            | {
                "is_stable": point.is_stable,
                "code": point.code,
                "eigenvalues": None,
                "real": point.eigenvalues.real,
                "imaginary": point.eigenvalues.imag,
            }
            for point in self.points
        ]
        for point in points:
            del point["eigenvalues"]
        found = vars(self) | {
            "points": points, "n_stable": len(self.stable), "n_saddles": len(self.saddles),
        }  # fmt: skip
        return plain(found)


def find_fixed_points(
    stack: Stack,
    states: np.ndarray | Tensor,
    inputs: np.ndarray | Tensor | None = None,
    *,
    tolerance: float = 1e-12,
    unique: float = 1e-3,
    n_starts: int = 256,
    n_steps: int = 200,
    read_out: Callable[[Tensor], Tensor] | None = None,
    seed: int = 0,
) -> FixedPoints:
    """Search for fixed points from states that the net visited (Sussillo & Barak 2013).

    q(s) = |F(s, x) - s|² / 2 is minimised from each start with x held constant. Where q falls
    below `tolerance` a fixed point has been found, elsewhere a slow point. Starts that end closer
    together than `unique` are one point; the Jacobian's eigenvalues tell its stability.

    Parameters
    ----------
    stack : Stack
        The layers of one recurrent module.
    states : array (n_visited, n_state)
        Visited states; for an LSTM [h, c], layer after layer.
    inputs : array (n_inputs,), optional
        The constant input; default: zeros.
    tolerance, unique : float
    n_starts : int
        Starts drawn from `states`; all of them if there are fewer.
    n_steps : int
        Steps of the minimisation.
    read_out : callable, optional
        From top hidden states (n, n_hidden) to outputs (n, n_outputs).
    seed : int
        Of the draw.

    Raises
    ------
    InterpError
        If the states do not fit the net, or the net is too large.
    """
    visited = _as_states(stack, states)
    constant = _as_input(stack, inputs)
    order = np.random.default_rng(seed).permutation(len(visited))[:n_starts]
    ends, speeds = minimise_speed(stack, visited[np.sort(order)], constant, tolerance, n_steps)
    fixed = speeds < tolerance
    groups = _distinct(ends[fixed], speeds[fixed], unique)
    points = [
        _describe(stack, constant, ends[fixed][best], float(speeds[fixed][best]), n, visited)
        for best, n in groups
    ]
    points.sort(key=lambda point: (not point.is_stable, point.n_unstable, -point.n_starts))
    if read_out is not None and points:
        points = _with_outputs(stack, points, read_out)
    slow = speeds[~fixed]
    parameters = {
        "tolerance": tolerance, "unique": unique, "n_starts": len(order), "n_steps": n_steps,
        "seed": seed, "inputs": constant.tolist(),
    }  # fmt: skip
    return FixedPoints(
        points, len(order), len(slow), float(slow.min()) if len(slow) else None, stack.n_state,
        [] if points else ["No fixed point was found; the net may only have slow points"],
        parameters,
    )  # fmt: skip


def _as_states(stack: Stack, states: np.ndarray | Tensor) -> Tensor:
    visited = torch.as_tensor(states).to(torch.float64)
    if visited.ndim != 2 or visited.shape[1] != stack.n_state or not len(visited):
        raise InterpError(
            f"{stack.layers[0].module} has states of {stack.n_state} numbers (hidden, then cell, "
            f"layer by layer); the visited states have shape {tuple(visited.shape)}."
        )
    if stack.n_state > LARGEST_STATE:
        raise InterpError(
            f"The state has {stack.n_state:,} numbers; fixed points are searched for in nets of "
            f"up to {LARGEST_STATE}. For a larger one look at interp dynamics jacobian."
        )
    if not torch.isfinite(visited).all():
        raise InterpError("The visited states hold NaN or infinite values.")
    return visited


def _as_input(stack: Stack, inputs: np.ndarray | Tensor | None) -> Tensor:
    if inputs is None:
        return torch.zeros(stack.n_inputs, dtype=torch.float64)
    constant = torch.as_tensor(inputs).to(torch.float64)
    if constant.shape != (stack.n_inputs,):
        raise InterpError(
            f"{stack.layers[0].module} reads {stack.n_inputs} inputs; the constant input has shape "
            f"{tuple(constant.shape)}."
        )
    return constant


def _distinct(ends: Tensor, speeds: Tensor, unique: float) -> list[tuple[int, int]]:
    """Return the slowest end of each group of ends, and the size of the group."""
    groups: list[list[int]] = []
    for i in speeds.argsort().tolist():
        for group in groups:
            if float((ends[i] - ends[group[0]]).norm()) < unique:
                group.append(i)
                break
        else:
            groups.append([i])
    return [(group[0], len(group)) for group in groups]


def _describe(
    stack: Stack, inputs: Tensor, state: Tensor, speed: float, n_starts: int, visited: Tensor
) -> FixedPoint:
    jacobian = stack.differentiate(inputs[None], state[None])[1][0]
    eigenvalues = torch.linalg.eigvals(jacobian).numpy()
    eigenvalues = eigenvalues[np.argsort(-np.abs(eigenvalues), kind="stable")]
    return FixedPoint(
        state.numpy(), speed, eigenvalues, int((np.abs(eigenvalues) > 1).sum()), n_starts,
        float((visited - state).norm(dim=1).min()),
    )  # fmt: skip


def _with_outputs(
    stack: Stack, points: list[FixedPoint], read_out: Callable[[Tensor], Tensor]
) -> list[FixedPoint]:
    import dataclasses

    states = torch.as_tensor(np.stack([point.state for point in points]))
    with torch.no_grad():
        outputs = read_out(stack.top(states)).double().numpy()
    return [
        dataclasses.replace(point, output=output)
        for point, output in zip(points, outputs, strict=True)
    ]
