"""Autocorrelation of every unit of a site, document by document, with bounded memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from probes.dynamics.rows import pieces

#: Where the autocorrelation time is read off.
THRESHOLD = 1 / math.e
#: Lags that fewer pairs than this share of the positions speak about are not trusted.
_LEAST_SHARE = 0.05
#: Units that are held at a time, in float64 with their spectra.
_UNITS = 128


class LaggedProducts:
    """Sums of x_t x_{t-k} over documents, fed with consecutive pieces.

    The products of a piece with itself and with the `max_lag` values before it are a correlation,
    computed by FFT; spectra of pieces of one length are added up and transformed back together.

    Parameters
    ----------
    mean : ndarray (n_units,)
        Taken off every value.
    max_lag : int
    """

    def __init__(self, mean: np.ndarray, max_lag: int) -> None:
        self._mean = np.asarray(mean, np.float64)[:, None]
        self._max_lag = max_lag
        self._sums = np.zeros((max_lag + 1, len(self._mean)))
        self._length = 0
        self._spectrum: np.ndarray | None = None
        self._history = np.zeros((len(self._mean), 0))
        self._position = 0
        self._n_pairs = np.zeros(max_lag + 1)

    def start_document(self) -> None:
        """Forget what came before: lags do not cross the borders of documents."""
        self._history = self._history[:, :0]
        self._position = 0

    def add(self, values: np.ndarray) -> None:
        """Add the next values (n_rows, n_units) of the document."""
        from scipy.fft import next_fast_len, rfft

        now = values.T.astype(np.float64) - self._mean
        n, n_before = now.shape[1], self._history.shape[1]
        both = np.concatenate([self._history, now], axis=1)
        # Long enough that no product wraps round to another lag.
        length = next_fast_len(both.shape[1] + min(self._max_lag, both.shape[1]), real=True)
        length = 1 << (length - 1).bit_length() if length < 4096 else length
        own = np.concatenate([np.zeros_like(self._history), now], axis=1) if n_before else both
        spectrum = rfft(both, length)
        other = rfft(own, length) if n_before else spectrum
        if length != self._length:  # one spectrum is held, however many lengths there are
            self._transform_back()
            self._length = length
        product = other * spectrum.conj()
        self._spectrum = product if self._spectrum is None else self._spectrum + product
        lags = np.arange(self._max_lag + 1)
        end = self._position + n
        self._n_pairs += np.clip(end - np.maximum(self._position, lags), 0, None)
        self._position = end
        self._history = both[:, max(0, both.shape[1] - self._max_lag) :]

    def correlation(self) -> tuple[np.ndarray, np.ndarray]:
        """Return autocorrelation and number of pairs.

        Returns
        -------
        correlation : ndarray (max_lag + 1, n_units)
            1 at lag 0; NaN for a constant unit and at lags that no document has.
        n_pairs : ndarray (max_lag + 1,)
        """
        self._transform_back()
        sums = self._sums
        with np.errstate(invalid="ignore", divide="ignore"):
            covariance = sums / self._n_pairs[:, None]
            # What rounding leaves of a constant is far below any spread that a type can hold.
            least = 1e-24 * self._mean[:, 0] ** 2 * self._n_pairs[0]
            covariance[:, sums[0] <= least] = np.nan
            return covariance / covariance[0], self._n_pairs

    def _transform_back(self) -> None:
        from scipy.fft import irfft

        if self._spectrum is None:
            return
        # The second half holds the negative lags.
        n_lags = min(self._max_lag, self._length // 2) + 1
        self._sums[:n_lags] += irfft(self._spectrum, self._length)[:, :n_lags].T
        self._spectrum = None


def autocorrelation(
    recording: Any, site: str, *, max_lag: int = 500, skip: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the autocorrelation of the units of a site, within documents.

    The mean is that of all positions that count, not each document's own, which would take slow
    units for fast ones wherever documents are short.

    Parameters
    ----------
    recording : Recording
    site : str
    max_lag : int
    skip : int
        First positions of each document to leave out.

    Returns
    -------
    correlation : ndarray (max_lag + 1, n_units)
    n_pairs : ndarray (max_lag + 1,)
        Pairs of positions behind each lag.
    """
    n_units = recording.sites[site].n_units
    parts = [
        _of_units(recording, site, slice(first, min(first + _UNITS, n_units)), max_lag, skip)
        for first in range(0, n_units, _UNITS)
    ]
    return np.concatenate([correlation for correlation, _ in parts], axis=1), parts[0][1]


def _of_units(
    recording: Any, site: str, units: slice, max_lag: int, skip: int
) -> tuple[np.ndarray, np.ndarray]:
    start = recording.stream_of(site).document_start
    array = recording[site]
    total, n_rows = 0.0, 0
    for piece in pieces(start, skip):
        total = total + array[piece.start : piece.stop, units].sum(axis=0, dtype=np.float64)
        n_rows += piece.stop - piece.start
    products = LaggedProducts(np.asarray(total) / n_rows, max_lag)
    for piece in pieces(start, skip):
        if piece.start == piece.first:
            products.start_document()
        products.add(array[piece.start : piece.stop, units])
    return products.correlation()


def crossing_time(correlation: np.ndarray, n_pairs: np.ndarray) -> np.ndarray:
    """Return the lag at which each autocorrelation first falls below 1/e.

    Parameters
    ----------
    correlation : ndarray (n_lags, n_units)
    n_pairs : ndarray (n_lags,)

    Returns
    -------
    ndarray (n_units,)
        Between lags by linear interpolation; infinite where it never falls that low within the
        lags that enough pairs speak about, NaN for a constant unit.
    """
    trusted = int((n_pairs >= max(1.0, _LEAST_SHARE * n_pairs[0])).sum())
    curve = correlation[:trusted]
    below = curve < THRESHOLD
    first = below.argmax(axis=0)
    units = np.arange(curve.shape[1])
    before, after = curve[first - 1, units], curve[first, units]
    with np.errstate(invalid="ignore", divide="ignore"):
        times = first - 1 + (before - THRESHOLD) / (before - after)
    times = np.where(below.any(axis=0), times, np.inf)
    return np.where(np.isnan(curve[0]), np.nan, times)
