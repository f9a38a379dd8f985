"""One axis of positions as it will be recorded: its documents and what stands at each position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interp.errors import StorageError
from interp.storage import digests, schema
from interp.storage.packed import pack
from interp.storage.pictures import check_images, digest_parts_of


@dataclass(frozen=True, eq=False)
class StreamPlan:
    """One axis of positions, its documents and what stands at each position.

    Parameters
    ----------
    name : str
        Such as ``"text"``, or ``"source"`` and ``"target"``.
    document_names : sequence of str
        One name per document, such as a file's path.
    document_start : array of int, shape (n_documents + 1,)
        Where each document begins; the last entry is the number of positions.
    texts : sequence of str, optional
        The text of each document.
    token_ids : array of int, shape (n_positions,), optional
        The model's input at each position.
    spans : array of int, shape (n_positions, 2), optional
        First and one-past-last character of each position, within its document's text. Left out
        although there are texts: each position is one character (code point).
    vocabulary : sequence of str, optional
        The string of each token id.
    images : sequence of array (height, width) or (height, width, 3) uint8, optional
        The image of each document, where positions are patches.
    rectangles : array of int, shape (n_positions, 4), optional
        Left, top, right and bottom of each position on its document's image, in pixels; right
        and bottom exclusive. Zeros for a position that is no patch.
    """

    name: str
    document_names: Sequence[str]
    document_start: np.ndarray
    texts: Sequence[str] | None = None
    token_ids: np.ndarray | None = None
    spans: np.ndarray | None = None
    vocabulary: Sequence[str] | None = None
    images: Sequence[np.ndarray] | None = None
    rectangles: np.ndarray | None = None

    def __post_init__(self) -> None:
        start = np.asarray(self.document_start, dtype="<i8")
        object.__setattr__(self, "document_start", start)
        if self.token_ids is not None:
            object.__setattr__(self, "token_ids", np.asarray(self.token_ids))
        if self.spans is not None:
            object.__setattr__(self, "spans", np.asarray(self.spans))
        self._check()

    @property
    def n_positions(self) -> int:
        """Number of positions of all documents."""
        return int(self.document_start[-1])

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return len(self.document_start) - 1

    def token_dtype(self) -> np.dtype:
        """Return the smallest type that holds the token ids."""
        assert self.token_ids is not None
        low, high = (int(self.token_ids.min()), int(self.token_ids.max()))
        if low < 0:
            return np.dtype("<i8")
        return schema.index_dtype(max(high + 1, len(self.vocabulary or ())))

    def digest(self) -> str:
        """Return a hash of everything this stream says."""
        lists = (self.document_names, self.texts, self.vocabulary)
        return digests.of_stream(
            self.name,
            self.document_start,
            [None if strings is None else pack(strings) for strings in lists],
            [self.token_ids, self.spans, *digest_parts_of(self.images, self.rectangles)],
        )

    def _check(self) -> None:
        """Refuse parts that contradict each other."""
        start, where = self.document_start, f"Stream {self.name!r}"
        if not self.name or "/" in self.name or self.name in (".", ".."):
            raise StorageError(f"{self.name!r} cannot be the name of a stream.")
        if start.ndim != 1 or len(start) < 2 or start[0] != 0 or np.any(np.diff(start) < 0):
            raise StorageError(f"{where}: document_start must rise from 0 to the last position.")
        if self.n_positions == 0:
            raise StorageError(f"{where} has no positions: there is nothing to record.")
        for what, value, n in (
            ("document names", self.document_names, self.n_documents),
            ("texts", self.texts, self.n_documents),
            ("token ids", self.token_ids, self.n_positions),
            ("spans", self.spans, self.n_positions),
            ("images", self.images, self.n_documents),
            ("rectangles", self.rectangles, self.n_positions),
        ):
            if value is not None and len(value) != n:
                raise StorageError(f"{where} has {len(value):,} {what}, expected {n:,}.")
        check_images(where, self.images, self.rectangles)
        if self.texts is not None:
            self._check_text()
        if self.token_ids is not None and self.vocabulary is not None:
            worst = int(self.token_ids.max())
            if worst >= len(self.vocabulary):
                raise StorageError(
                    f"{where} contains the token id {worst}, but its vocabulary ends at "
                    f"{len(self.vocabulary) - 1}."
                )

    def _check_text(self) -> None:
        """Refuse positions that lie outside the text they came from."""
        assert self.texts is not None
        lengths = np.array([len(text) for text in self.texts])
        counts = np.diff(self.document_start)
        if self.spans is None:
            if np.any(lengths != counts):
                i = int(np.flatnonzero(lengths != counts)[0])
                raise StorageError(
                    f"Document {i} ({self.document_names[i]!r}) has {lengths[i]:,} characters but "
                    f"{counts[i]:,} positions; positions that are not single characters need spans."
                )
            return
        first, stop = self.spans[:, 0], self.spans[:, 1]
        bad = (first < 0) | (first > stop) | (stop > np.repeat(lengths, counts))
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            raise StorageError(
                f"Stream {self.name!r}: the span {first[i]}-{stop[i]} of position {i:,} lies "
                "outside its document's text."
            )
