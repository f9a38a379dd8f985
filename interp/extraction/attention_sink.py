"""Attention maps on their way from the model to the writer, one layer at a time.

A recorder hands each map over as it is made. What belongs to real positions is cut out of the
padded batch, brought into the form in which it is kept, and queued for the writer before the
model goes on; so no more than a layer's maps are in memory, however many layers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from interp.errors import CaptureError, StorageError
from interp.extraction.attention_former import MapFormer
from interp.extraction.attention_pieces import MapBatch, MapPiece, empty_piece
from interp.extraction.attention_rows import Rows
from interp.extraction.schedule import Part, Step
from interp.extraction.windows import MASKED_WEIGHT, Windows
from interp.sites import SiteDescription
from interp.storage import AttentionPlan, schema


class AttentionSink(MapFormer):
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
    allow_nonfinite : bool
        Keep NaN that the model itself computes.
    windows : mapping of str to Windows
        Of the sites that attend within windows.
    """

    def __init__(
        self,
        plans: Mapping[str, AttentionPlan],
        document_start: Mapping[str, np.ndarray],
        tokens: Mapping[str, np.ndarray],
        place: Callable[[int, int], str],
        submit: Callable[[MapBatch], None] = lambda batch: None,
        allow_nonfinite: bool = False,
        windows: Mapping[str, Windows] | None = None,
    ) -> None:
        self._windows = windows or {}
        self._blocks: dict[str, list[Tensor]] = {}
        self._plans = plans
        self._start = document_start
        self._tokens = tokens
        super().__init__(place, allow_nonfinite=allow_nonfinite)
        self.submit = submit
        self._step: Step | None = None
        self._rows_seen: dict[str, int] = {}

    def begin(self, step: Step) -> None:
        """Say to which step the maps that follow belong."""
        self._step = step
        self._rows_seen.clear()
        self._blocks.clear()
        self.forget()

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
            n_queries = self._windows[name].size if name in self._windows else part.n_fed
            if name not in self._rows_seen and not part.lengths.any():
                rows = range(len(step.documents))
                nothing = [empty_piece(plan, step.segment + row) for row in rows]
                self.submit(MapBatch(nothing))
            elif self._rows_seen.get(name) != n_queries:
                raise CaptureError(
                    f"Attention site {name} showed {self._rows_seen.get(name, 0)} of "
                    f"{n_queries} queries in a forward; it showed all of them in the first one."
                )
        self._step = None

    def __call__(self, site: SiteDescription, weights: Tensor, first_query: int) -> None:
        """Take a map (batch, n_heads, queries, keys), or the rows of it from one query on."""
        plan = self._plans.get(site.name)
        if plan is None or self._step is None:
            return
        self._check(plan, self._step, weights, first_query)
        self._rows_seen[site.name] = first_query + weights.shape[2]
        if windows := self._windows.get(site.name):
            self._take_windows(plan, self._step, windows, weights)
            return
        pieces = []
        for row in range(len(self._step.documents)):
            pieces += self._pieces(plan, self._step, row, weights[row], first_query)
        if pieces:
            self.submit(MapBatch(pieces))

    def _check(self, plan: AttentionPlan, step: Step, weights: Tensor, first_query: int) -> None:
        """Refuse a map of another shape than the text."""
        site = plan.site
        keys = _key_part(plan, step)
        n_rows, n_queries = len(step.documents), step.parts[site.stream].n_fed
        n_keys = int(keys.key_stops.max()) - keys.first_key
        if windows := self._windows.get(site.name):
            n_rows, n_queries, n_keys = n_rows * windows.n_windows, windows.size, windows.size
        expected = (n_rows, site.n_heads, n_queries - first_query, n_keys)
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

    def _take_windows(
        self, plan: AttentionPlan, step: Step, windows: Windows, weights: Tensor
    ) -> None:
        """Take maps of windows, (batch · windows, n_heads, queries, keys), once all are there."""
        blocks = self._blocks.setdefault(plan.site.name, [])
        blocks.append(weights)
        if sum(block.shape[2] for block in blocks) < windows.size:
            blocks[-1] = weights.clone()
            return
        whole = torch.cat(blocks, 2) if len(blocks) > 1 else weights
        del self._blocks[plan.site.name], blocks
        pieces = []
        n_seen = np.diff(windows.ranges, axis=1)
        seen = np.concatenate([np.zeros_like(n_seen), n_seen], axis=1)
        for row, document in enumerate(step.documents.tolist()):
            maps = whole[row * windows.n_windows : (row + 1) * windows.n_windows]
            rows = Rows(self._masked(plan, windows.rows(maps), n_seen, document), seen, 0, 0)
            self.refuse_outside(plan, document, rows, whole.new_zeros(0))
            for piece in self.formed(plan, step.segment + row, rows, 0, True):
                pieces.append(_with_patches(piece, windows))
        self.submit(MapBatch(pieces))

    def _masked(
        self, plan: AttentionPlan, weights: Tensor, n_seen: np.ndarray, document: int
    ) -> Tensor:
        """Return rows (n_heads, n_patches, size) with 0 at keys of their window that are masked.

        A large negative number in place of a mask leaves them about 1e-44.
        """
        if (n_seen == weights.shape[-1]).all():
            return weights
        columns = torch.arange(weights.shape[-1], device=weights.device)
        outside = columns >= torch.from_numpy(n_seen).to(weights.device)
        bad = (weights.abs() > MASKED_WEIGHT).any(0) & outside
        if bool(bad.any()):
            query = int(bad.any(1).nonzero()[0])
            raise StorageError(
                f"{plan.site.name} gives weight at {self._place(document, query)} to a patch of "
                "its window that it did not see in the first images. Record into another file "
                "with --attention-keys all, which leaves room for the whole window."
            )
        return weights.masked_fill(outside, 0)

    def _pieces(
        self, plan: AttentionPlan, step: Step, row: int, weights: Tensor, first_query: int
    ) -> list[MapPiece]:
        """Return what one row of the batch adds."""
        queries, keys = step.parts[plan.site.stream], _key_part(plan, step)
        length = int(queries.lengths[row])
        begin = max(0, queries.context - first_query)
        end = min(weights.shape[1], queries.context + length - first_query)
        done = first_query + begin - queries.context
        if end <= begin:
            nothing = length == 0 and first_query == 0
            return [empty_piece(plan, step.segment + row)] if nothing else []
        n_keys = int(keys.key_stops[row]) - keys.first_key
        part = weights[:, begin:end]
        document = int(step.documents[row])
        rows = self._rows(plan, document, part[:, :, :n_keys], queries.start + done, keys)
        self.refuse_outside(plan, document, rows, part[:, :, n_keys:])
        is_last = done + rows.weights.shape[1] == length
        return self.formed(plan, step.segment + row, rows, done, is_last)

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


def _with_patches(piece: MapPiece, windows: Windows) -> MapPiece:
    """Return a piece whose edges name patches, not the columns of their windows."""
    if not piece.edges:
        return piece
    kept = piece.edges[schema.KEPT]
    rows = np.tile(np.arange(len(kept)), kept.shape[1]).repeat(kept.T.reshape(-1))
    patches = windows.patch_of(rows, piece.edges[schema.KEY_INDEX].astype(np.int64))
    return replace(piece, edges={**piece.edges, schema.KEY_INDEX: patches})


def _key_part(plan: AttentionPlan, step: Step) -> Part:
    return step.parts[plan.site.key_stream or plan.site.stream]
