"""What the attention views ask of a source; a source without attention lacks these methods.

Maps are asked for one head and one document at a time, and for a window of it: documents may be
long. Positions count from 0 within the document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dashboard.sources.memory import MemorySource

Window = tuple[int, int]


@dataclass(frozen=True)
class AttentionInfo:
    """One recorded attention site.

    `form` is ``"full"``, ``"top-p"`` (weights outside the kept ones read as 0; `mass` is what was
    kept of each row) or ``"stats"`` (no maps at all).
    """

    name: str  # "h.0.attn/attention"
    module: str
    n_heads: int
    stream: str = "text"
    key_stream: str = "text"
    form: str = "full"
    mass: float | None = None

    @property
    def is_cross(self) -> bool:
        """Whether queries and keys stand on different streams."""
        return self.stream != self.key_stream


@runtime_checkable
class AttentionSource(Protocol):
    """The part of a source that the attention views read."""

    @property
    def attention_sites(self) -> Mapping[str, AttentionInfo]:
        """Recorded attention, in model order."""
        ...

    @property
    def vector_sites(self) -> frozenset[str]:
        """Names of the query, key and value sites that were recorded."""
        ...

    def attention(
        self, site: str, document: int, head: int, queries: Window, keys: Window
    ) -> np.ndarray:
        """Return (n_queries, n_keys) float32 weights of one head for a window of a document."""
        ...

    def key_range(self, site: str, document: int, queries: Window) -> np.ndarray | None:
        """Return (n, 2) first and one past the last key that each query of a window can see.

        Counted within the document; None where the keys of a query are no run of positions.
        """
        ...

    def head_vectors(
        self, site: str, signal: str, document: int, head: int, window: Window
    ) -> np.ndarray | None:
        """Return (n, head_dim) queries, keys or values; None when they were not recorded.

        `signal` is ``"query"``, ``"key"`` or ``"value"``; heads that share keys get the same.
        """
        ...

    def tokens(self, stream: str, document: int, window: Window) -> list[str]:
        """Return the strings of some positions of a document."""
        ...


@runtime_checkable
class ImageSource(Protocol):
    """The part of a source that the image view reads."""

    @property
    def image_streams(self) -> Sequence[str]:
        """Streams whose documents are images."""
        ...

    def image(self, stream: str, document: int) -> np.ndarray:
        """Return (height, width, 3) uint8, the image as the model saw it."""
        ...

    def rectangles(self, stream: str, document: int) -> np.ndarray:
        """Return (n, 4) left, top, right, bottom in pixels; empty for a class token."""
        ...


class AttentionMemorySource(MemorySource):
    """A source in memory that holds attention too, for tests, benchmarks and notebooks.

    Parameters
    ----------
    documents : sequence of (name, text)
        As for :class:`MemorySource`.
    maps : mapping of str to sequence of array
        Attention site to one array (n_heads, queries, keys) per document.
    sites : mapping, optional
        Sites with units.
    vectors : mapping of str to sequence of array, optional
        ``"h.0.attn/query"`` to one array (n_heads, positions, head_dim) per document.
    images : sequence of (array (height, width, 3), array (n, 4)), optional
        Image and rectangles of each document.
    **rest
        As for :class:`MemorySource`.
    """

    def __init__(
        self,
        documents: Sequence[tuple[str, str]],
        maps: Mapping[str, Sequence[np.ndarray]],
        sites: Mapping[str, Any] | None = None,
        vectors: Mapping[str, Sequence[np.ndarray]] | None = None,
        images: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(documents, sites or {}, **rest)
        self._maps = maps
        self._vectors = vectors or {}
        self._images = images
        stream = next(iter(self.streams))
        self._attention_sites = {
            name: AttentionInfo(name, name.rpartition("/")[0], found[0].shape[0], stream, stream)
            for name, found in maps.items()
        }

    @property
    def attention_sites(self) -> Mapping[str, AttentionInfo]:
        """Recorded attention, in the order given."""
        return self._attention_sites

    @property
    def vector_sites(self) -> frozenset[str]:
        """Sites whose queries, keys or values are here."""
        return frozenset(self._vectors)

    @property
    def image_streams(self) -> Sequence[str]:
        """The one stream, if there are images."""
        return list(self.streams) if self._images else []

    def image(self, stream: str, document: int) -> np.ndarray:
        """Return (height, width, 3) uint8."""
        assert self._images is not None
        return np.asarray(self._images[document][0], np.uint8)

    def rectangles(self, stream: str, document: int) -> np.ndarray:
        """Return (n, 4) left, top, right, bottom."""
        assert self._images is not None
        return np.asarray(self._images[document][1])

    def attention(
        self, site: str, document: int, head: int, queries: Window, keys: Window
    ) -> np.ndarray:
        """Return (n_queries, n_keys) float32 weights of one head."""
        found = self._maps[site][document][head, slice(*queries), slice(*keys)]
        return np.asarray(found, np.float32)

    def key_range(self, site: str, document: int, queries: Window) -> np.ndarray | None:
        """Return (n, 2) keys that each query can see: up to the last that any head uses."""
        used = self._maps[site][document][:, slice(*queries)].max(0) > 0
        n_keys = used.shape[1]
        stop = np.where(used.any(1), n_keys - used[:, ::-1].argmax(1), 0)
        return np.stack([0 * stop, stop], axis=1)

    def head_vectors(
        self, site: str, signal: str, document: int, head: int, window: Window
    ) -> np.ndarray | None:
        """Return (n, head_dim) vectors of one head, None when there are none."""
        found = self._vectors.get(f"{site.rpartition('/')[0]}/{signal}")
        if found is None:
            return None
        heads = found[document]
        group = max(1, self._attention_sites[site].n_heads // heads.shape[0])
        return np.asarray(heads[head // group, slice(*window)], np.float32)

    def tokens(self, stream: str, document: int, window: Window) -> list[str]:
        """Return the strings of some positions."""
        if not self.streams[stream].has_text:
            return [str(position) for position in range(*window)]
        text = self.text(stream, document)
        spans = self.spans(stream, document)
        if spans is None:
            return list(text[slice(*window)])
        return [text[start:stop] for start, stop in spans[slice(*window)].tolist()]
