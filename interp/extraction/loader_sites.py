"""Attention sites of a DataLoader's batches, before the number of documents is known.

Where a model attends within windows (Swin) its maps have a row of the batch per window. The
positions of such a site, in the order in which the model lays its windows out, are a stream of
their own, and a position sees the keys of its window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from interp.extraction.attention_patterns import Pattern
from interp.storage import AttentionPlan, AttentionSite
from interp.storage.attention_site import FULL, STATS, TOP_P, statistics_of
from interp.storage.key_ranges import inside

Lengths = Mapping[str, np.ndarray]
"""Positions of each document, (n_documents,) int64, by stream of the batches."""


@dataclass(frozen=True)
class LoaderSite:
    """What is known of an attention site before the number of documents is.

    Attributes
    ----------
    site : AttentionSite
    pattern : Pattern
        Which keys a query sees, within its window where there are windows.
    stream, key_stream : str
        The streams of the batches to which queries and keys belong.
    n_windows, window : int
        Windows of a document, and positions of each; one window of any length is 1 and 0.
    """

    site: AttentionSite
    pattern: Pattern
    stream: str
    key_stream: str
    n_windows: int = 1
    window: int = 0
    may_narrow: bool = False

    @property
    def is_cross(self) -> bool:
        """Whether queries and keys are positions of different streams."""
        return self.stream != self.key_stream

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of the statistics that are kept."""
        return () if self.site.form == FULL else statistics_of(self.is_cross, has_tokens=False)

    def lengths(self, lengths: Lengths) -> np.ndarray:
        """Return the queries of each document at this site."""
        rows = lengths[self.stream]
        return rows if self.n_windows == 1 else np.full_like(rows, self.n_windows * self.window)

    def documents(self, lengths: Lengths) -> list[tuple[int, int]]:
        """Return the queries and keys of each document at this site."""
        queries = self.lengths(lengths)
        keys = lengths[self.key_stream] if self.is_cross else queries
        return list(zip(queries.tolist(), keys.tolist(), strict=True))

    def ranges(self, length: int, n_keys: int | None = None) -> np.ndarray:
        """Return the key ranges of a document, (length, 2) int64; `n_keys` is `length` if None."""
        at = np.arange(length)
        if self.n_windows > 1:
            first = at // self.window * self.window
            return np.stack([first, first + self.window], axis=1)
        n_keys = length if n_keys is None else n_keys
        return self.pattern.narrow(np.stack([0 * at, 0 * at + n_keys], axis=1), at)

    def narrowed(self, pattern: Pattern) -> LoaderSite:
        """Return the site as one whose queries see fewer keys."""
        return replace(self, pattern=pattern, site=replace(self.site, keys=str(pattern)))

    def kept_of(self, weights: np.ndarray, wider: LoaderSite, length: int) -> np.ndarray:
        """Return what of a document's packed weights, as a wider site packs them, is in sight."""
        before, now = wider.ranges(length), self.ranges(length)
        kept = inside(now, 0, length)[inside(before, 0, length)]
        return np.ascontiguousarray(weights[:, kept])

    def plan(self, lengths: Lengths) -> AttentionPlan:
        """Return the plan for documents of these lengths."""
        ranges = [self.ranges(*document) for document in self.documents(lengths)]
        return AttentionPlan(self.site, np.concatenate(ranges), self.statistics)

    def n_bytes(self, lengths: Lengths) -> int:
        """Return what documents of these lengths take, at most."""
        n_heads = self.site.n_heads or 0
        rows = int(self.lengths(lengths).sum()) * n_heads
        total = 4 * rows * len(self.statistics)
        if self.site.form == STATS:
            return total
        ranges = (self.ranges(*document) for document in self.documents(lengths))
        n = sum(int(np.diff(found, axis=1).sum()) for found in ranges)
        each = np.dtype(self.site.dtype).itemsize
        if self.site.form == TOP_P:
            each, total = each + 4, total + 8 * rows
        return total + n * n_heads * each

    def to_dict(self) -> dict[str, Any]:
        """Return what a resumed run must find unchanged."""
        return {
            "n_heads": self.site.n_heads,
            "form": self.site.form_text,
            "dtype": self.site.dtype,
            "keys": self.site.keys,
            "streams": [self.stream, self.key_stream],
            "windows": [self.n_windows, self.window],
        }
