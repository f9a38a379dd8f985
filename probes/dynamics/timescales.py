"""How long units remember: by their gates, and by how slowly their states change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.dynamics.gates import Carry, carries, require_complete
from probes.dynamics.lagged import autocorrelation, crossing_time
from probes.dynamics.rows import blocks, count_rows
from probes.findings import plain

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class LayerTimescales:
    """Timescales of one layer's units.

    Attributes
    ----------
    layer : str
        Such as ``"lstm/l0"``.
    gate, state : str
        The sites they come from.
    tau : ndarray (n_units,)
        -1 / mean ln f in positions, f the gate; infinite if the gate was always stored as 1.
    autocorrelation_time : ndarray (n_units,)
        Lag at which the state's autocorrelation falls below 1/e; infinite if it does not within
        the lags looked at, NaN for a constant state.
    mean_gate : ndarray (n_units,)
    share_at_one : ndarray (n_units,)
        Of positions whose gate is stored as exactly 1, which the storage type cannot tell from
        values slightly below.
    spearman : float
        Rank correlation of the two over units where neither is NaN.
    n_censored : int
        Units whose autocorrelation stays above 1/e; they rank together as the slowest.
    """

    layer: str
    gate: str
    state: str
    tau: np.ndarray
    autocorrelation_time: np.ndarray
    mean_gate: np.ndarray
    share_at_one: np.ndarray
    spearman: float
    n_censored: int

    def quantiles(self) -> dict[str, list[float]]:
        """Return 5, 25, 50, 75 and 95 % and the largest of both timescales."""
        named = {"tau": self.tau, "autocorrelation_time": self.autocorrelation_time}
        return {name: _quantiles(values[~np.isnan(values)]) for name, values in named.items()}


@dataclass
class Timescales:
    """Timescales of all layers of a recording.

    Attributes
    ----------
    layers : list of LayerTimescales
    n_positions, n_documents : int
    max_lag : int
    warnings : list of str
    parameters : dict
    """

    layers: list[LayerTimescales]
    n_positions: int
    n_documents: int
    max_lag: int
    warnings: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, layer: str) -> LayerTimescales:
        """Return one layer by name."""
        return next(found for found in self.layers if found.layer == layer)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary; what is infinite or NaN becomes None."""
        layers = [
            asdict(layer) | {"quantiles": layer.quantiles(), "n_units": len(layer.tau)}
            for layer in self.layers
        ]
        return plain(
            {
                "layers": layers,
                "n_positions": self.n_positions,
                "n_documents": self.n_documents,
                "max_lag": self.max_lag,
                "warnings": self.warnings,
                "parameters": self.parameters,
            }
        )


def measure_timescales(
    recording: Any,
    sites: str | Sequence[str] | None = None,
    *,
    skip: int = 0,
    max_lag: int = 500,
    progress: Callable[[int, int], None] | None = None,
) -> Timescales:
    """Compare what the carry gates promise with how slowly the states really change.

    After k steps a gate has left the product of its k values of the state: exp(k mean ln f), which
    is 1/e after tau = -1 / mean ln f steps. (A forget gate as the inverse of a time constant:
    Tallec & Ollivier 2018.) The carry gate is the forget gate of an LSTM and, in torch's
    convention h' = (1 - z) n + z h, the update gate of a GRU.

    Parameters
    ----------
    recording : Recording
        Complete, with the carry gate and the state (cell, or hidden of a GRU) of each layer.
    sites : str or sequence of str, optional
        Names or patterns of gates; default: all.
    skip : int
        First positions of each document to leave out.
    max_lag : int
        Longest lag of the autocorrelation.
    progress : callable, optional
        Called with the layers done and the layers in all.

    Raises
    ------
    InterpError
        If no carry gate is recorded, or one without its state.
    """
    require_complete(recording)
    if max_lag < 1:
        raise InterpError(f"max_lag is at least 1, not {max_lag}.")
    found, warnings = [], []
    chosen = carries(recording, sites)
    for done, carry in enumerate(chosen):
        start = recording.stream_of(carry.gate).document_start
        n_positions, n_documents = count_rows(start, skip)
        layer = _measure(recording, carry, skip, max_lag)
        found.append(layer)
        warnings += _warnings(layer)
        if progress is not None:
            progress(done + 1, len(chosen))
    parameters = {"sites": [carry.gate for carry in chosen], "skip": skip, "max_lag": max_lag}
    return Timescales(found, n_positions, n_documents, max_lag, warnings, parameters)


def _measure(recording: Any, carry: Carry, skip: int, max_lag: int) -> LayerTimescales:
    tau, mean, at_one = _gate_timescales(recording, carry.gate, skip)
    correlation, n_pairs = autocorrelation(recording, carry.state, max_lag=max_lag, skip=skip)
    times = crossing_time(correlation, n_pairs)
    return LayerTimescales(
        carry.layer, carry.gate, carry.state, tau, times, mean, at_one,
        spearman=_spearman(tau, times), n_censored=int(np.isinf(times).sum()),
    )  # fmt: skip


def _gate_timescales(
    recording: Any, site: str, skip: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tau, the mean gate and the share of positions at exactly 1, per unit."""
    array = recording[site]
    start = recording.stream_of(site).document_start
    # A gate that underflowed to 0 was at most half of the smallest number.
    least = float(np.finfo(array.dtype).smallest_subnormal)
    logs, total, ones, n_rows = 0.0, 0.0, 0.0, 0
    for first, last, counts in blocks(start, skip):
        values = array[first:last]
        values = values if counts is None else values[counts]
        if array.dtype == np.float16:
            values = values.astype(np.float32)
        logs = logs + np.log(np.maximum(values, least)).sum(axis=0, dtype=np.float64)
        total = total + values.sum(axis=0, dtype=np.float64)
        ones = ones + np.count_nonzero(values >= 1, axis=0)
        n_rows += len(values)
    with np.errstate(divide="ignore"):
        tau = -1 / np.minimum(np.asarray(logs) / n_rows, 0.0)
    return np.where(tau < 0, np.inf, tau), np.asarray(total) / n_rows, np.asarray(ones) / n_rows


def _quantiles(values: np.ndarray) -> list[float]:
    if not len(values):
        return [float("nan")] * (len(QUANTILES) + 1)
    # Of the values themselves: between a number and infinity nothing can be interpolated.
    return [*np.quantile(values, QUANTILES, method="inverted_cdf").tolist(), float(values.max())]


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    from scipy.stats import rankdata

    both = ~(np.isnan(one) | np.isnan(other))
    if both.sum() < 3:
        return float("nan")
    ranks = [rankdata(values[both]) for values in (one, other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def _warnings(layer: LayerTimescales) -> list[str]:
    found = []
    if n := int((layer.share_at_one > 0.5).sum()):
        found.append(
            f"{n} units of {layer.gate} are stored as exactly 1 most of the time, so their tau is "
            "too long; record with --dtype float32 to resolve it"
        )
    if n := int(np.isnan(layer.autocorrelation_time).sum()):
        found.append(f"{n} units of {layer.state} are constant or hold NaN")
    return found
