"""Attention of a model that is run on batches of a DataLoader: every row is a document.

Where a model attends within windows (Swin) its maps have a row of the batch per window. The
positions of such a site, in the order in which the model lays its windows out, are a stream of
their own, and a position sees the keys of its window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from interp.capture import Captured
from interp.errors import CaptureError
from interp.extraction.attention_former import MapFormer
from interp.extraction.attention_patterns import MapProbe, Pattern
from interp.extraction.attention_pieces import MapBatch, MapPiece
from interp.extraction.attention_rows import Rows
from interp.extraction.options import Options
from interp.sites import SiteDescription
from interp.storage import AttentionPlan, AttentionSite
from interp.storage.attention_site import FULL, STATS, TOP_P, parse_form, statistics_of

LengthsOf = Callable[[int, int], np.ndarray]
"""Real steps of each row, (n_rows,), for a batch of so many rows and steps."""


@dataclass(frozen=True)
class LoaderSite:
    """What is known of an attention site before the number of documents is.

    Attributes
    ----------
    site : AttentionSite
    pattern : Pattern
        Which keys a query sees, within its window where there are windows.
    n_windows, window : int
        Windows of a document, and positions of each; one window of any length is 1 and 0.
    """

    site: AttentionSite
    pattern: Pattern
    n_windows: int = 1
    window: int = 0

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of the statistics that are kept."""
        return () if self.site.form == FULL else statistics_of(False, has_tokens=False)

    def lengths(self, lengths: np.ndarray) -> np.ndarray:
        """Return the positions of each document at this site."""
        return (
            lengths if self.n_windows == 1 else np.full_like(lengths, self.n_windows * self.window)
        )

    def ranges(self, length: int) -> np.ndarray:
        """Return the key ranges of a document of some length, (length, 2) int64."""
        at = np.arange(length)
        if self.n_windows > 1:
            first = at // self.window * self.window
            return np.stack([first, first + self.window], axis=1)
        return self.pattern.narrow(np.stack([0 * at, 0 * at + length], axis=1), at)

    def plan(self, lengths: np.ndarray) -> AttentionPlan:
        """Return the plan for documents of these lengths."""
        ranges = [self.ranges(n) for n in self.lengths(lengths).tolist()]
        return AttentionPlan(self.site, np.concatenate(ranges), self.statistics)

    def n_bytes(self, lengths: np.ndarray) -> int:
        """Return what documents of these lengths take, at most."""
        n_heads = self.site.n_heads or 0
        rows = int(self.lengths(lengths).sum()) * n_heads
        total = 4 * rows * len(self.statistics)
        if self.site.form == STATS:
            return total
        n = sum(int(np.diff(self.ranges(n), axis=1).sum()) for n in self.lengths(lengths).tolist())
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
            "windows": [self.n_windows, self.window],
        }


