"""The axes of a recording: positions, the documents they form, and what stands at each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from io import FileIO
from threading import Lock
from typing import Any

import h5py
import numpy as np

from interp.arguments import shown
from interp.errors import OutOfRangeError, SelectionError, unknown_name
from interp.storage import schema
from interp.storage.arrays import LazyArray
from interp.storage.hdf5 import reading
from interp.storage.matrix import open_matrix
from interp.storage.named import out_of_range, position
from interp.storage.offsets import read_starts
from interp.storage.packed import PackedStrings
from interp.storage.pictures import StoredImages
from interp.wording import count

_TEXTS_KEPT = 8


class Stream:
    """One axis of positions.

    Attributes
    ----------
    name : str
    document_start : array of int64, shape (n_documents + 1,)
        Where each document begins; the last entry is the number of positions.
    documents : Documents
        The documents in order; index by number or name.
    tokens : Tokens or None
        The string at each position; None for positions without text or vocabulary.
    token_ids : LazyArray or None, shape (n_positions,)
        The model's input.
    spans : Spans or None, shape (n_positions, 2)
        First and one-past-last character of each position within its document's text.
    vocabulary : list of str or None
        The string of each token id.
    images : sequence of array (height, width) or (height, width, 3) uint8, or None
        The image of each document, where positions are patches.
    rectangles : array of int32, shape (n_positions, 4), or None
        Left, top, right, bottom of each position on its document's image, in pixels; right and
        bottom exclusive. Zeros for a position that is no patch, such as a class token.
    """

    def __init__(self, group: h5py.Group, name: str, file: FileIO) -> None:
        self.name = name
        self.document_start: np.ndarray = read_starts(group, schema.DOCUMENT_START)
        self.document_start.flags.writeable = False
        n = self.n_documents
        self._names = PackedStrings(group, schema.DOCUMENT_NAME, n)
        self._texts = PackedStrings(group, schema.TEXT, n) if schema.TEXT in group else None
        self._recent: OrderedDict[int, str] = OrderedDict()
        self._lock = Lock()
        self.vocabulary: list[str] | None = (
            PackedStrings(group, schema.VOCABULARY)[:] if schema.VOCABULARY in group else None
        )
        self.token_ids: LazyArray | None = None
        if schema.TOKEN_ID in group:
            ids = open_matrix(file, group[schema.TOKEN_ID])
            self.token_ids = LazyArray(ids, f"token ids of {name!r}", ndim=1)
        self._span_array: LazyArray | None = None
        if schema.SPAN in group:
            self._span_array = LazyArray(
                open_matrix(file, group[schema.SPAN]), f"spans of {name!r}"
            )
        self.images = StoredImages(group, n) if schema.IMAGE in group else None
        self.rectangles: np.ndarray | None = None
        if schema.RECTANGLE in group:
            self.rectangles = group[schema.RECTANGLE][:].astype(np.int32)
            self.rectangles.flags.writeable = False
        self.documents = Documents(self)
        has_tokens = self._texts is not None or None not in (self.token_ids, self.vocabulary)
        self.tokens = Tokens(self) if has_tokens else None
        self.spans = Spans(self) if self._texts is not None else None

    @property
    def n_positions(self) -> int:
        """Number of positions."""
        return int(self.document_start[-1])

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return len(self.document_start) - 1

    @property
    def has_text(self) -> bool:
        """Whether the documents have text."""
        return self._texts is not None

    @property
    def is_characters(self) -> bool:
        """Whether each position is one character of the text."""
        return self._texts is not None and self._span_array is None

    def document_of(self, positions: Any) -> Any:
        """Return the index of the document that holds each position.

        Raises
        ------
        OutOfRangeError
            If the stream has no such position.
        """
        given = np.asarray(positions)
        if given.dtype.kind not in "iu" and given.size:
            raise out_of_range(positions, self.n_positions, "position")
        if given.size and not (0 <= given.min() and given.max() < self.n_positions):
            wrong = given.min() if given.min() < 0 else given.max()
            raise out_of_range(int(wrong), self.n_positions, "position")
        found = np.searchsorted(self.document_start, positions, side="right") - 1
        return int(found) if np.ndim(found) == 0 else found

    def text(self, document: int) -> str | None:
        """Return the text of one document; the last few are kept in memory."""
        if self._texts is None:
            return None
        with self._lock:
            if document in self._recent:
                self._recent.move_to_end(document)
                return self._recent[document]
        text = self._texts[position(document, self.n_documents, "document")]
        with self._lock:
            self._recent[document] = text
            while len(self._recent) > _TEXTS_KEPT:
                self._recent.popitem(last=False)
        return text

    def image(self, document: int) -> np.ndarray | None:
        """Return the image of one document, (height, width) or (height, width, 3) uint8."""
        return None if self.images is None else self.images[document]

    def span_array(self, start: int, stop: int) -> np.ndarray:
        """Return the spans of positions start to stop - 1, shape (n, 2), int64.

        As of a slice, what lies behind the last position is left out.
        """
        start, stop, _ = slice(start, stop).indices(self.n_positions)
        if self._span_array is not None:
            return self._span_array[start:stop].astype(np.int64)
        positions = np.arange(start, stop)
        first = positions - self.document_start[self.document_of(positions)]
        return np.stack([first, first + 1], axis=1)

    def __repr__(self) -> str:
        parts = [count(self.n_positions, "position"), count(self.n_documents, "document")]
        if self.images is not None:
            parts.append("patches of images")
        if self.has_text:
            parts.append("one character each" if self.is_characters else "text with spans")
        if self.vocabulary is not None:
            parts.append(f"vocabulary of {len(self.vocabulary):,}")
        return f"<stream {self.name!r}: {', '.join(parts)}>"


class Document:
    """A contiguous run of positions: a file, a sentence, an image.

    Attributes
    ----------
    index : int
    name : str
    start, stop : int
        Its positions in the stream are start to stop - 1.
    """

    def __init__(self, stream: Stream, index: int) -> None:
        self._stream, self.index = stream, index
        self.name: str = stream._names[index]
        self.start = int(stream.document_start[index])
        self.stop = int(stream.document_start[index + 1])

    @property
    def n_positions(self) -> int:
        """Number of positions."""
        return self.stop - self.start

    @property
    def positions(self) -> slice:
        """Its rows: ``recording[site][document.positions]``."""
        return slice(self.start, self.stop)

    @property
    def text(self) -> str | None:
        """Its text, or None in a stream without text."""
        return self._stream.text(self.index)

    @property
    def tokens(self) -> list[str] | None:
        """The string at each of its positions."""
        tokens = self._stream.tokens
        return None if tokens is None else tokens[self.positions]

    @property
    def spans(self) -> np.ndarray | None:
        """Character span of each of its positions, shape (n_positions, 2), or None."""
        if not self._stream.has_text:
            return None
        return self._stream.span_array(self.start, self.stop)

    @property
    def image(self) -> np.ndarray | None:
        """Its image, or None in a stream without images."""
        return self._stream.image(self.index)

    @property
    def rectangles(self) -> np.ndarray | None:
        """Where each of its positions lies on its image, shape (n_positions, 4), or None."""
        found = self._stream.rectangles
        return None if found is None else found[self.positions]

    def __repr__(self) -> str:
        return f"<document {self.index} {self.name!r}: {count(self.n_positions, 'position')}>"


class Documents(Sequence[Document]):
    """The documents of a stream, by index or by name."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __len__(self) -> int:
        return self._stream.n_documents

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [Document(self._stream, i) for i in range(len(self))[index]]
        if isinstance(index, str):
            return Document(self._stream, self.index_of(index))
        try:
            return Document(self._stream, range(len(self))[index])
        except IndexError:
            raise OutOfRangeError(
                f"Document {index} of stream {self._stream.name!r} does not exist: it has "
                f"{count(len(self), 'document')} ({f'0-{len(self) - 1}' if len(self) > 1 else 0})."
            ) from None
        except TypeError:
            raise OutOfRangeError(
                f"A document is chosen by its index or name; got {shown(index)}."
            ) from None

    def __iter__(self) -> Iterator[Document]:
        return (Document(self._stream, i) for i in range(len(self)))

    @property
    def names(self) -> list[str]:
        """The names of all documents."""
        return self._stream._names[:]

    def index_of(self, name: str) -> int:
        """Return the index of the first document of that name, or of the only one ending so."""
        names = self.names
        if name in names:
            return names.index(name)
        ending = [i for i, known in enumerate(names) if known.endswith("/" + name)]
        if len(ending) == 1:
            return ending[0]
        raise SelectionError(unknown_name("document", name, names))

    def __repr__(self) -> str:
        shown = ", ".join(self._stream._names[:3]) + (", ..." if len(self) > 3 else "")
        return f"<{count(len(self), 'document')}: {shown}>"


