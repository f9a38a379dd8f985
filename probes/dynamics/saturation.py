"""Gate saturation: the share of time that each gate unit is nearly shut or nearly open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.dynamics.gates import gate_sites, require_complete
from probes.dynamics.rows import blocks, count_rows
from probes.findings import plain

#: A unit counts as always saturated above this share of time.
ALWAYS = 0.9


@dataclass(frozen=True)
class GateSaturation:
    """One gate of one layer: a point (right, left) per unit is the scatter of Karpathy et al.

    Attributes
    ----------
    site : str
        Such as ``"lstm/l0/forget_gate"``.
    signal : str
    left, right : ndarray (n_units,) float64
        Share of positions with a value below / above the thresholds; NaN for a unit with NaN.
    mean : ndarray (n_units,) float64
        Mean value.
    """

    site: str
    signal: str
    left: np.ndarray
    right: np.ndarray
    mean: np.ndarray

    @property
    def n_always_left(self) -> int:
        """Units that are left-saturated for more than 90 % of the time."""
        return int((self.left > ALWAYS).sum())

    @property
    def n_always_right(self) -> int:
        """Units that are right-saturated for more than 90 % of the time."""
        return int((self.right > ALWAYS).sum())


@dataclass
class Saturation:
    """Saturation of all gates of a recording.

    Attributes
    ----------
    gates : list of GateSaturation
        In model order.
    n_positions, n_documents : int
        That were counted.
    warnings : list of str
    parameters : dict
        Thresholds and positions left out.
    """

    gates: list[GateSaturation]
    n_positions: int
    n_documents: int
    warnings: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, site: str) -> GateSaturation:
        """Return one gate by the name of its site."""
        return next(gate for gate in self.gates if gate.site == site)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary."""
        gates = [
            asdict(gate)
            | {
                "n_units": len(gate.left),
                "n_always_left": gate.n_always_left,
                "n_always_right": gate.n_always_right,
            }
            for gate in self.gates
        ]
        return plain(
            {
                "gates": gates,
                "n_positions": self.n_positions,
                "n_documents": self.n_documents,
                "warnings": self.warnings,
                "parameters": self.parameters,
            }
        )


class Counters:
    """Counts of saturated positions, fed block by block; memory is a few numbers per unit.

    Parameters
    ----------
    n_units : int
    left, right : float
        Thresholds; a value equal to one of them is not saturated.
    """

    def __init__(self, n_units: int, left: float = 0.1, right: float = 0.9) -> None:
        self._left, self._right = left, right
        self.n_rows = 0
        self.n_left = np.zeros(n_units, np.int64)
        self.n_right = np.zeros(n_units, np.int64)
        self.n_nan = np.zeros(n_units, np.int64)
        self.sum = np.zeros(n_units)

    def add(self, values: np.ndarray) -> None:
        """Count the values (n_rows, n_units) of some positions."""
        values = values.astype(np.float32, copy=False) if values.dtype == np.float16 else values
        self.n_rows += len(values)
        # A float16 value is widened exactly, so that 0.1 means the same for every storage type.
        self.n_left += np.count_nonzero(values < self._left, axis=0)
        self.n_right += np.count_nonzero(values > self._right, axis=0)
        self.n_nan += np.count_nonzero(np.isnan(values), axis=0)
        self.sum += values.sum(axis=0, dtype=np.float64)

    def of(self, site: str, signal: str) -> GateSaturation:
        """Return the shares of what was counted."""
        whole = np.where(self.n_nan == 0, float(self.n_rows), np.nan)
        return GateSaturation(
            site, signal, self.n_left / whole, self.n_right / whole, self.sum / whole
        )


def measure_saturation(
    recording: Any,
    sites: str | Sequence[str] | None = None,
    *,
    skip: int = 0,
    left: float = 0.1,
    right: float = 0.9,
    progress: Callable[[int, int], None] | None = None,
) -> Saturation:
    """Count how often each gate unit is left- or right-saturated (Karpathy et al. 2016).

    One pass in blocks; memory does not grow with the recording.

    Parameters
    ----------
    recording : Recording
        Complete, with gates.
    sites : str or sequence of str, optional
        Names or patterns; default: every recorded gate between 0 and 1.
    skip : int
        First positions of each document to leave out, where the state is still fresh.
    left, right : float
        Thresholds, 0 < left < right < 1.
    progress : callable, optional
        Called with the gates done and the gates in all.

    Raises
    ------
    InterpError
        If there is no such gate, the thresholds are out of order, or `skip` leaves nothing.
    """
    require_complete(recording)
    if not 0 < left < right < 1:
        raise InterpError(f"Thresholds need 0 < left < right < 1, not {left:g} and {right:g}.")
    gates, warnings = [], []
    names = gate_sites(recording, sites)
    for done, name in enumerate(names):
        start = recording.stream_of(name).document_start
        n_positions, n_documents = count_rows(start, skip)
        counters = Counters(recording.sites[name].n_units, left, right)
        for first, last, counts in blocks(start, skip):
            values = recording[name][first:last]
            counters.add(values if counts is None else values[counts])
        gates.append(counters.of(name, recording.sites[name].signal))
        if n_nan := int((counters.n_nan > 0).sum()):
            warnings.append(f"{n_nan} of {len(counters.n_nan)} units of {name} hold NaN")
        if progress is not None:
            progress(done + 1, len(names))
    parameters = {"sites": names, "skip": skip, "left": left, "right": right}
    return Saturation(gates, n_positions, n_documents, warnings, parameters)
