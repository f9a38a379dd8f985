"""Attention maps on their way from the model to the writer, one layer at a time.

A recorder hands each map over as it is made. What belongs to real positions is cut out of the
padded batch, brought into the form in which it is kept, and queued for the writer before the
model goes on; so no more than a layer's maps are in memory, however many layers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from torch import Tensor

from interp.errors import CaptureError, StorageError
from interp.extraction.attention_rows import (
    Rows,
    find_outside,
    full_rows,
    largest_rows,
    some_rows,
    statistics_rows,
)
from interp.extraction.schedule import Part, Step
from interp.sites import SiteDescription
from interp.storage import AttentionPlan, schema
from interp.storage.attention_site import FULL, SUGGESTED_MASS, TOP_P


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


class AttentionSink:
    """Takes the maps of a recorder, step by step; a recorder's `consume`.

    Parameters
    ----------
    plans : mapping of str to AttentionPlan
        The attention sites that are recorded; others are ignored.
    document_start : mapping of str to ndarray (n_documents + 1,)
        By stream.
    tokens : mapping of str to ndarray (n_positions,)
        Token ids of the streams that have them.
    place : callable
        ``place(document, position)`` names a place, for messages.
    submit : callable
        Takes what is ready to be written.

    Attributes
    ----------
    n_seen, n_kept : int
        Weights in sight, and those of them that were kept.
    """

    def __init__(
        self,
        plans: Mapping[str, AttentionPlan],
        document_start: Mapping[str, np.ndarray],
        tokens: Mapping[str, np.ndarray],
        place: Callable[[int, int], str],
        submit: Callable[[MapBatch], None] = lambda batch: None,
    ) -> None:
        self._plans = plans
        self._start = document_start
        self._tokens = tokens
        self._place = place
        self.submit = submit
        self.n_seen = self.n_kept = 0
        self._measured: list[int] | None = None
        self._step: Step | None = None
        self._rows_seen: dict[str, int] = {}
        self._waiting: dict[tuple[str, int], list[MapPiece]] = {}

    def measure(self) -> None:
        """From now on look at some rows of full maps to tell what top-p would keep of them."""
        self._measured = [0, 0]

    def kept_share(self) -> float:
        """Return the part of all weights that top-p keeps, as measured; counting begins anew."""
        kept, seen = self.n_kept, self.n_seen
        if self._measured is not None and self._measured[1]:
            kept, seen = self._measured
        self.n_seen, self.n_kept, self._measured = 0, 0, None
        return kept / seen if seen else 1.0

    def begin(self, step: Step) -> None:
        """Say to which step the maps that follow belong."""
        self._step = step
        self._rows_seen.clear()
        self._waiting.clear()

    def end(self) -> None:
        """Say that the forward of the step has ended.

        Raises
        ------
        CaptureError
            If a site has not fired, or not for all positions.
        """
        step = self._step
        assert step is not None
        for name, plan in self._plans.items():
            part = step.parts[plan.site.stream]
            if name not in self._rows_seen and not part.lengths.any():
                rows = range(len(step.documents))
                nothing = [self._empty(plan, step.segment + row) for row in rows]
                self.submit(MapBatch(nothing))
            elif self._rows_seen.get(name) != part.n_fed:
                raise CaptureError(
                    f"Attention site {name} showed {self._rows_seen.get(name, 0)} of "
                    f"{part.n_fed} queries in a forward; it showed all of them in the first one."
                )
        self._step = None

    def __call__(self, site: SiteDescription, weights: Tensor, first_query: int) -> None:
        """Take a map (batch, n_heads, queries, keys), or the rows of it from one query on."""
        plan = self._plans.get(site.name)
        if plan is None or self._step is None:
            return
        self._check(plan, self._step, weights, first_query)
        self._rows_seen[site.name] = first_query + weights.shape[2]
        pieces = []
        for row in range(len(self._step.documents)):
            pieces += self._pieces(plan, self._step, row, weights[row], first_query)
        if pieces:
            self.submit(MapBatch(pieces))

    def _check(self, plan: AttentionPlan, step: Step, weights: Tensor, first_query: int) -> None:
        """Refuse a map of another shape than the text."""
        site = plan.site
        keys = _key_part(plan, step)
        expected = (
            len(step.documents),
            site.n_heads,
            step.parts[site.stream].n_fed - first_query,
            int(keys.key_stops.max()) - keys.first_key,
        )
        found = tuple(weights.shape)
        if first_query != self._rows_seen.get(site.name, 0):
            raise CaptureError(
                f"Attention site {site.name} was called several times in a forward, so there is "
                "no single map. Leave it out with --sites."
            )
        if found[:2] != expected[:2] or found[2] > expected[2] or found[3] != expected[3]:
            raise CaptureError(
                f"Attention site {site.name} has maps of shape {found} (batch, heads, queries, "
                f"keys) where {expected} belong to the positions that were fed. Keys that are no "
                "positions (learned keys, a memory), and attention that does not reach back over "
                "windows whose state is carried, cannot be recorded into a file; leave the site "
                "out with --sites, or choose a longer --window."
            )

    def _pieces(
        self, plan: AttentionPlan, step: Step, row: int, weights: Tensor, first_query: int
    ) -> list[MapPiece]:
        """Return what one row of the batch adds."""
        queries, keys = step.parts[plan.site.stream], _key_part(plan, step)
        length = int(queries.lengths[row])
        begin = max(0, queries.context - first_query)
        end = min(weights.shape[1], queries.context + length - first_query)
        done = first_query + begin - queries.context
        if end <= begin and not (length == 0 and first_query == 0):
            return []
        n_keys = int(keys.key_stops[row]) - keys.first_key
        part = weights[:, begin : max(begin, end)]
        document = int(step.documents[row])
        rows = self._rows(plan, document, part[:, :, :n_keys], queries.start + done, keys)
        self._refuse_outside(plan, document, rows, part[:, :, n_keys:])
        is_last = done + rows.weights.shape[1] == length
        return self._formed(plan, step.segment + row, rows, done, is_last)

    def _rows(
        self, plan: AttentionPlan, document: int, weights: Tensor, first: int, keys: Part
    ) -> Rows:
        start = self._start[plan.site.stream]
        at = int(start[document]) + first
        ranges = plan.key_ranges[at : at + weights.shape[1]].astype(np.int64)
        tokens = None
        if not plan.site.is_cross and plan.site.stream in self._tokens:
            tokens = self._tokens[plan.site.stream][start[document] : start[document + 1]]
        return Rows(weights, ranges, first, keys.first_key, tokens)

    def _refuse_outside(
        self, plan: AttentionPlan, document: int, rows: Rows, padding: Tensor
    ) -> None:
        """Refuse weight on padding, and on keys that the site was found not to see."""
        name = plan.site.name
        if padding.numel() and bool((padding != 0).any()):
            raise StorageError(
                f"{name} attends to padding in {self._place(document, rows.first_row)}: the model "
                "does not mask it, so what it computes depends on the other documents of a batch. "
                "Record with --batch-size 1, or give the adapter's lengths to the model."
            )
        if bad := find_outside(rows):
            raise StorageError(
                f"{name} gives key {bad.key} the weight {bad.value:.3g} at "
                f"{self._place(document, bad.query)}, a key that it did not see in the first "
                f"document (its keys were found to be {plan.site.keys!r}). Record into another "
                "file with --attention-keys all, which leaves room for every key."
            )
        if plan.site.dtype == "uint8" and rows.weights.numel():
            low, high = (float(bound) for bound in rows.weights.aminmax())
            if not -1e-6 <= low <= high <= 1 + 1e-3:
                raise StorageError(
                    f"{name} has weights from {low:.3g} to {high:.3g} in "
                    f"{self._place(document, rows.first_row)}; uint8 holds 0 to 1. Record with "
                    "--attention-dtype float16."
                )

    def _formed(
        self, plan: AttentionPlan, segment: int, rows: Rows, done: int, is_last: bool
    ) -> list[MapPiece]:
        """Return rows in the form in which they are kept; whole segments, unless it is full."""
        site = plan.site
        if site.form == FULL:
            weights = full_rows(rows, site.dtype)
            self.n_seen += weights.size
            self.n_kept += weights.size
            if self._measured is not None:
                some = some_rows(rows)
                self._measured[0] += int(largest_rows(some, SUGGESTED_MASS)[schema.KEPT].sum())
                self._measured[1] += int(np.diff(some.ranges, axis=1).sum()) * len(weights)
            return [MapPiece(site.name, segment, weights, done)]
        edges = {}
        if site.form == TOP_P:
            assert site.mass is not None
            edges = largest_rows(rows, site.mass, site.dtype)
            self.n_kept += int(edges[schema.KEPT].sum())
            self.n_seen += int(np.diff(rows.ranges, axis=1).sum()) * (site.n_heads or 0)
        held = self._waiting.setdefault((site.name, segment), [])
        statistics = statistics_rows(rows, plan.statistics)
        held.append(MapPiece(site.name, segment, edges=edges, statistics=statistics))
        if not is_last:
            return []
        del self._waiting[site.name, segment]
        return [joined(held)]

    @staticmethod
    def _empty(plan: AttentionPlan, segment: int) -> MapPiece:
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


def _key_part(plan: AttentionPlan, step: Step) -> Part:
    return step.parts[plan.site.key_stream or plan.site.stream]


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
    return MapPiece(blocks[0].site, blocks[0].segment, edges=edges, statistics=statistics)
