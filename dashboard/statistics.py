"""Simple statistics of units, from a sample that is bounded and the same every time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dashboard.sources.protocol import SiteInfo, Source

SAMPLE_BYTES = 96 * 2**20
SAMPLE_POSITIONS = 65_536
BLOCK = 2_048
QUANTILE = 0.995
SATURATED = 0.9
UNITS_AT_ONCE = 64


@dataclass(frozen=True)
class UnitStatistics:
    """Per-unit numbers, each (n_units,) float32; `n_positions` says how many stand behind them."""

    mean: np.ndarray
    spread: np.ndarray
    saturated: np.ndarray
    limit: np.ndarray
    correlation: Mapping[str, np.ndarray]
    n_positions: int
    n_documents: int


def sample_ranges(n_positions: int, n_units: int, itemsize: int = 2) -> list[tuple[int, int]]:
    """Return evenly spread [start, stop) blocks; everything when that is little enough."""
    most = min(SAMPLE_POSITIONS, max(BLOCK, SAMPLE_BYTES // max(1, n_units * itemsize)))
    if n_positions <= most:
        return [(0, n_positions)] if n_positions else []
    n_blocks = most // BLOCK
    starts = np.linspace(0, n_positions - BLOCK, n_blocks).astype(np.int64)
    return [(int(start), int(start) + BLOCK) for start in starts]


def robust_limit(values: np.ndarray) -> np.ndarray:
    """Return the quantile of each row's absolute values, non-finite ones left out.

    Parameters
    ----------
    values : array (n_units, n_positions)
        Unit-major: a partition of contiguous rows is six times as fast as one down the columns.

    Returns
    -------
    array (n_units,) float32
        All-zero or empty rows give 1, so that a scale always has a width.
    """
    magnitude = np.abs(values.astype(np.float32, copy=False))
    n = magnitude.shape[-1]
    if n == 0:
        return np.ones(len(magnitude), np.float32)
    bad = ~np.isfinite(magnitude)
    if not bad.any():
        index = min(n - 1, int(QUANTILE * n))
        magnitude.partition(index, axis=-1)
        limit = magnitude[:, index]
    else:
        magnitude[bad] = np.nan
        magnitude[bad.all(axis=-1)] = 0
        limit = np.nanquantile(magnitude, QUANTILE, axis=-1)
    return np.where(limit > 0, limit, 1).astype(np.float32)


def saturated_share(values: np.ndarray, site: SiteInfo) -> np.ndarray:
    """Return the share of each row's values near the ends of the signal's range.

    NaN where the signal has no range, as cell states have none.
    """
    if site.is_one_sided:
        return ((values < 1 - SATURATED) | (values > SATURATED)).mean(axis=-1)
    if site.signal in ("hidden", "cell_gate", "new_gate"):
        return (np.abs(values) > SATURATED).mean(axis=-1)
    return np.full(len(values), np.nan, np.float32)


def correlations(values: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each row with each target.

    Parameters
    ----------
    values : array (n_units, n_positions) float32
    targets : array (n_targets, n_positions)
        Positions without a finite value are left out, for each target on its own.

    Returns
    -------
    array (n_targets, n_units) float32
        NaN where a row or a target is constant.
    """
    finite = np.isfinite(values).all(axis=0)
    if not finite.all():
        values, targets = values[:, finite], targets[:, finite]
    n = values.shape[1]
    if n < 2:
        return np.full((len(targets), len(values)), np.nan, np.float32)
    average = values.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    deviation = values - average
    squares = np.einsum("ij,ij->i", deviation, deviation)
    # A constant of float32 deviates from its own mean by rounding, which is no spread.
    constant = np.sqrt(squares) <= 1e-6 * np.sqrt(n) * np.abs(average[:, 0])
    known = np.isfinite(targets)
    counts = np.maximum(known.sum(axis=1, keepdims=True), 1)
    means = np.where(known, targets, 0).sum(axis=1, keepdims=True, dtype=np.float64) / counts
    # Unknown positions become 0 and drop out of the products ...
    centred = np.where(known, targets - means, 0).astype(np.float32)
    # Not a BLAS product: its waiting threads cost twenty times the product on a busy machine.
    products = np.einsum("kn,un->ku", centred, deviation)
    out = np.full(products.shape, np.nan, np.float32)
    for k, row in enumerate(centred):
        # ... and are taken out of the rows' spread here.
        left_out = deviation[:, ~known[k]]
        rest = squares - np.einsum("ij,ij->i", left_out, left_out)
        rest -= left_out.sum(axis=1) ** 2 / counts[k]
        norm = np.sqrt(np.maximum(rest, 0)) * np.linalg.norm(row)
        has_spread = (norm > 0) & ~constant
        out[k, has_spread] = products[k, has_spread] / norm[has_spread]
    return out