class Tokens(Sequence[str]):
    """The string at each position: from the vocabulary, else from the text."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __len__(self) -> int:
        return self._stream.n_positions

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step < 0:
                return [self[i] for i in range(start, stop, step)]
            return self._read(start, max(start, stop))[::step]
        if np.ndim(index) == 1:
            chosen = np.asarray(index)
            if chosen.dtype == bool:
                if len(chosen) != len(self):
                    raise out_of_range(index, len(self), "position")
                chosen = np.flatnonzero(chosen)
            return [self[i] for i in chosen.tolist()]
        i = position(index, len(self), "position")
        return self._read(i, i + 1)[0]

    def _read(self, start: int, stop: int) -> list[str]:
        stream = self._stream
        if stream.token_ids is not None and stream.vocabulary is not None:
            words = stream.vocabulary
            with reading(f"vocabulary of stream {stream.name!r}"):
                return [words[i] for i in stream.token_ids[start:stop].tolist()]
        tokens: list[str] = []
        if stop <= start:
            return tokens
        for document in range(stream.document_of(start), stream.document_of(stop - 1) + 1):
            text = stream.text(document) or ""
            first = max(start, int(stream.document_start[document]))
            last = min(stop, int(stream.document_start[document + 1]))
            spans = stream.span_array(first, last).tolist()
            tokens.extend(text[begin:end] for begin, end in spans)
        return tokens

    def __repr__(self) -> str:
        return f"<{len(self):,} tokens: {', '.join(map(repr, self[:5]))}, ...>"


class Spans:
    """Character spans, shape (n_positions, 2); slices are read or, for characters, made."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.shape = (stream.n_positions, 2)
        self.dtype = np.dtype(np.int64)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step > 0:
                return self._stream.span_array(start, max(start, stop))[::step]
        try:
            positions = np.arange(len(self))[index]
        except IndexError:
            raise out_of_range(index, len(self), "position") from None
        if positions.ndim > 1:
            raise out_of_range(index, len(self), "position")
        flat = np.atleast_1d(positions)
        found = np.concatenate(
            [self._stream.span_array(int(i), int(i) + 1) for i in flat]
            or [np.zeros((0, 2), np.int64)]
        )
        return found[0] if np.ndim(positions) == 0 else found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)
