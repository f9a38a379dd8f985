"""What the model reads with its units clamped: the beginnings of a recording's documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.errors import InterpError, ModelError, RecordingError, unknown_name
from interp.wording import count
from probes.documents import split_documents
from probes.reloading import load_model_of

if TYPE_CHECKING:
    from interp.models import LoadedModel

DOCUMENTS = ("test", "selection", "all")


@dataclass(frozen=True, eq=False)
class Passages:
    """The beginnings of some documents.

    Attributes
    ----------
    documents : ndarray (n_passages,) int
        Indices in the stream.
    positions : list of slice
        In the stream.
    ids, targets : list of ndarray (length,)
        Token ids, and the token each prediction is about; -1: none.
    longest : int
        Positions of a document that are read at most.
    is_cut : bool
        Whether a document is longer.
    """

    documents: np.ndarray
    positions: list[slice]
    ids: list[np.ndarray]
    targets: list[np.ndarray]
    longest: int
    is_cut: bool

    @property
    def n_positions(self) -> int:
        """Positions of all passages."""
        return sum(map(len, self.ids))


def model_for(recording: Any, model: Any = None, weights: Any = None) -> LoadedModel:
    """Return the recording's model, with a way from text to predictions.

    Parameters
    ----------
    recording : Recording
        Complete.
    model, weights
        See :func:`probes.reloading.load_model_of`.

    Raises
    ------
    RecordingError
        If the recording is incomplete.
    ModelError
        If it is not the recording's model, cannot be loaded, or reads no single text.
    """
    _ = recording.fingerprint  # refuses an incomplete recording
    loaded = load_model_of(recording, model, weights)
    adapter: Any = loaded.adapter
    if adapter is None:
        raise ModelError(
            f"{loaded.spec} is a bare module, so there are no predictions to compare; give it an "
            "adapter (docs/recording-your-model.md)."
        )
    if getattr(adapter, "streams", ("text",)) != ("text",):
        raise ModelError(
            f"{loaded.spec} reads {' and '.join(adapter.streams)}; clamps are compared on models "
            "that read one stream of text."
        )
    return loaded


def choose_documents(n_documents: int, which: str, seed: int) -> np.ndarray:
    """Return the documents of a half, or all of them.

    Parameters
    ----------
    n_documents : int
    which : {"test", "selection", "all"}
        The halves are those by which units are ranked.
    seed : int
        Of the split.

    Raises
    ------
    InterpError
        If `which` is something else, or there are too few documents to split.
    """
    if which not in DOCUMENTS:
        raise InterpError(unknown_name("part of the documents", which, DOCUMENTS))
    if which == "all":
        return np.arange(n_documents)
    if n_documents < 4:
        raise InterpError(
            f"The recording has {count(n_documents, 'document')}, too few to hold half of them "
            "back for the test; record more, or look at all of them: --documents all."
        )
    return split_documents(n_documents, seed)[0 if which == "selection" else 1]


def cut_passages(
    recording: Any, loaded: LoadedModel, documents: np.ndarray, n_positions: int
) -> Passages:
    """Return the beginnings of some documents, `n_positions` in all at most.

    Short documents are read whole, all others up to one same length.

    Parameters
    ----------
    recording : Recording
        With token ids.
    loaded : LoadedModel
    documents : ndarray (n_documents,) int
    n_positions : int

    Raises
    ------
    RecordingError
        If the recording has no token ids.
    """
    stream = recording.stream()
    if stream.token_ids is None:
        raise RecordingError(
            f"{recording.path} holds no token ids, so the model cannot read its text again; it "
            "was recorded from batches. Record it from text."
        )
    start = np.asarray(stream.document_start)
    lengths = np.diff(start)[documents]
    documents, lengths = documents[lengths > 1], lengths[lengths > 1]
    adapter: Any = loaded.adapter
    longest = _level(lengths, n_positions)
    if not loaded.carries_state:
        longest = min(longest, getattr(adapter, "context_length", None) or longest)
    shift = 1 if adapter.predicts == "next" else 0
    slices, ids, targets = [], [], []
    for document, length in zip(documents.tolist(), np.minimum(lengths, longest), strict=True):
        first, last = int(start[document]), int(start[document + 1])
        stop = first + int(length)
        read = np.asarray(stream.token_ids[first : min(stop + shift, last)], np.int64)
        about = np.full(length, -1, np.int64)
        about[: len(read) - shift] = read[shift : shift + int(length)]
        slices.append(slice(first, stop))
        ids.append(read[:length])
        targets.append(about)
    return Passages(documents, slices, ids, targets, longest, bool((lengths > longest).any()))


def _level(lengths: np.ndarray, n_positions: int) -> int:
    """Return the length at which documents are cut so that `n_positions` are left."""
    rising = np.sort(lengths)
    left = n_positions
    for index, length in enumerate(rising.tolist()):
        share = left // (len(rising) - index)
        if length > share:
            return max(2, int(share))
        left -= length
    return int(rising[-1]) if len(rising) else 0
