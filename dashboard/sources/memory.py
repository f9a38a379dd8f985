"""A source over arrays in memory: for tests, notebooks and made-up data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dashboard.sources.described import Described
from dashboard.sources.protocol import AnnotationInfo, PredictionRows, SiteInfo, StreamInfo


class MemorySource(Described):
    """One stream of documents with arrays per site.

    Parameters
    ----------
    documents : sequence of (name, text)
        In the order of the positions.
    sites : mapping of str to array (n_positions, n_units)
        Site name, whose last part is the signal, to values. Anything that slices like an array
        will do, a memory map included.
    spans : sequence of array (n, 2), optional
        Per document, the characters that each position covers. None: one position a character.
    annotations : mapping of str to array (n_positions,), optional
        Booleans are binary, integers categorical, floats numeric.
    categories : mapping of str to list of str, optional
        Names of a categorical annotation's values.
    loss : array (n_positions,), optional
        In nats.
    predictions : tuple of (list of n lists of k str, array (n, k)), optional
        Tokens, best first, and their probabilities.
    provenance : dict, optional
    name : str
    stream : str
    has_text : bool
        False for numeric series, whose documents carry no text.
    n_positions : sequence of int, optional
        Positions of each document where neither text nor spans say it.
    """

    def __init__(
        self,
        documents: Sequence[tuple[str, str]],
        sites: Mapping[str, Any],
        *,
        spans: Sequence[np.ndarray] | None = None,
        annotations: Mapping[str, np.ndarray] | None = None,
        categories: Mapping[str, list[str]] | None = None,
        loss: np.ndarray | None = None,
        predictions: tuple[list[list[str]], np.ndarray] | None = None,
        provenance: dict[str, Any] | None = None,
        name: str = "memory",
        stream: str = "text",
        has_text: bool = True,
        n_positions: Sequence[int] | None = None,
    ) -> None:
        self.name = name
        self._texts = [text for _, text in documents]
        self._spans = spans
        self._values = dict(sites)
        self._loss = loss
        self._predictions = predictions
        self._annotations = dict(annotations or {})
        self._provenance = dict(provenance or {})
        if n_positions is None:
            n_positions = [len(part) for part in (self._texts if spans is None else spans)]
        start = np.concatenate([[0], np.cumsum(n_positions)]).astype(np.int64)
        names = [document for document, _ in documents]
        self._streams = {
            stream: StreamInfo(stream, int(start[-1]), names, start, has_text, spans is None)
        }
        self._sites = {}
        for site, values in self._values.items():
            if len(values) != start[-1]:
                raise ValueError(f"{site}: {len(values)} rows for {start[-1]} positions")
            signal = site.rpartition("/")[2]
            module = site.split("/")[0]
            self._sites[site] = SiteInfo(
                site, signal, values.shape[1], str(values.dtype), stream, module
            )
        kinds = {"b": "binary", "i": "categorical", "u": "categorical", "f": "numeric"}
        self._infos = {
            key: AnnotationInfo(
                key, stream, kinds[values.dtype.kind], (categories or {}).get(key, [])
            )
            for key, values in self._annotations.items()
        }
        digest = hashlib.sha256(repr((name, sorted(self._values), start.tolist()[:1000])).encode())
        self.fingerprint = digest.hexdigest()[:16]

    @property
    def annotations(self) -> Mapping[str, AnnotationInfo]:
        return self._infos

    def summary(self) -> dict[str, Any]:
        size = sum(int(values.nbytes) for values in self._values.values())
        return {"path": "", "size_bytes": size, "is_complete": True}

    def text(self, stream: str, document: int) -> str:
        return self._texts[document]

    def spans(self, stream: str, document: int) -> np.ndarray | None:
        return None if self._spans is None else np.asarray(self._spans[document])

    def unit(self, site: str, unit: int, start: int, stop: int) -> np.ndarray:
        return np.asarray(self._values[site][start:stop, unit])

    def window(self, site: str, start: int, stop: int) -> np.ndarray:
        return np.asarray(self._values[site][start:stop])

    def annotation(self, name: str, start: int, stop: int) -> np.ndarray:
        return np.asarray(self._annotations[name][start:stop])

    def loss(self, stream: str, start: int, stop: int) -> np.ndarray | None:
        return None if self._loss is None else np.asarray(self._loss[start:stop])

    def predictions(self, stream: str, start: int, stop: int) -> PredictionRows | None:
        if self._predictions is None:
            return None
        tokens, probability = self._predictions
        loss = self._loss if self._loss is not None else np.full(len(tokens), np.nan)
        return PredictionRows(tokens[start:stop], probability[start:stop], loss[start:stop])

    def provenance(self) -> dict[str, Any]:
        return self._provenance

    def close(self) -> None:
        """Nothing to close."""
