"""Maps of a recording, read one head of one document at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from interp.errors import InterpError, unknown_name
from interp.sites import OF_RECORDING, match_sites
from probes.heads.findings import head_names
from probes.heads.repeats import SPECIAL
from probes.heads.rows import MapRows
from probes.heads.sources import DocumentMaps
from probes.heads.targets import Context

#: Weights of one head that are read at once.
MOST_WEIGHTS = 1 << 22
#: A measure's name among the statistics that a recording may hold of each row.
STATISTICS = {
    "entropy": "entropy",
    "confidence": "maximum",
    "distance": "mean_distance",
    "first": "first_mass",
    "previous": "previous_mass",
    "self": "self_mass",
    "next": "next_mass",
    "duplicate": "duplicate_mass",
    "induction": "induction_mass",
}


def attention_sites_of(recording: Any, patterns: str | Sequence[str] | None) -> list[str]:
    """Return the attention sites of a recording that match, in model order.

    Raises
    ------
    InterpError
        If there are none, a pattern matches none, or the recording is incomplete.
    """
    names = list(recording.attention_sites)
    if not names:
        raise InterpError(
            f"{recording.path} holds no attention; record it with --sites '**/attention'."
        )
    # Refuses an incomplete one: chance would count rows that are missing, and an argmax be theirs.
    _ = recording.fingerprint
    return names if patterns is None else match_sites(patterns, names, OF_RECORDING)


class RecordedMaps:
    """The attention of a recording.

    Parameters
    ----------
    recording : Recording
    sites : str or sequence of str, optional
        Names or patterns; default: all attention sites.
    separators : sequence of str, optional
        The tokens that separate; default: names in angle or square brackets, such as ``[SEP]``.
    """

    def __init__(
        self,
        recording: Any,
        sites: str | Sequence[str] | None = None,
        separators: Sequence[str] | None = None,
    ) -> None:
        self.recording = recording
        self.names = attention_sites_of(recording, sites)
        self._separators = separators
        self._numbers: dict[str, np.ndarray | None] = {}

    def sites(self) -> list[RecordedSite]:
        """Return the sites in model order."""
        return [RecordedSite(self, name) for name in self.names]

    def tokens(self, stream: Any, start: int, stop: int) -> np.ndarray | None:
        """Return a number for each token of a run of positions, or None where there are none."""
        if stream.token_ids is not None:
            return np.asarray(stream.token_ids[start:stop], np.int64)
        if stream.tokens is not None and stream.is_characters:
            return np.array([ord(c) for c in stream.tokens[start:stop]], np.int64)
        return None

    def separators(self, stream: Any) -> np.ndarray | None:
        """Return the numbers of the separators of a stream.

        Raises
        ------
        InterpError
            If a separator that was named is no token.
        """
        if stream.name not in self._numbers:
            self._numbers[stream.name] = self._find_separators(stream)
        return self._numbers[stream.name]

    def _find_separators(self, stream: Any) -> np.ndarray | None:
        words = stream.vocabulary
        if words is None or stream.token_ids is None:
            if self._separators and any(len(word) != 1 for word in self._separators):
                raise InterpError("The recording has no vocabulary; a separator is one character.")
            return np.array([ord(word) for word in self._separators or ()], np.int64)
        if self._separators is None:
            found = [i for i, word in enumerate(words) if SPECIAL.fullmatch(word.strip())]
            return np.array(found, np.int64)
        for word in self._separators:
            if word not in words:
                raise InterpError(unknown_name("token", word, words))
        return np.flatnonzero(np.isin(np.array(words, object), list(self._separators)))


class RecordedSite:
    """One attention site of a recording."""

    def __init__(self, source: RecordedMaps, name: str) -> None:
        recording = source.recording
        self._source, self._recording, self.name = source, recording, name
        self._site = recording.attention_sites[name]
        self._queries = recording.streams[self._site.stream]
        self._keys = recording.streams[self._site.key_stream or self._site.stream]
        self._statistics = recording.attention_statistics(name)
        self.heads = head_names(name, self._site.n_heads)
        self.n_documents = self._queries.n_documents
        self.note = self._note()

    def _note(self) -> str:
        form = self._site.form
        if form == "top-p":
            return (
                f"{self.name} kept {self._site.mass:.0%} of each row: separator, copying and "
                "best_offset are lower bounds, too low by what was dropped at most"
            )
        return ""

    def blocks(self, index: int) -> Iterator[DocumentMaps]:
        """Yield the maps of one document, in blocks of queries that fit into memory."""
        document = self._queries.documents[index]
        key_document = self._keys.documents[index]
        key_range = np.asarray(self._recording.key_range(self.name, index), np.int64)
        context = self._context(document, key_document)
        # In their order the keys of windows of an image are one run, but no distance apart.
        order = self._recording.key_order(self.name, index)
        same = self._keys is self._queries and order is None
        for first, stop in blocks_of(key_range, MOST_WEIGHTS):
            visible = MapRows(key_range[first:stop], key_document.n_positions, same, first)
            rows = slice(document.start + first, document.start + stop)
            statistics = {
                name: np.asarray(self._statistics[kept][rows], np.float64)
                for name, kept in STATISTICS.items()
                if kept in self._statistics
            }
            if "entropy" in statistics:
                with np.errstate(divide="ignore", invalid="ignore"):
                    relative = statistics["entropy"] / np.log(visible.n_visible)[:, None]
                statistics["relative_entropy"] = relative
            read = _Reader(self._recording, self.name, index, visible, order)
            weights = None if self._site.form == "stats" else read
            kept = self._site.mass if self._site.form == "top-p" else 1.0
            most = 1.0 if self._site.dtype == "uint8" else None
            yield DocumentMaps(visible, context, weights, statistics, kept=kept, most=most)

    def _context(self, document: Any, key_document: Any) -> Context:
        source = self._source
        tokens = source.tokens(self._queries, document.start, document.stop)
        keys = source.tokens(self._keys, key_document.start, key_document.stop)
        predictions = self._recording.predictions
        predicted = None
        speaks = predictions is not None and predictions.target == "next"
        if speaks and predictions.stream is self._queries:
            predicted = predictions.top_ids[document.start : document.stop, 0]
        if self._queries.token_ids is None:
            predicted = None  # ids of predictions can't be compared with characters
        return Context(
            tokens,
            keys,
            source.separators(self._keys),
            None if predicted is None else np.asarray(predicted, np.int64).reshape(-1),
        )


class _Reader:
    """Reads one head of a block of queries."""

    def __init__(
        self,
        recording: Any,
        site: str,
        document: int,
        visible: MapRows,
        order: np.ndarray | None = None,
    ) -> None:
        self._recording, self._site, self._document = recording, site, document
        self._visible, self._order = visible, order

    def __call__(self, head: int) -> np.ndarray:
        visible = self._visible
        first = visible.first_query
        if self._order is not None:
            rows = first, first + visible.n_queries
            values = self._recording.attention(self._site, self._document, head, rows=rows)
            return values[visible.row, self._order[visible.keys]]
        seen = visible.key_range[visible.n_visible > 0]
        low, high = (int(seen[:, 0].min()), int(seen[:, 1].max())) if len(seen) else (0, 0)
        values = self._recording.attention(
            self._site, self._document, head,
            rows=(first, first + visible.n_queries), keys=(low, high),
        )  # fmt: skip
        return values[visible.row, visible.keys - low]


def blocks_of(key_range: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Yield runs of rows whose dense block, rows × keys from first to last, has at most `most`.

    A single row may be larger.
    """
    first, n = 0, len(key_range)
    while first < n:
        low = np.minimum.accumulate(key_range[first:, 0])
        high = np.maximum.accumulate(key_range[first:, 1])
        sizes = (high - low) * np.arange(1, n - first + 1)
        rows = max(1, int(np.searchsorted(sizes, most, side="right")))
        yield first, first + rows
        first += rows
