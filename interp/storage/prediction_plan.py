"""Predictions before they are stored: what they will be about, and whether given ones are any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from interp.errors import StorageError
from interp.storage import schema
from interp.storage.matrix import RawMatrix

if TYPE_CHECKING:
    from interp.storage.plan import RecordingPlan


@dataclass(frozen=True)
class PredictionPlan:
    """What the model's predictions are about.

    Parameters
    ----------
    stream : str
        The stream whose positions are predicted.
    target : {"next", "same"}
        ``"next"``: row t is about position t + 1, and the loss of a document's last row is NaN.
        ``"same"``: row t is about position t itself (masked models, taggers).
    top_k : int
        How many of the most probable ids are kept.
    """

    stream: str
    target: str
    top_k: int

    def __post_init__(self) -> None:
        if self.target not in schema.TARGETS:
            raise StorageError(f"Predictions are about 'next' or 'same', not {self.target!r}.")
        if self.top_k < 1:
            raise StorageError(f"Predictions keep at least 1 id, not {self.top_k}.")


def stored_predictions(
    plan: RecordingPlan,
    columns: Mapping[str, RawMatrix],
    rows: tuple[int, int],
    given: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return the predictions of some rows as they are stored, by column.

    Parameters
    ----------
    plan : RecordingPlan
        One that has predictions.
    columns : mapping of str to RawMatrix
        Where they go.
    rows : (int, int)
        First and one-past-last.
    given : tuple of array
        Ids and probabilities (n_rows, top_k), and losses (n_rows,).

    Raises
    ------
    StorageError
        If an id is none, or a probability is not finite.
    ValueError
        If a shape is wrong.
    """
    assert plan.predictions is not None
    start, stop = rows
    n, k = stop - start, plan.predictions.top_k
    shapes = {schema.TOP_ID: (n, k), schema.TOP_PROBABILITY: (n, k), schema.LOSS: (n,)}
    stored = {}
    for (part, shape), values in zip(shapes.items(), given, strict=True):
        array = np.asarray(values)
        if array.shape != shape:
            raise ValueError(f"{part} has shape {shape}, not {array.shape}")
        name = f"{schema.PREDICTIONS}/{part}"
        narrow = _narrow(part, array, columns[name].dtype, start, plan.nonfinite == "refuse")
        stored[name] = narrow if narrow.ndim == 2 else narrow[:, None]
    return stored


def _narrow(
    part: str, array: np.ndarray, dtype: np.dtype, start: int, refuse_nonfinite: bool
) -> np.ndarray:
    """Return a part of the predictions as stored, or refuse what is no prediction."""
    if part == schema.TOP_ID:
        bad = (array < 0) | (array > np.iinfo(dtype).max)
        said = f"is an id that the vocabulary's type {dtype.name} cannot hold"
    elif part == schema.TOP_PROBABILITY and refuse_nonfinite:
        bad = ~np.isfinite(array)
        said = "is the probability that the model itself produced. Check its weights"
    else:
        return array.astype(dtype)
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        raise StorageError(
            f"Prediction {column} at position {start + row}: {array[row, column]} {said}."
        )
    return array.astype(dtype)
