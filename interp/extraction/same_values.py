"""Whether a model still computes what it computed: before a run goes on, and beside other rows.

A hash of the weights does not tell that the code around them has changed, or a setting such as the
number of heads. One step that was recorded is therefore computed again and compared. Nor does
anything tell that a document's values depend on the padding behind it, but computing it alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from interp.extraction.pipeline import StepWriter
from interp.storage import schema

#: Part of the largest value by which two passes may differ; another code differs by far more.
#: Rounding, another device and other batches stay below.
SHARE = 2e-3
#: The same for models that compute in half precision.
SHARE_OF_HALF = 0.1
#: Of attention weights, which are between 0 and 1 and may be stored in 256 steps.
SHARE_OF_WEIGHTS = 1e-2


@dataclass(frozen=True)
class Difference:
    """Where two passes differ most.

    Attributes
    ----------
    column : str
        Site, or data set of the predictions or of an attention site.
    segment : int
    place : tuple of int
        Index within the values.
    before, now : float
    """

    column: str
    segment: int
    place: tuple[int, ...]
    before: float
    now: float

    def __str__(self) -> str:
        return f"{self.column} was {self.before:.4g}, now it is {self.now:.4g}"


class Committed(Protocol):
    """What gives recorded values back: storage's ``RecordingWriter``, or part files."""

    def committed(self, column: str, segment_index: int) -> list[np.ndarray]:
        """Return what is recorded of a column in a segment."""


class Comparison(StepWriter):
    """Takes the values of a step as a writer does, and compares them with the recorded ones.

    Parameters
    ----------
    recorded : Committed
    share : float
        Part of the largest value by which they may differ.

    Attributes
    ----------
    difference : Difference or None
        The first that was found.
    """

    done_segments = 0

    def __init__(self, recorded: Committed, share: float) -> None:
        self.difference: Difference | None = None
        self._recorded, self._share = recorded, share

    def write(self, site: str, segment_index: int, values: np.ndarray) -> None:
        """Compare the values of a site."""
        self._compare(site, segment_index, values, self._share)

    def write_predictions(
        self,
        segment_index: int,
        top_ids: np.ndarray,
        top_probabilities: np.ndarray,
        loss: np.ndarray,
    ) -> None:
        """Compare the losses; tokens of equal probability may come in another order."""
        column = f"{schema.PREDICTIONS}/{schema.LOSS}"
        self._compare(column, segment_index, loss[:, None], self._share)

    def write_attention(
        self, site: str, segment_index: int, weights: np.ndarray, first_row: int = 0
    ) -> None:
        """Compare the first rows of full maps, which may come in blocks."""
        if first_row:
            return
        runs = self._recorded.committed(
            f"{schema.ATTENTION}/{site}/{schema.WEIGHTS}", segment_index
        )
        there = np.stack([run[: weights.shape[1], 0] for run in runs])
        self._note(site, segment_index, there, weights, max(SHARE_OF_WEIGHTS, self._share))

    def write_attention_edges(
        self, site: str, segment_index: int, edges: Mapping[str, np.ndarray]
    ) -> None:
        """Leave which keys were kept to the statistics: at the edge of the mass it may change."""

    def write_attention_statistics(
        self, site: str, segment_index: int, values: Mapping[str, np.ndarray]
    ) -> None:
        """Compare statistics of rows."""
        for name, array in values.items():
            self._compare(f"{schema.ATTENTION}/{site}/{name}", segment_index, array, self._share)

    def commit(self, done_segments: int) -> None:
        """Do nothing: nothing is written."""

    def _compare(self, column: str, segment: int, now: np.ndarray, share: float) -> None:
        self._note(column, segment, self._recorded.committed(column, segment)[0], now, share)

    def _note(
        self, column: str, segment: int, before: np.ndarray, now: np.ndarray, share: float
    ) -> None:
        place = differing(before, now, share)
        if place is not None and self.difference is None:
            values = float(before[place]), float(now[place])
            self.difference = Difference(column, segment, place, *values)


def differing(before: np.ndarray, now: np.ndarray, share: float) -> tuple[int, ...] | None:
    """Return where two arrays of one shape differ most, None if that is no more than rounding.

    Parameters
    ----------
    before, now : array
    share : float
        Part of the largest absolute value by which they may differ. NaN equals NaN.
    """
    if not before.size:
        return None
    before, now = np.asarray(before, np.float64), np.asarray(now, np.float64)
    both = np.isfinite(before) & np.isfinite(now)
    unlike = ~both & ~((before == now) | (np.isnan(before) & np.isnan(now)))
    if unlike.any():
        return tuple(int(i) for i in np.argwhere(unlike)[0])
    before, now = np.where(both, before, 0), np.where(both, now, 0)
    apart, largest = np.abs(before - now), np.abs(before).max()
    if float(apart.max()) <= share * largest + 1e-6:
        return None
    return tuple(int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))


def share_of(module: torch.nn.Module) -> float:
    """Return the part of the largest value by which two passes of a model may differ."""
    half = (torch.float16, torch.bfloat16)
    return SHARE_OF_HALF if any(p.dtype in half for p in module.parameters()) else SHARE
