"""What goes to the writer of attention: pieces of maps, ready to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from interp.storage import AttentionPlan, schema
from interp.storage.attention_site import FULL, TOP_P


class MapStore(Protocol):
    """What pieces are written to: storage's ``RecordingWriter``, or part files."""

    def write_attention(
        self, site: str, segment_index: int, weights: np.ndarray, first_row: int = 0
    ) -> None:
        """Write full maps of some rows."""

    def write_attention_edges(
        self, site: str, segment_index: int, edges: Mapping[str, np.ndarray]
    ) -> None:
        """Write the largest weights of each row."""

    def write_attention_statistics(
        self, site: str, segment_index: int, values: Mapping[str, np.ndarray]
    ) -> None:
        """Write statistics of each row."""


@dataclass(frozen=True)
class MapPiece:
    """Something of one site in one segment that is ready to be written.

    Attributes
    ----------
    site : str
    segment : int
    weights : ndarray (n_heads, n_weights) or None
        Full maps of the rows from `first_row` on.
    first_row : int
    edges, statistics : dict of str to ndarray
        The largest weights, and statistics, of all rows.
    """

    site: str
    segment: int
    weights: np.ndarray | None = None
    first_row: int = 0
    edges: Mapping[str, np.ndarray] = field(default_factory=dict)
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)

    def write(self, writer: MapStore) -> None:
        """Write it."""
        if self.weights is not None:
            writer.write_attention(self.site, self.segment, self.weights, self.first_row)
        if self.edges:
            writer.write_attention_edges(self.site, self.segment, self.edges)
        if self.statistics:
            writer.write_attention_statistics(self.site, self.segment, self.statistics)


@dataclass
class MapBatch:
    """Pieces of one map of a batch, queued together."""

    pieces: list[MapPiece]


def empty_piece(plan: AttentionPlan, segment: int) -> MapPiece:
    """Return what a segment without rows adds."""
    n_heads = plan.site.n_heads or 0
    per_row = np.zeros((0, n_heads), np.float32)
    edges: dict[str, np.ndarray] = {}
    if plan.site.form == TOP_P:
        edges = {schema.KEPT: per_row.astype("<u4"), schema.KEPT_MASS: per_row}
        edges |= {schema.KEY_INDEX: np.zeros(0, np.int64)}
        edges |= {schema.WEIGHTS: np.zeros(0, plan.site.dtype)}
    full = np.zeros((n_heads, 0), plan.site.dtype) if plan.site.form == FULL else None
    statistics = {name: per_row for name in plan.statistics}
    return MapPiece(plan.site.name, segment, full, 0, edges, statistics)


def joined(blocks: Sequence[MapPiece]) -> MapPiece:
    """Return blocks of rows of one segment as one: edges stay head after head."""
    if len(blocks) == 1:
        return blocks[0]
    statistics = {
        name: np.concatenate([block.statistics[name] for block in blocks])
        for name in blocks[0].statistics
    }
    edges: dict[str, np.ndarray] = {}
    if blocks[0].edges:
        edges = {
            name: np.concatenate([block.edges[name] for block in blocks])
            for name in (schema.KEPT, schema.KEPT_MASS)
        }
        ends = [np.cumsum(block.edges[schema.KEPT].sum(0)) for block in blocks]
        for name in (schema.KEY_INDEX, schema.WEIGHTS):
            runs = [
                np.split(block.edges[name], end[:-1])
                for block, end in zip(blocks, ends, strict=True)
            ]
            by_head = [run for heads in zip(*runs, strict=True) for run in heads]
            edges[name] = np.concatenate(by_head)
    weights = None
    if blocks[0].weights is not None:
        weights = np.concatenate(
            [block.weights for block in blocks if block.weights is not None], 1
        )
    site, segment = blocks[0].site, blocks[0].segment
    return MapPiece(site, segment, weights, edges=edges, statistics=statistics)
