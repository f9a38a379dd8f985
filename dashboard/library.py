"""The recordings that one dashboard shows, each under a short key."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from dashboard import statistics
from dashboard.jobs import Jobs
from dashboard.parts import Part, split_into_parts
from dashboard.sources.protocol import SiteInfo, Source

Value = TypeVar("Value")
LOSSES_AT_ONCE = 2**20


def slug(name: str) -> str:
    """Return a name that is safe in a URL's path, never empty."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "recording"


class Shelf:
    """One source with what has been computed from it; computed once, kept while it is open."""

    def __init__(self, key: str, source: Source, jobs: Jobs | None = None) -> None:
        self.key = key
        self.source = source
        self.jobs = jobs or Jobs()
        self._lock = threading.Lock()
        self._locks: dict[Any, threading.Lock] = {}
        self._kept: dict[Any, Any] = {}
        # Limits are asked for with every unit switch, so they are kept for many units.
        self._limit = lru_cache(maxsize=100_000)(self._compute_limit)

    def once(self, key: Any, compute: Callable[[], Value]) -> Value:
        """Return what `compute` gives, computed once while the source is open.

        Parameters
        ----------
        key : hashable
            A tuple that begins with the name of what is computed.
        compute : callable without arguments
        """
        # A lock per key: two requests for the same statistics must not compute them twice, and the
        # text must not wait for statistics.
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._kept:
                self._kept[key] = compute()
            return self._kept[key]

    def parts(self, stream: str) -> list[Part]:
        """Return the parts of a stream."""
        return self.once(("parts", stream), lambda: split_into_parts(self.source.streams[stream]))

    def statistics(self, site: SiteInfo) -> statistics.UnitStatistics:
        """Return the statistics of a site's units."""
        return self.once(
            ("statistics", site.name), lambda: statistics.unit_statistics(self.source, site)
        )

    def limit(self, site: str, unit: int) -> float:
        """Return the robust scale of a unit: 99.5 % of its sampled values lie within."""
        return self._limit(site, unit)

    def _compute_limit(self, site: str, unit: int) -> float:
        known = self._kept.get(("statistics", site))
        if known is not None:
            return float(known.limit[unit])
        values = statistics.unit_sample(self.source, self.source.sites[site], unit)
        return float(statistics.robust_limit(values[None])[0])

    def document_loss(self, stream: str) -> np.ndarray | None:
        """Return (n_documents,) mean losses in nats, None without predictions."""
        return self.once(("document loss", stream), lambda: self._mean_losses(stream))

    def _mean_losses(self, stream: str) -> np.ndarray | None:
        info = self.source.streams[stream]
        sums = np.zeros(info.n_documents)
        counts = np.zeros(info.n_documents)
        for start in range(0, info.n_positions, LOSSES_AT_ONCE):
            stop = min(info.n_positions, start + LOSSES_AT_ONCE)
            loss = self.source.loss(stream, start, stop)
            if loss is None:
                return None
            known = np.flatnonzero(np.isfinite(loss))
            document = np.searchsorted(info.document_start, start + known, side="right") - 1
            sums += np.bincount(document, loss[known], info.n_documents)
            counts += np.bincount(document, minlength=info.n_documents)
        with np.errstate(invalid="ignore"):
            return sums / counts


class Library:
    """All shelves by key, in the order given."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._shelves: dict[str, Shelf] = {}
        self._jobs = Jobs()
        for source in sources:
            base = slug(source.name)
            key, number = base, 2
            while key in self._shelves:
                key, number = f"{base}-{number}", number + 1
            self._shelves[key] = Shelf(key, source, self._jobs)

    def __iter__(self) -> Iterator[Shelf]:
        return iter(self._shelves.values())

    def __len__(self) -> int:
        return len(self._shelves)

    def get(self, key: str) -> Shelf | None:
        """Return the shelf of a key, None when there is none."""
        return self._shelves.get(key)

    def close(self) -> None:
        """Cancel what is being worked on: a search must not outlive the page's server."""
        self._jobs.close()