class LoaderProbe:
    """Looks at the maps of the first batch; a recorder's `consume`.

    Parameters
    ----------
    n_rows : int or None
        Rows of the batch, where its tensors tell.
    lengths_of, offsets_of : callable
        Real steps of each row, and the first of them.

    Attributes
    ----------
    lengths : ndarray (n_rows,)
        Positions of each row of the batch, as far as maps tell.
    """

    def __init__(self, n_rows: int | None, lengths_of: LengthsOf, offsets_of: LengthsOf) -> None:
        self._n_rows, self._lengths_of, self._offsets_of = n_rows, lengths_of, offsets_of
        self._probe = MapProbe({}, {})
        self._windows: dict[str, tuple[int, int]] = {}
        self._sites: dict[str, SiteDescription] = {}
        self.lengths: np.ndarray = np.zeros(0, np.int64)

    def __call__(self, site: SiteDescription, weights: Tensor, first_query: int) -> None:
        """Take note of a map."""
        n_rows = self._n_rows or len(weights)
        n_windows, rest = divmod(len(weights), n_rows)
        n_queries, n_keys = first_query + weights.shape[2], weights.shape[3]
        if rest or (n_windows > 1 and n_queries != n_keys):
            raise CaptureError(
                f"Attention site {site.name} has maps of shape {tuple(weights.shape)} in a batch "
                f"of {n_rows}; they belong to no rows of it. Leave it out with sites=[...]."
            )
        self._sites[site.name] = site
        self._windows[site.name] = n_windows, n_queries if n_windows > 1 else 0
        row, length, begin = 0, n_keys, 0
        lengths = np.full(n_rows, n_windows * n_keys)
        if n_windows == 1:
            lengths = self._lengths_of(n_rows, n_keys)
            row, length = int(lengths.argmax()), int(lengths.max())
            begin = int(self._offsets_of(n_rows, n_keys)[row])
        if n_windows == 1 or not len(self.lengths):
            self.lengths = lengths
        first, rows = _real_rows(weights[row], begin, length, first_query)
        self._probe(site, rows[None, :, :, begin : begin + length], first)

    def sites(self, options: Options, has_matrices: bool, stream: str) -> dict[str, LoaderSite]:
        """Return what was found, by name.

        Parameters
        ----------
        options : Options
        has_matrices : bool
            Whether there are sites of another kind, whose rows the main stream is.
        stream : str
            The main stream.
        """
        form, mass = parse_form(options.attention)
        streams: dict[tuple[int, int], str] = {}
        if has_matrices or (1, 0) in self._windows.values():
            streams[1, 0] = stream
        found = {}
        for name, site in self._sites.items():
            if self._probe.n_calls[name] > 1:
                raise CaptureError(
                    f"Attention site {name} was called {self._probe.n_calls[name]} times in a "
                    "forward, so there is no single map. Leave it out with sites=[...]."
                )
            windows = self._windows[name]
            own = "windows of {1} ({0} per document)".format(*windows) if streams else stream
            own = streams.setdefault(windows, own)
            alone = windows == (1, 0) and options.attention_keys == "auto"
            pattern = self._probe.pattern(name) if alone else Pattern()
            keys = str(pattern) if windows == (1, 0) else "given"
            n_heads = self._probe.shapes[name][1]
            made = AttentionSite(
                name, site.module, site.signal, n_heads, options.attention_dtype, own,
                site.layer, site.direction, n_heads=n_heads, key_stream=own,
                form=form, mass=mass, keys=keys,
            )  # fmt: skip
            found[name] = LoaderSite(made, pattern, *windows)
        return found


