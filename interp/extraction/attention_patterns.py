"""Which keys the queries of a site may see: told from the maps of one short forward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interp.extraction.schedule import Part
from interp.sites import SiteDescription

#: Queries that must see less than the document holds before a window is told from chance.
LEAST_QUERIES = 4
#: Weight that the farthest key of a sliding window must have somewhere: what decays with the
#: distance (alibi) ends by underflow, far below this.
LEAST_EDGE = 1e-4


@dataclass(frozen=True)
class Pattern:
    """How far before and behind itself a query sees; None where only the document ends it.

    Attributes
    ----------
    before, behind : int or None
        Keys before the query's own position, and after it.
    """

    before: int | None = None
    behind: int | None = None

    def __str__(self) -> str:
        if self.before is None:
            return "document" if self.behind is None else "causal"
        return f"window:{self.before + 1}" + (f":{self.behind}" if self.behind else "")

    def narrow(self, ranges: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return key ranges (n, 2) cut to what queries at these positions see."""
        first, stop = ranges.T
        if self.before is not None:
            first = np.maximum(first, positions - self.before)
        if self.behind is not None:
            stop = np.minimum(stop, positions + self.behind + 1)
        return np.stack([np.minimum(first, stop), stop], axis=1)


class MapProbe:
    """Looks at the maps of one forward of one document; a recorder's `consume`.

    Parameters
    ----------
    parts : mapping of str to Part
        What is fed, by stream.
    n_fed : mapping of str to int
        Length of the padded batch, by stream.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        (batch, n_heads, queries, keys) of each site.
    n_calls : dict of str to int
        How often each site was called.
    """

    def __init__(self, parts: Mapping[str, Part], n_fed: Mapping[str, int]) -> None:
        self._real = {n_fed[name]: int(part.fed_lengths[0]) for name, part in parts.items()}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.n_calls: dict[str, int] = {}
        self._by_offset: dict[str, np.ndarray] = {}

    def __call__(self, site: SiteDescription, weights: Tensor, first_query: int) -> None:
        """Take note of one map, or of some rows of it."""
        name = site.name
        n_rows, n_keys = weights.shape[2:]
        if first_query == 0:
            self.n_calls[name] = self.n_calls.get(name, 0) + 1
            self._by_offset[name] = np.zeros((2, 0))
        self.shapes[name] = (*weights.shape[:2], first_query + n_rows, n_keys)
        keys = self._real.get(n_keys, n_keys)
        self._note(name, weights[0, :, :, :keys].abs().amax(0).float().nan_to_num(1.0), first_query)

    def _note(self, name: str, largest: Tensor, first_query: int) -> None:
        """Note the largest weight at each distance of a key before and behind its query."""
        n_rows, n_keys = largest.shape
        middle = first_query + n_rows
        rows = torch.arange(first_query, middle, device=largest.device)
        keys = torch.arange(n_keys, device=largest.device)
        out = torch.zeros(middle + n_keys, device=largest.device)
        at = keys[None, :] - rows[:, None] + middle
        out.scatter_reduce_(0, at.flatten(), largest.flatten(), "amax")
        sides = out[: middle + 1].flip(0).cpu().numpy(), out[middle:].cpu().numpy()
        known = self._by_offset[name]
        both = np.zeros((2, max(*map(len, sides), known.shape[1])))
        both[:, : known.shape[1]] = known
        for side, values in zip(both, sides, strict=True):
            side[: len(values)] = np.maximum(side[: len(values)], values)
        self._by_offset[name] = both

    def pattern(self, name: str) -> Pattern:
        """Return which keys the queries of a site see, as far as its map tells."""
        before, behind = self._by_offset[name]
        n_queries = self._real.get(self.shapes[name][2], self.shapes[name][2])
        return Pattern(_reach(before, n_queries), _reach(behind, n_queries, ahead=True))


def _reach(by_distance: np.ndarray, n_queries: int, ahead: bool = False) -> int | None:
    """Return the farthest distance at which there is weight, or None if only the end ends it."""
    there = np.flatnonzero(by_distance)
    farthest = int(there[-1]) if len(there) else 0
    return farthest_of(farthest, float(by_distance[farthest]), n_queries, ahead)


def farthest_of(farthest: int, weight: float, n_queries: int, ahead: bool = False) -> int | None:
    """Return how far queries see, or None if only the end of the document ends it.

    Parameters
    ----------
    farthest : int
        The largest distance at which there is weight.
    weight : float
        The largest weight there.
    n_queries : int
        Of the document.
    ahead : bool
        Whether it is about keys behind the query.
    """
    if farthest == 0:
        # No head gives the smallest weight to what follows: two queries tell.
        return 0 if ahead and n_queries > 1 else None
    if n_queries - farthest < LEAST_QUERIES:
        return None
    return farthest if weight >= LEAST_EDGE else None
