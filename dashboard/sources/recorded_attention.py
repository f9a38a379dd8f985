"""The attention and the images of a recording, as the attention views ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dashboard.sources.attention import AttentionInfo, Window


class RecordedAttention:
    """What :class:`dashboard.sources.attention.AttentionSource` asks, over `self._recording`."""

    _recording: Any

    @property
    def attention_sites(self) -> Mapping[str, AttentionInfo]:
        """Recorded attention, in model order."""
        return {
            name: AttentionInfo(
                name, site.module, site.n_heads, site.stream, site.key_stream, site.form, site.mass
            )
            for name, site in self._recording.attention_sites.items()
        }

    @property
    def vector_sites(self) -> frozenset[str]:
        """Query, key and value sites."""
        return frozenset(
            name
            for name, site in self._recording.sites.items()
            if site.n_heads and site.signal in ("query", "key", "value")
        )

    def attention(
        self, site: str, document: int, head: int, queries: Window, keys: Window
    ) -> np.ndarray:
        """Return (n_queries, n_keys) float32 weights of one head for a window of a document."""
        weights: np.ndarray = self._recording.attention(
            site, document, head, rows=queries, keys=keys
        )
        return weights

    def key_range(self, site: str, document: int, queries: Window) -> np.ndarray | None:
        """Return (n, 2) keys that each query of a window can see."""
        if self._recording.key_order(site, document) is not None:
            return None  # windows of an image: their keys are no run of positions
        found: np.ndarray = self._recording.key_range(site, document)[slice(*queries)]
        return found

    def head_vectors(
        self, site: str, signal: str, document: int, head: int, window: Window
    ) -> np.ndarray | None:
        """Return (n, head_dim) vectors; heads that share keys get the same ones."""
        recording = self._recording
        module = site.rpartition("/")[0]
        found = recording.sites.get(f"{module}/{signal}")
        if found is None or not found.n_heads:
            return None
        first = int(recording.streams[found.stream].document_start[document])
        width = found.n_units // found.n_heads
        group = max(1, recording.attention_sites[site].n_heads // found.n_heads)
        column = head // group * width
        start, stop = window
        rows = recording[found.name][first + start : first + stop, column : column + width]
        return np.asarray(rows, np.float32)

    def tokens(self, stream: str, document: int, window: Window) -> list[str]:
        """Return the strings of some positions; their numbers where the stream has no words."""
        found = self._recording.streams[stream]
        first = int(found.document_start[document])
        start, stop = first + window[0], first + window[1]
        if found.tokens is not None:
            return list(found.tokens[start:stop])
        if found.has_text and found.is_characters:
            return list((found.text(document) or "")[slice(*window)])
        return [str(position) for position in range(*window)]

    @property
    def image_streams(self) -> Sequence[str]:
        """Streams whose documents are images."""
        streams = self._recording.streams
        return [name for name in streams if streams[name].images is not None]

    def image(self, stream: str, document: int) -> np.ndarray:
        """Return (height, width, 3) uint8; a grey image in three equal channels."""
        picture = np.asarray(self._recording.streams[stream].images[document], np.uint8)
        if picture.ndim == 2:
            picture = picture[:, :, None]
        return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))

    def rectangles(self, stream: str, document: int) -> np.ndarray:
        """Return (n, 4) left, top, right, bottom of a document's patches."""
        found = self._recording.streams[stream]
        start, stop = found.document_start[document : document + 2]
        return np.asarray(found.rectangles[int(start) : int(stop)])
