"""Part files of attention: where maps wait while nobody knows how many documents there will be.

One file per data set of a site, to which each document's numbers are appended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from interp.extraction.attention_pieces import MapPiece
from interp.extraction.loader_sites import Lengths, LoaderSite
from interp.storage import schema
from interp.storage.attention_site import FULL, TOP_P

_TYPES = {schema.KEPT: "<u4", schema.KEY_INDEX: "<u4"}


class MapParts:
    """Appends maps of documents to files, and gives them back in their order.

    Parameters
    ----------
    folder : pathlib.Path
    names : sequence of str
        The attention sites.
    """

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._folder, self._names = folder, names
        self._files: dict[str, Any] = {}
        self._sizes: dict[int, dict[str, int]] = {}

    def append(self, site: str, segment: int, parts: Mapping[str, np.ndarray]) -> None:
        """Append data sets of one site for one document."""
        for part, values in parts.items():
            name = self._name(site, part)
            if name not in self._files:
                self._files[name] = open(self._folder / name, "ab")
            data = np.ascontiguousarray(values, _TYPES.get(part, values.dtype))
            self._files[name].write(data.data)
            sizes = self._sizes.setdefault(segment, {})
            sizes[name] = sizes.get(name, 0) + data.nbytes

    def files(self) -> list[Any]:
        """Return all open files."""
        return list(self._files.values())

    def take_sizes(self, segments: range) -> dict[str, int]:
        """Return how many bytes some documents added to each file, and forget it."""
        total: dict[str, int] = {}
        for segment in segments:
            for name, size in self._sizes.pop(segment, {}).items():
                total[name] = total.get(name, 0) + size
        return total

    def read(self, known: LoaderSite, narrowed: LoaderSite, lengths: Lengths) -> Iterator[MapPiece]:
        """Yield what was written of one site, document by document.

        Parameters
        ----------
        known, narrowed : LoaderSite
            As it was written, and as it is to be laid out: of what lies outside all is 0.
        lengths : mapping of str to ndarray (n_documents,)
            By stream.
        """
        site = known.site
        n_heads = site.n_heads or 0
        at: dict[str, int] = {}

        def take(part: str, dtype: str, count: int) -> np.ndarray:
            offset = at.get(part, 0)
            at[part] = offset + count * np.dtype(dtype).itemsize
            if not count:
                return np.zeros(0, dtype)
            return np.fromfile(
                self._folder / self._name(site.name, part), dtype, count, offset=offset
            )

        for segment, (n, n_keys) in enumerate(known.documents(lengths)):
            weights, edges = None, {}
            if site.form == FULL:
                size = int(np.diff(known.ranges(n, n_keys), axis=1).sum())
                weights = take(schema.WEIGHTS, site.dtype, n_heads * size).reshape(n_heads, size)
                if narrowed is not known:
                    weights = narrowed.kept_of(weights, known, n)
            elif site.form == TOP_P:
                kept = take(schema.KEPT, "<u4", n * n_heads).reshape(n, n_heads)
                mass = take(schema.KEPT_MASS, "<f4", n * n_heads).reshape(n, n_heads)
                edges = {schema.KEPT: kept, schema.KEPT_MASS: mass}
                edges[schema.KEY_INDEX] = take(schema.KEY_INDEX, "<u4", int(kept.sum()))
                edges[schema.WEIGHTS] = take(schema.WEIGHTS, site.dtype, int(kept.sum()))
            statistics = {
                name: take(name, "<f4", n * n_heads).reshape(n, n_heads)
                for name in known.statistics
            }
            yield MapPiece(site.name, segment, weights, 0, edges, statistics)

    def _name(self, site: str, part: str) -> str:
        return f"attention{self._names.index(site):05d}.{part}.bin"
