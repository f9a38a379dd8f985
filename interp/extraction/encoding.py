"""The corpus as token ids, and the padded batch of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from interp.corpora import Document
from interp.errors import CorpusError
from interp.extraction.schedule import Part, Step


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
    inputs : Tensor (n_rows, n_fed) int64, mapping of stream to such, or Tensor of pixels
        What the adapter's `forward` is given first. Padded at the end with 0.
    lengths : Tensor (n_rows,) int64, or mapping of stream to such
        Of what is fed. On the CPU, where packing wants them.
    targets : Tensor (n_rows, n_recorded) int64 or None
        The token that the prediction at each recorded position of the leading stream is about, -1
        where there is none; None where nothing is predicted per position.
    n_fed : dict of str to int
        Length of the padded batch, by stream.
    """

    inputs: Any
    lengths: Any
    targets: torch.Tensor | None
    n_fed: dict[str, int]


def encode_corpus(adapter: Any, corpus: Iterable[Document]) -> Encoded:
    """Return all documents as ids, in the corpus's order.

    Raises
    ------
    CorpusError
        If the adapter refuses a document, or gives ids outside its vocabulary.
    """
    texts = [(document.name, document.text) for document in corpus]
    return encode_texts(adapter.encode, texts, len(adapter.vocabulary))


def encode_texts(
    encode: Callable[[str], tuple[Any, Any]], texts: Iterable[tuple[str, str]], n_vocabulary: int
) -> Encoded:
    """Return texts, (name, text) each, as ids; see :func:`encode_corpus`."""
    compact = np.min_scalar_type(max(n_vocabulary - 1, 1))
    parts, spans, lengths = [], [], []
    for name, text in texts:
        try:
            ids, offsets = encode(text)
        except CorpusError as error:
            raise CorpusError(f"{name}: {error}") from error
        ids = np.asarray(ids)
        if ids.size and not 0 <= ids.min() <= ids.max() < n_vocabulary:
            raise CorpusError(
                f"{name}: the adapter encodes to ids {ids.min()} to {ids.max()}, but its "
                f"vocabulary has {n_vocabulary} entries."
            )
        if offsets is None and len(ids) != len(text):
            raise CorpusError(
                f"{name}: the adapter gives {len(ids)} ids for {len(text)} "
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
    """Builds the batch of any step of a text.

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
        (stream, part), *_ = step.parts.items()
        ids = self.padded_ids(step.documents, part)
        return Batch(
            torch.from_numpy(ids).to(self._device),
            torch.from_numpy(part.fed_lengths.copy()),
            self.targets(step.documents, part),
            {stream: ids.shape[1]},
        )

    def padded_ids(self, documents: np.ndarray, part: Part, n_more: int = 0) -> np.ndarray:
        """Return what is fed of a part, (n_rows, n_fed + n_more) int64."""
        ids = np.zeros((len(documents), part.n_fed + n_more), np.int64)
        begins = self._start[documents] + part.start - part.context
        for row, (begin, length) in enumerate(zip(begins, part.fed_lengths, strict=True)):
            ids[row, :length] = self._ids[begin : begin + length]
        return ids

    def targets(self, documents: np.ndarray, part: Part) -> torch.Tensor:
        """Return the token that each recorded position's prediction is about, -1 for none."""
        targets = np.full((len(documents), part.n_fed - part.context), -1, np.int64)
        for row, (document, length) in enumerate(zip(documents, part.lengths, strict=True)):
            # The window's last position speaks about the next window's first token.
            begin = int(self._start[document]) + part.start + self._shift
            about = self._ids[begin : min(begin + length, int(self._start[document + 1]))]
            targets[row, : len(about)] = about
        return torch.from_numpy(targets).to(self._device)