class BatchMaps(MapFormer):
    """Takes the maps of each batch; a recorder's `consume`.

    Parameters
    ----------
    sites : mapping of str to LoaderSite
    submit : callable
        Takes what is ready to be written.
    allow_nonfinite : bool
        Keep NaN that the model itself computes.
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
        self._first = 0
        self._n_rows: int | None = None
        self._lengths_of: LengthsOf = lambda n_rows, n_steps: np.full(n_rows, n_steps)
        self._offsets_of: LengthsOf = lambda n_rows, n_steps: np.zeros(n_rows, np.int64)
        self._rows_seen: dict[str, int] = {}
        self.lengths: np.ndarray | None = None

    def begin(
        self,
        n_rows: int | None,
        lengths_of: LengthsOf,
        offsets_of: LengthsOf,
        first_document: int,
    ) -> None:
        """Say to which batch the maps that follow belong."""
        self._n_rows, self._first = n_rows, first_document
        self._lengths_of, self._offsets_of = lengths_of, offsets_of
        self._rows_seen.clear()
        self.forget()
        self.lengths = None

    def end(self) -> None:
        """Say that the forward has ended; refuse if a site is missing."""
        if missing := [name for name in self._sites if name not in self._rows_seen]:
            raise CaptureError(f"Site {missing[0]} fired on the first batch, not on a later one.")

    def agree(self, lengths: np.ndarray) -> None:
        """Refuse if the other sites of the batch have rows of other lengths."""
        plain = any(known.n_windows == 1 for known in self._sites.values())
        if plain and self.lengths is not None and not np.array_equal(lengths, self.lengths):
            raise CaptureError(
                "The lengths of the rows are known from packed sequences only, after their maps "
                "had been taken. Give lengths=lambda batch: ..."
            )

    def __call__(self, site: SiteDescription, weights: Tensor, first_query: int) -> None:
        """Take a map (batch, n_heads, queries, keys), or the rows of it from one query on."""
        known = self._sites.get(site.name)
        if known is None:
            return
        n_rows = self._n_rows or len(weights)
        n_keys = weights.shape[3]
        self._check(known, weights, first_query, n_rows)
        self._rows_seen[site.name] = first_query + weights.shape[2]
        offsets = np.zeros(n_rows, np.int64)
        if known.n_windows > 1:
            lengths = np.full(n_rows, known.window)
            if self.lengths is None:
                self.lengths = lengths * known.n_windows
        else:
            lengths = self.lengths = self._lengths_of(n_rows, n_keys)
            offsets = self._offsets_of(n_rows, n_keys)
        pieces: list[MapPiece] = []
        for row, length in enumerate(lengths.tolist()):
            begin = int(offsets[row])
            for window in range(known.n_windows):
                part = weights[row * known.n_windows + window]
                pieces += self._rows(
                    known, self._first + row, window, part, begin, length, first_query
                )
        if pieces:
            self._submit(MapBatch(pieces))

    def _rows(
        self,
        known: LoaderSite,
        document: int,
        window: int,
        weights: Tensor,
        begin: int,
        length: int,
        first_query: int,
    ) -> list[MapPiece]:
        """Return what some rows of one document, or of one of its windows, add."""
        done, part = _real_rows(weights, begin, length, first_query)
        n = part.shape[1]
        if n == 0:
            return []
        plan, key = self._plans[known.site.name], window * known.window
        done += key
        ranges = known.ranges(length * known.n_windows)[done : done + n]
        keys = slice(begin, begin + length)
        padding = torch.cat([part[..., : keys.start], part[..., keys.stop :]], dim=-1)
        rows = Rows(part[..., keys], ranges, done, key)
        self.refuse_outside(plan, document, rows, padding)
        return self.formed(plan, document, rows, done, done + n == length * known.n_windows)

    def _check(self, known: LoaderSite, weights: Tensor, first_query: int, n_rows: int) -> None:
        name, shape = known.site.name, tuple(weights.shape)
        if first_query != self._rows_seen.get(name, 0):
            raise CaptureError(f"Attention site {name} was called several times in a forward.")
        same = shape[:2] == (n_rows * known.n_windows, known.site.n_heads)
        if known.n_windows > 1:
            same = same and shape[2:] == (known.window, known.window)
        elif self.lengths is not None:
            same = same and int(self.lengths.max()) <= shape[3]
        if not same or first_query + shape[2] > shape[3]:
            raise CaptureError(
                f"Attention site {name} has maps of shape {shape} in a batch of {n_rows}: not the "
                "positions of its rows, or not the shape that it had on the first batch. Keys of "
                "another sequence (cross-attention), learned keys and a changing number of "
                "windows cannot be recorded from batches; leave it out with sites=[...]."
            )


def _place(document: int, position: int) -> str:
    return f"position {position} of document {document}"


def _real_rows(weights: Tensor, begin: int, length: int, first_query: int) -> tuple[int, Tensor]:
    """Return the real queries among some rows of a map, and how many real ones come before.

    Parameters
    ----------
    weights : Tensor (n_heads, queries, keys)
        The rows from `first_query` on.
    begin, length : int
        The first real query of the whole map, and the number of real ones.
    """
    first = max(begin, first_query)
    last = min(begin + length, first_query + weights.shape[1])
    return first - begin, weights[:, first - first_query : max(first, last) - first_query]


def side_by_side(captured: Mapping[str, Captured]) -> dict[str, Captured]:
    """Return queries, keys, values and head outputs as (batch, steps, units of all heads)."""
    return {
        name: Captured(part.values.transpose(1, 2).flatten(2)) if part.values.ndim == 4 else part
        for name, part in captured.items()
    }


def with_units(
    sites: Mapping[str, SiteDescription], captured: Mapping[str, Captured]
) -> dict[str, SiteDescription]:
    """Return the descriptions of sites whose heads stand side by side."""
    return {
        name: replace(site, n_units=captured[name].values.shape[-1], per="position")
        if site.n_heads is not None
        else site
        for name, site in sites.items()
    }


def batch_rows(batch: Any) -> int | None:
    """Return the rows of a batch by its first tensor; None if it has none."""
    if isinstance(batch, PackedSequence):
        return int(batch.batch_sizes[0])
    if isinstance(batch, torch.Tensor):
        return len(batch) if batch.ndim else None
    parts = batch.values() if isinstance(batch, Mapping) else batch
    if isinstance(parts, str | bytes) or not hasattr(parts, "__iter__"):
        return None
    found = (batch_rows(part) for part in parts)
    return next((n for n in found if n is not None), None)
