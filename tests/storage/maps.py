"""Attention maps with known contents, for the tests of the store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interp.storage import AttentionPlan, AttentionSite, RecordingWriter
from interp.storage.attention_site import statistics_of
from interp.storage.key_ranges import inside, pack_rows


def ranges_for(keys: str, query_lengths: list[int], key_lengths: list[int]) -> np.ndarray:
    """Key ranges of documents: causal, the whole document, or a window."""
    parts = []
    for n_queries, n_keys in zip(query_lengths, key_lengths, strict=True):
        row = np.arange(n_queries)
        stop = np.minimum(row + 1, n_keys)
        if keys == "document":
            parts.append(np.stack([0 * row, 0 * row + n_keys], 1))
        elif keys == "causal":
            parts.append(np.stack([0 * row, stop], 1))
        else:
            width = int(keys.partition(":")[2])
            parts.append(np.stack([np.minimum(np.maximum(0, row + 1 - width), stop), stop], 1))
    return np.concatenate(parts)


def map_site(
    name: str = "a/attention",
    n_heads: int = 3,
    dtype: str = "float16",
    keys: str = "causal",
    form: str = "full",
    mass: float | None = None,
    stream: str = "text",
    key_stream: str = "text",
) -> AttentionSite:
    module = name.rpartition("/")[0]
    return AttentionSite(
        name, module, "attention", n_heads, dtype, stream, n_heads=n_heads, key_stream=key_stream,
        form=form, mass=mass, keys=keys,
    )  # fmt: skip


def quantised(weights: np.ndarray, dtype: str) -> np.ndarray:
    """What weights become in a storage type."""
    if dtype == "uint8":
        return np.round(weights * 255).astype("u1")
    return weights.astype(dtype)


@dataclass
class Maps:
    """One attention site, and its weights of every document: (n_heads, queries, keys)."""

    plan: AttentionPlan
    weights: list[np.ndarray]

    @classmethod
    def random(
        cls, site: AttentionSite, queries: list[int], keys: list[int], seed: int = 0
    ) -> Maps:
        rng = np.random.default_rng(seed)
        ranges = ranges_for(site.keys, queries, keys)
        statistics = () if site.form == "full" else statistics_of(site.is_cross, True)
        weights, at = [], 0
        for n_queries, n_keys in zip(queries, keys, strict=True):
            seen = inside(ranges[at : at + n_queries], 0, n_keys)
            raw = rng.random((site.n_heads, n_queries, n_keys)) ** 8 * seen
            total = raw.sum(-1, keepdims=True)
            weights.append((raw / np.where(total == 0, 1, total)).astype("f4"))
            at += n_queries
        return cls(AttentionPlan(site, ranges, statistics), weights)

    @property
    def site(self) -> AttentionSite:
        return self.plan.site

    def statistics(self, document: int, start: int, stop: int) -> dict[str, np.ndarray]:
        """Some numbers for each statistic, the same in every run."""
        rows = self.weights[document][:, start:stop].sum(-1).T
        return {name: (rows + i).astype("f4") for i, name in enumerate(self.plan.statistics)}

    def edges(self, document: int, start: int, stop: int) -> dict[str, np.ndarray]:
        """Keys whose weight is above a tenth of the row's largest; not quite top-p."""
        weights = self.weights[document][:, start:stop]
        keep = weights > weights.max(-1, keepdims=True, initial=0) / 10
        mass = (weights * keep).sum(-1).T.astype("f4")
        stored = quantised(weights, self.site.dtype)
        return {
            "kept": keep.sum(-1).T.astype("u4"),
            "kept_mass": mass,
            "key_index": np.nonzero(keep)[2],
            "weights": stored[keep],
        }

    def write(
        self, writer: RecordingWriter, index: int, document: int, start: int, stop: int
    ) -> None:
        """Write one segment: rows start to stop - 1 of a document, in two blocks if it can be."""
        name = self.site.name
        if self.site.form == "full":
            at = int(writer._plan.stream[self.site.stream].document_start[document])
            stored = quantised(self.weights[document], self.site.dtype)
            half = (start + stop) // 2
            for first, last in ((start, half), (half, stop)) if half > start else ((start, stop),):
                ranges = self.plan.key_ranges[at + first : at + last]
                packed = pack_rows(stored[:, first:last], ranges)
                writer.write_attention(name, index, packed, first - start)
        if self.site.form == "top-p":
            writer.write_attention_edges(name, index, self.edges(document, start, stop))
        if self.plan.statistics:
            values = self.statistics(document, start, stop)
            writer.write_attention_statistics(name, index, values)

    def expected(self, document: int) -> np.ndarray:
        """What a reader gets: float32, rounded to the storage type."""
        stored = quantised(self.weights[document], self.site.dtype)
        if self.site.form == "top-p":
            weights = self.weights[document]
            stored = stored * (weights > weights.max(-1, keepdims=True, initial=0) / 10)
        return stored.astype("f4") / (np.float32(255) if self.site.dtype == "uint8" else 1)
