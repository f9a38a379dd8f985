"""Maps of a model that is run on batches of a DataLoader: every row is a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.errors import CaptureError
from interp.extraction.attention_former import MapFormer
from interp.extraction.attention_pieces import MapBatch, MapPiece
from interp.extraction.attention_rows import Rows
from interp.extraction.batch_streams import BatchStreams
from interp.extraction.loader_probe import real_rows
from interp.extraction.loader_sites import LoaderSite
from interp.extraction.reach import Reaches
from interp.sites import SiteDescription
from interp.storage import AttentionPlan


class BatchMaps(MapFormer):
    """Takes the maps of each batch; a recorder's `consume`.

    Parameters
    ----------
    sites : mapping of str to LoaderSite
    submit : callable
        Takes what is ready to be written.
    allow_nonfinite : bool
        Whether rows may hold NaN.

    Attributes
    ----------
    lengths : dict of str to ndarray (n_rows,)
        Positions of each row of the batch by stream, as far as its maps tell.
    """

    def __init__(
        self,
        sites: Mapping[str, LoaderSite],
        submit: Callable[[MapBatch], None],
        allow_nonfinite: bool = False,
    ) -> None:
        super().__init__(_place, whole=True, allow_nonfinite=allow_nonfinite)
        self._sites, self._submit = sites, submit
        # Key ranges are told per document here, not looked up.
        self._plans = {
            name: AttentionPlan(site.site, np.zeros((0, 2)), site.statistics)
            for name, site in sites.items()
        }
        self._reaches = Reaches()
        self._first = 0
        self._n_rows: int | None = None
        self._streams: BatchStreams | None = None
        self._rows_seen: dict[str, int] = {}
        self._rows_due: dict[str, int] = {}
        self.lengths: dict[str, np.ndarray] = {}

    def begin(self, n_rows: int | None, streams: BatchStreams, first_document: int) -> None:
        """Say to which batch the maps that follow belong."""
        self._n_rows, self._streams, self._first = n_rows, streams, first_document
        self._rows_seen.clear()
        self._rows_due.clear()
        self.forget()
        self.lengths = {}

    def end(self) -> dict[str, list[Any]]:
        """Say that the forward has ended; return how far each site's queries looked so far.

        Raises
        ------
        CaptureError
            If a site is missing, or showed some of its queries only.
        """
        for name in self._sites:
            if name not in self._rows_seen:
                raise CaptureError(f"Site {name} fired on the first batch, not on a later one.")
            if self._rows_seen[name] != self._rows_due[name]:
                raise CaptureError(
                    f"Attention site {name} showed {self._rows_seen[name]} of "
                    f"{self._rows_due[name]} queries in a forward. Leave it out with sites=[...]."
                )
        return self._reaches.to_dict()

    def agree(self, lengths: Mapping[str, np.ndarray]) -> None:
        """Refuse if the other sites of the batch have rows of other lengths."""
        plain = {known.stream for known in self._sites.values() if known.n_windows == 1}
        for stream in plain & self.lengths.keys() & lengths.keys():
            if not np.array_equal(lengths[stream], self.lengths[stream]):
                raise CaptureError(
                    "The lengths of the rows are known from packed sequences only, after their "
                    "maps had been taken. Give lengths=lambda batch: ..."
                )

    def __call__(self, site: SiteDescription, weights: Tensor, first_query: int) -> None:
        """Take a map (batch, n_heads, queries, keys), or the rows of it from one query on."""
        known = self._sites.get(site.name)
        if known is None or self._streams is None:
            return
        n_rows = self._n_rows or len(weights)
        self._check(known, weights, first_query, n_rows)
        queries, keys = self._real(known, n_rows, weights.shape[3])
        self._rows_seen[site.name] = first_query + weights.shape[2]
        pieces: list[MapPiece] = []
        for row in range(n_rows):
            for window in range(known.n_windows):
                part = weights[row * known.n_windows + window]
                pieces += self._rows(
                    known, self._first + row, window, part, queries[row], keys[row], first_query
                )
        if pieces:
            self._submit(MapBatch(pieces))

    def _real(
        self, known: LoaderSite, n_rows: int, n_keys: int
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the first real query of each row of a map and their number, and of its keys."""
        assert self._streams is not None
        name = known.site.name
        if known.n_windows > 1:
            self._rows_due[name] = known.window
            every = np.full(n_rows, known.n_windows * known.window)
            self.lengths.setdefault(known.stream, every)
            return [(0, known.window)] * n_rows, [(0, known.window)] * n_rows
        found = []
        for stream in (known.stream, known.key_stream):
            n_steps = self._streams.n_steps(stream, n_keys)
            lengths = self._streams.lengths(stream, n_rows, n_steps)
            offsets = self._streams.offsets(stream, n_rows, n_steps)
            self.lengths[stream] = lengths
            self._rows_due.setdefault(name, n_steps)
            found.append(list(zip(offsets.tolist(), lengths.tolist(), strict=True)))
        return found[0], found[1]

    def _rows(
        self,
        known: LoaderSite,
        document: int,
        window: int,
        weights: Tensor,
        queries: tuple[int, int],
        keys: tuple[int, int],
        first_query: int,
    ) -> list[MapPiece]:
        """Return what some rows of one document, or of one of its windows, add."""
        done, part = real_rows(weights, *queries, first_query)
        n, length = part.shape[1], queries[1]
        if n == 0:
            return []
        plan, key = self._plans[known.site.name], window * known.window
        done += key
        ranges = known.ranges(length * known.n_windows, keys[1])[done : done + n]
        begin, end = keys[0], keys[0] + keys[1]
        padding = torch.cat([part[..., :begin], part[..., end:]], dim=-1)
        rows = Rows(part[..., begin:end], ranges, done, key)
        self.refuse_outside(plan, document, rows, padding)
        if known.may_narrow:
            self._reaches.of(known.site.name).note(rows.weights, done, length)
        return self.formed(plan, document, rows, done, done + n == length * known.n_windows)

    def _check(self, known: LoaderSite, weights: Tensor, first_query: int, n_rows: int) -> None:
        assert self._streams is not None
        name, shape = known.site.name, tuple(weights.shape)
        if first_query != self._rows_seen.get(name, 0):
            raise CaptureError(f"Attention site {name} was called several times in a forward.")
        same = shape[:2] == (n_rows * known.n_windows, known.site.n_heads)
        if known.n_windows > 1:
            same = same and shape[2:] == (known.window, known.window)
        elif len(self._streams.names) > 1:
            n_queries, n_keys = (
                self._streams.n_steps(stream, shape[3])
                for stream in (known.stream, known.key_stream)
            )
            same = same and shape[3] == n_keys and first_query + shape[2] <= n_queries
        else:
            most = self.lengths.get(known.stream)
            same = same and (most is None or int(most.max()) <= shape[3])
            same = same and first_query + shape[2] <= shape[3]
        if not same:
            raise CaptureError(
                f"Attention site {name} has maps of shape {shape} in a batch of {n_rows}: not the "
                "positions of its rows, or not the shape that it had on the first batch. Learned "
                "keys and a changing number of windows cannot be recorded from batches; leave it "
                "out with sites=[...]."
            )


def _place(document: int, position: int) -> str:
    return f"position {position} of document {document}"
