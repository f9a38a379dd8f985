"""What is summed up at one attention site, and the measures of its heads made from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from interp.wording import count
from probes.documents import ENOUGH_DOCUMENTS
from probes.heads.findings import HeadScore
from probes.heads.measures import METRICS, chance_rows, eligible_rows, measure_rows
from probes.heads.rows import MapRows
from probes.heads.sources import DocumentMaps, SiteMaps
from probes.heads.tallies import Offsets, RowMeans, most_frequent
from probes.heads.targets import FIXED_OFFSETS, PATTERNS, NotApplicable, Targets, find_targets

BEST_OFFSET = "best_offset"
#: Every measure of a head, in the order of tables.
ALL_METRICS = (*METRICS, BEST_OFFSET)
#: A head's own best offset is looked for this far from the query.
HEAD_REACH = 128
#: A row that has lost more of its weight than this in storage is counted.
LOST = 0.05


@dataclass
class _Pattern:
    """What is known of one measure at one site, whatever the head."""

    chance: RowMeans
    offsets: Offsets | None
    reason: str | None = None


class SiteTally:
    """Everything that is summed up at one site, document by document.

    Parameters
    ----------
    site : SiteMaps
    names : iterable of str
        Measures, of :data:`ALL_METRICS`.
    """

    def __init__(self, site: SiteMaps, names: Iterable[str]) -> None:
        self.site, self.names = site, tuple(names)
        n, heads = site.n_documents, len(site.heads)
        self.row_names = [name for name in self.names if name != BEST_OFFSET]
        self.means = {name: RowMeans(n, heads) for name in self.row_names}
        self.known = {
            name: _Pattern(
                RowMeans(n, heads),
                Offsets(n) if name in PATTERNS and name not in FIXED_OFFSETS else None,
            )
            for name in self.row_names
        }
        self.own = Offsets(n, heads, HEAD_REACH) if BEST_OFFSET in self.names else None
        self.own_reason: str | None = None
        self.n_rows = self.n_unseen = self.n_lost = self.n_gained = 0

    def add(self, index: int, document: DocumentMaps) -> None:
        """Add all heads of one document, or of a block of its rows."""
        visible = document.visible
        targets = find_targets(
            visible, document.context, [n for n in self.row_names if n in PATTERNS]
        )
        eligible = self._add_known(index, visible, targets, document.limits)
        chance = {name: chance_rows(name, visible, targets) for name in eligible}
        kept = document.statistics or {}
        for name in eligible.keys() & kept.keys():
            for head, column in enumerate(kept[name].T):
                self._add_rows(
                    name, index, head, column, chance[name], eligible[name] & np.isfinite(column)
                )
        if document.weights is None:
            self._say_what_is_missing(eligible.keys() - kept.keys())
            return
        if self.own is not None:
            self._add_offset_rows(index, visible, document.limits.get(BEST_OFFSET))
        measured = [name for name in self.row_names if name in eligible and name not in kept]
        for head in range(len(self.site.heads)):
            weights = document.weights(head)
            self._add_head(index, head, document, weights, measured, eligible, targets, chance)

    def _add_head(
        self,
        index: int,
        head: int,
        document: DocumentMaps,
        weights: np.ndarray,
        measured: Sequence[str],
        eligible: dict[str, np.ndarray],
        targets: dict[str, Targets | NotApplicable],
        chance: dict[str, np.ndarray],
    ) -> None:
        rows = document.visible
        total = rows.sums(weights)
        seen = np.isfinite(total) & (total > 0)
        self.n_rows += len(total)
        self.n_unseen += int((~seen & (rows.n_visible > 0)).sum())
        self.n_lost += int((seen & (total < document.kept - LOST)).sum())
        if document.most is not None:
            gained = seen & (total > document.most + LOST)
            self.n_gained += int(gained.sum())
            seen &= ~gained
            scale = np.where(seen, 1 / np.maximum(total, document.most), 0.0)
            weights = weights * scale[rows.row]
        for name, found in measure_rows(measured, rows, weights, targets).items():
            self._add_rows(name, index, head, found, chance[name], eligible[name] & seen)
        if self.own is not None and rows.same_stream:
            kept = np.isfinite(weights)
            if BEST_OFFSET in document.limits:
                kept &= document.limits[BEST_OFFSET][rows.row]
            self.own.add(index, head, rows.offset[kept], weights[kept])

    def _add_rows(
        self,
        name: str,
        index: int,
        head: int,
        found: np.ndarray,
        chance: np.ndarray,
        counted: np.ndarray,
    ) -> None:
        """Add a measure of some rows, and what equal weights would reach on the same ones."""
        self.means[name].add(index, head, found[counted])
        self.known[name].chance.add(index, head, chance[counted])

    def _add_known(
        self,
        index: int,
        visible: MapRows,
        targets: dict[str, Targets | NotApplicable],
        limits: Mapping[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Add what doesn't depend on the head; return the rows of each measure that has some."""
        usable: dict[str, np.ndarray] = {}
        for name in self.row_names:
            eligible = eligible_rows(name, visible, targets)
            known = self.known[name]
            if isinstance(eligible, NotApplicable):
                known.reason = known.reason or str(eligible)
                continue
            if name in limits:
                eligible = eligible & limits[name]
            usable[name] = eligible
            found = targets.get(name)
            if known.offsets is not None and isinstance(found, Targets) and visible.same_stream:
                counted = eligible[found.rows]
                known.offsets.add_rows(index, int(eligible.sum()))
                offset = found.keys - visible.query[found.rows]
                known.offsets.add(index, 0, offset[counted])
        return usable

    def _add_offset_rows(self, index: int, visible: MapRows, limit: np.ndarray | None) -> None:
        assert self.own is not None
        if not visible.same_stream:
            self.own_reason = "queries and keys are positions of different streams"
            return
        chosen = slice(None) if limit is None else limit
        first, stop = (visible.key_range - visible.query[:, None])[chosen].T
        self.own.add_visible(index, first, stop)

    def _say_what_is_missing(self, names: Iterable[str]) -> None:
        self.own_reason = "only statistics were recorded"
        for name in names:
            self.known[name].reason = "only statistics were recorded, and not this one"

    def scores(self, n_resamples: int, seed: int) -> list[HeadScore]:
        """Return the measures of every head."""
        columns = {name: self._column(name, n_resamples, seed) for name in self.row_names}
        if self.own is not None:
            columns[BEST_OFFSET] = self._own_offsets(n_resamples, seed)
        return [columns[name][h] for h in range(len(self.site.heads)) for name in columns]

    def _column(self, name: str, n_resamples: int, seed: int) -> list[HeadScore]:
        means, known = self.means[name], self.known[name]
        values, intervals = means.mean(), means.intervals(n_resamples, seed)
        chance = known.chance.mean()
        baseline = known.offsets.baseline() if known.offsets is not None else None
        found = []
        for h, head in enumerate(self.site.heads):
            n_rows = int(means.counts[:, h].sum())
            if n_rows == 0:
                found.append(HeadScore(head, name, None, reason=known.reason or "no such row"))
                continue
            reached, offset = baseline or (None, None)
            n_documents = int((means.counts[:, h] > 0).sum())
            score = HeadScore(
                head, name, float(values[h]), intervals[h],
                float(chance[h]), reached, offset, n_rows, n_documents,
            )  # fmt: skip
            found.append(score)
        return found

    def _own_offsets(self, n_resamples: int, seed: int) -> list[HeadScore]:
        assert self.own is not None
        offsets, at, seen = self.own.best()
        if self.own_reason is not None or not len(offsets):
            reason = self.own_reason or "one document: none is left to choose the offset on"
            return [HeadScore(head, BEST_OFFSET, None, reason=reason) for head in self.site.heads]
        means = RowMeans(*at.shape)
        means.sums, means.counts = at, np.broadcast_to(seen, at.shape).astype(float)
        intervals, equal = means.intervals(n_resamples, seed), self.own.equal_weights(offsets)
        return [
            HeadScore(
                head, BEST_OFFSET, float(means.mean()[h]), intervals[h], float(equal[h]),
                offset=most_frequent(offsets[:, h]), n_rows=int(means.counts[:, h].sum()),
                n_documents=self.site.n_documents,
            )
            for h, head in enumerate(self.site.heads)
        ]  # fmt: skip

    def warnings(self) -> list[str]:
        """Return what a reader of the figures must know."""
        found = []
        if self.site.n_documents < ENOUGH_DOCUMENTS:
            found.append(
                f"{count(self.site.n_documents, 'document')}; an interval from fewer than "
                f"{ENOUGH_DOCUMENTS} says little"
            )
        if self.n_unseen:
            found.append(
                f"{self.site.name}: {self.n_unseen:,} of {self.n_rows:,} rows hold no weight "
                "(all keys masked, or too small for the stored type) and are left out"
            )
        if self.n_lost:
            found.append(
                f"{self.site.name}: {self.n_lost:,} of {self.n_rows:,} rows lost more than "
                f"{LOST:.0%} of their weight in storage; everything but confidence is too low there"
            )
        if self.n_gained:
            found.append(
                f"{self.site.name}: the weights of {self.n_gained:,} of {self.n_rows:,} rows are "
                f"more than {LOST:.0%} too large, rounded up in storage, and are left out; take "
                "float16 for such documents"
            )
        if self.site.note:
            found.append(self.site.note)
        return found
