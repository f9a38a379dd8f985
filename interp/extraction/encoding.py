"""The corpus as token ids, and the padded batch of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from interp.corpora import Corpus
from interp.errors import CorpusError
from interp.extraction.schedule import Step


@dataclass(frozen=True)
class Encoded:
    """Token ids of all documents, one after the other.

    Attributes
    ----------
    ids : ndarray (n_positions,)
        The smallest unsigned type that holds the vocabulary: one byte a position for characters.
    spans : ndarray (n_positions, 2) int32 or None
        Character offsets within the document; None where every character is one position.
    lengths : ndarray (n_documents,) int64
        Positions of each document.
    """

    ids: np.ndarray
    spans: np.ndarray | None
    lengths: np.ndarray

    @property
    def n_positions(self) -> int:
        """Positions of all documents."""
        return len(self.ids)


@dataclass(frozen=True)
class Batch:
    """What one forward takes, and what its predictions are compared with.

    Attributes
    ----------
    ids : Tensor (n_rows, n_steps) int64
        Padded at the end with 0.
    lengths : Tensor (n_rows,) int64
        On the CPU, where packing wants them.
    targets : Tensor (n_rows, n_steps) int64
        The token that each position's prediction is about, -1 where there is none.
    """

    ids: torch.Tensor
    lengths: torch.Tensor
    targets: torch.Tensor


def encode_corpus(adapter: Any, corpus: Corpus) -> Encoded:
    """Return all documents as ids, in the corpus's order.

    Raises
    ------
    CorpusError
        If the adapter refuses a document, or gives ids outside its vocabulary.
    """
    n_vocabulary = len(adapter.vocabulary)
    compact = np.min_scalar_type(max(n_vocabulary - 1, 1))
    parts, spans, lengths = [], [], []
    for document in corpus:
        try:
            ids, offsets = adapter.encode(document.text)
        except CorpusError as error:
            raise CorpusError(f"{document.name}: {error}") from error
        ids = np.asarray(ids)
        if ids.size and not 0 <= ids.min() <= ids.max() < n_vocabulary:
            raise CorpusError(
                f"{document.name}: the adapter encodes to ids {ids.min()} to {ids.max()}, but its "
                f"vocabulary has {n_vocabulary} entries."
            )
        if offsets is None and len(ids) != len(document.text):
            raise CorpusError(
                f"{document.name}: the adapter gives {len(ids)} ids for {len(document.text)} "
                "characters and no spans; without spans every character must be one position."
            )
        parts.append(ids.astype(compact))
        lengths.append(len(ids))
        if offsets is not None:
            spans.append(np.asarray(offsets, np.int32).reshape(len(ids), 2))
    if spans and len(spans) != len(parts):
        raise CorpusError("The adapter gives spans for some documents and none for others.")
    return Encoded(
        np.concatenate(parts),
        np.concatenate(spans) if spans else None,
        np.asarray(lengths, np.int64),
    )


class Feed:
    """Builds the batch of any step.

    Parameters
    ----------
    encoded : Encoded
        The corpus.
    document_start : ndarray (n_documents + 1,) int64
        First row of each document.
    predicts : {"next", "same"}
        Which token a position's prediction is about.
    device : str
        Where ids and targets go.
    """

    def __init__(
        self, encoded: Encoded, document_start: np.ndarray, predicts: str, device: str = "cpu"
    ) -> None:
        self._ids = encoded.ids
        self._start = document_start
        self._shift = 1 if predicts == "next" else 0
        self._device = device

    def batch(self, step: Step) -> Batch:
        """Return the padded ids and targets of a step."""
        shape = (len(step.documents), step.n_steps)
        ids = np.zeros(shape, np.int64)
        targets = np.full(shape, -1, np.int64)
        for row, (document, length) in enumerate(
            zip(step.documents.tolist(), step.lengths.tolist(), strict=True)
        ):
            begin = int(self._start[document]) + step.start
            ids[row, :length] = self._ids[begin : begin + length]
            # The window's last position speaks about the next window's first token.
            stop = min(begin + self._shift + length, int(self._start[document + 1]))
            about = self._ids[begin + self._shift : stop]
            targets[row, : len(about)] = about
        return Batch(
            torch.from_numpy(ids).to(self._device),
            torch.from_numpy(step.lengths.copy()),
            torch.from_numpy(targets).to(self._device),
        )