def correlation(values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the correlation of each row with one target, (n_units,) float32."""
    return correlations(values, np.asarray(target)[None])[0]


def unit_statistics(source: Source, site: SiteInfo) -> UnitStatistics:
    """Return the statistics of every unit of a site."""
    stream = source.streams[site.stream]
    ranges = sample_ranges(stream.n_positions, site.n_units)
    blocks = [source.window(site.name, start, stop) for start, stop in ranges]
    values = np.concatenate(blocks) if blocks else np.zeros((0, site.n_units), np.float32)
    targets = _targets(source, site.stream, ranges)
    parts = []
    for low in range(0, site.n_units, UNITS_AT_ONCE):
        block = values[:, low : low + UNITS_AT_ONCE]
        part = np.ascontiguousarray(block.T).astype(np.float32)
        parts.append(_statistics_of(part, site, targets))
    documents: set[int] = set()
    for start, stop in ranges:
        first, last = np.searchsorted(stream.document_start, [start, stop - 1], side="right") - 1
        documents.update(range(int(first), int(last) + 1))
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return UnitStatistics(
        mean=joined.pop("mean"),
        spread=joined.pop("spread"),
        saturated=joined.pop("saturated"),
        limit=joined.pop("limit"),
        correlation={key.partition(":")[2]: column for key, column in joined.items()},
        n_positions=len(values),
        n_documents=len(documents),
    )


def _statistics_of(
    values: np.ndarray, site: SiteInfo, targets: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    finite = np.isfinite(values).all()
    clean = values if finite else np.where(np.isfinite(values), values, np.nan)
    average, deviation = (np.mean, np.std) if finite else (np.nanmean, np.nanstd)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a unit without any value has no mean
        out = {
            "mean": average(clean, axis=1),
            "spread": deviation(clean, axis=1),
            "saturated": saturated_share(values, site),
            "limit": robust_limit(values),
        }
    if targets:
        found = correlations(values, np.stack(list(targets.values())))
        out |= {f"correlation:{name}": row for name, row in zip(targets, found, strict=True)}
    return out


def _targets(source: Source, stream: str, ranges: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    """Return what units are correlated with: the loss and every binary or numeric annotation."""
    out: dict[str, np.ndarray] = {}
    if not ranges:
        return out
    losses = [source.loss(stream, start, stop) for start, stop in ranges]
    if all(part is not None for part in losses):
        out["loss"] = np.concatenate([part for part in losses if part is not None])
    for name, info in source.annotations.items():
        if info.stream == stream and info.kind != "categorical" and name != "loss":
            out[name] = np.concatenate([source.annotation(name, *pair) for pair in ranges])
    return {name: np.asarray(values, np.float32) for name, values in out.items()}


def unit_sample(source: Source, site: SiteInfo, unit: int) -> np.ndarray:
    """Return (n,) values of one unit at the sampled positions."""
    stream = source.streams[site.stream]
    ranges = sample_ranges(stream.n_positions, site.n_units)
    parts = [source.unit(site.name, unit, start, stop) for start, stop in ranges]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def histogram(values: np.ndarray, n_bins: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return (counts, edges) over the finite values; one unit wide around a constant."""
    finite = np.asarray(values, np.float32)
    finite = finite[np.isfinite(finite)]
    if len(finite) == 0:
        return np.zeros(n_bins, np.int64), np.linspace(-1, 1, n_bins + 1)
    low, high = float(finite.min()), float(finite.max())
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    return np.histogram(finite, bins=n_bins, range=(low, high))
