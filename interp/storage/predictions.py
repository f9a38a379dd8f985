"""What the model predicted at each position."""

from __future__ import annotations

from io import FileIO

import h5py
import numpy as np

from interp.storage import schema
from interp.storage.arrays import LazyArray
from interp.storage.matrix import open_matrix
from interp.storage.streams import Stream
from interp.storage.strings import read_attribute


class Predictions:
    """The most probable ids at each position, and the loss of the actual one.

    Attributes
    ----------
    stream : Stream
        Whose positions these are.
    target : {"next", "same"}
        ``"next"``: row t is about position t + 1; ``"same"``: about position t itself.
    top_k : int
    top_ids, top_probabilities : LazyArray, shape (n_positions, top_k)
        Most probable first.
    loss : LazyArray, shape (n_positions,)
        Negative natural logarithm of the actual id's probability; NaN where there is none.
    """

    def __init__(
        self, group: h5py.Group, stream: Stream, file: FileIO, missing: np.ndarray | None
    ) -> None:
        self.stream = stream
        self.target: str = read_attribute(group, schema.ATTR_TARGET)

        def lazy(part: str, ndim: int) -> LazyArray:
            return LazyArray(open_matrix(file, group[part]), part, ndim=ndim, missing=missing)

        self.top_ids = lazy(schema.TOP_ID, 2)
        self.top_probabilities = lazy(schema.TOP_PROBABILITY, 2)
        self.loss = lazy(schema.LOSS, 1)
        self.top_k: int = self.top_ids.shape[1]

    def at(self, position: int) -> list[tuple[str, float]]:
        """Return the predicted tokens of one row with their probabilities, most probable first."""
        words = self.stream.vocabulary
        ids = self.top_ids[position].tolist()
        probabilities = self.top_probabilities[position].astype(float).tolist()
        known = 0 if words is None else len(words)  # a model may have more outputs than words
        names = [words[i] if words is not None and i < known else str(i) for i in ids]
        return list(zip(names, probabilities, strict=True))

    def __repr__(self) -> str:
        return f"<predictions: top {self.top_k} of the {self.target} position>"
