"""Where maps come from, as the scoring asks for them; and maps that are in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from interp.errors import InterpError
from probes.heads.findings import head_names
from probes.heads.rows import MapRows, as_key_range
from probes.heads.targets import Context


@dataclass(frozen=True, eq=False)
class DocumentMaps:
    """The maps of one site on one document, or on a block of its queries.

    Attributes
    ----------
    visible : MapRows
        The queries, with every key in range.
    context : Context
        Tokens and predictions of the whole document.
    weights : callable or None
        From a head's number to its weights (n_weights,), row after row, those of visible keys.
        None where only statistics were kept.
    statistics : mapping of str to ndarray (n_queries, n_heads), or None
        What was kept of each row, by measure; it comes before what can be computed from `weights`.
    limits : mapping of str to ndarray (n_queries,) bool
        For some measures, the only rows that count.
    kept : float
        What each row's weights sum to at least.
    most : float or None
        What they sum to at most, if rounding may have made more of them: such a row is scaled
        down, or left out if it is far from it.
    """

    visible: MapRows
    context: Context
    weights: Callable[[int], np.ndarray] | None
    statistics: Mapping[str, np.ndarray] | None = None
    limits: Mapping[str, np.ndarray] = field(default_factory=dict)
    kept: float = 1.0
    most: float | None = None


class SiteMaps(Protocol):
    """The maps of one site.

    Attributes
    ----------
    name : str
    heads : sequence of str
        Their names.
    n_documents : int
    note : str
        What a reader of figures must know of the maps, or nothing.
    """

    name: str
    heads: Sequence[str]
    n_documents: int
    note: str

    def blocks(self, index: int) -> Iterable[DocumentMaps]:
        """Return the maps of one document, in blocks of queries that fit into memory."""
        ...


class MapSource(Protocol):
    """Something that has maps."""

    def sites(self) -> Iterable[SiteMaps]:
        """Return the attention sites in model order."""
        ...


@dataclass(eq=False)
class ArrayMaps:
    """Maps in memory.

    Parameters
    ----------
    maps : mapping of str to sequence of ndarray (n_heads, n_queries, n_keys)
        Site name to one array per document, weights in [0, 1].
    tokens : sequence of ndarray (n_queries,), optional
        A number for the token at each query, per document.
    key_range : {"causal", "full"} or sequence of ndarray (n_queries, 2)
        The keys that each query can see.
    key_tokens : sequence of ndarray (n_keys,), optional
        Where queries and keys are of different streams.
    predicted : sequence of ndarray (n_queries,), optional
        The token that the model predicts at each query.
    separators : array, optional
        The token numbers that are separators.
    """

    maps: Mapping[str, Sequence[np.ndarray]]
    tokens: Sequence[np.ndarray] | None = None
    key_range: str | Sequence[np.ndarray] = "causal"
    key_tokens: Sequence[np.ndarray] | None = None
    predicted: Sequence[np.ndarray] | None = None
    separators: np.ndarray | None = None

    def sites(self) -> list[ArraySite]:
        """Return the sites in order."""
        return [ArraySite(name, arrays, self) for name, arrays in self.maps.items()]


class ArraySite:
    """The maps of one site in memory."""

    note = ""

    def __init__(self, name: str, arrays: Sequence[np.ndarray], source: ArrayMaps) -> None:
        self.name, self._arrays, self._source = name, arrays, source
        self.n_documents = len(arrays)
        shapes = {np.ndim(array) for array in arrays}
        if shapes != {3} or len({len(array) for array in arrays}) != 1:
            raise InterpError(
                f"The maps of {name} must be (n_heads, n_queries, n_keys) for every document, "
                f"with as many heads; got {[np.shape(a) for a in arrays][:3]}."
            )
        self.heads = head_names(name, len(arrays[0]))

    def blocks(self, index: int) -> list[DocumentMaps]:
        """Return the maps of one document."""
        array, source = np.asarray(self._arrays[index]), self._source
        n_queries, n_keys = array.shape[1:]
        given = source.key_range
        key_range = as_key_range(
            given if isinstance(given, str) else given[index], n_queries, n_keys
        )

        tokens = None if source.tokens is None else np.asarray(source.tokens[index])
        same = source.key_tokens is None and n_queries == n_keys
        visible = MapRows(key_range, n_keys, same)

        def weights(head: int) -> np.ndarray:
            return array[head][visible.row, visible.keys].astype(np.float64)

        keys = tokens if source.key_tokens is None else np.asarray(source.key_tokens[index])
        context = Context(
            tokens,
            keys,
            source.separators,
            None if source.predicted is None else np.asarray(source.predicted[index]),
        )
        return [DocumentMaps(visible, context, weights)]
