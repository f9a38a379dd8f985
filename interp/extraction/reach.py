"""How far the queries of a site were seen to look, over all documents of a run.

The first batch of a DataLoader may be too short to show a sliding window. So a run notes of all
its maps how far the farthest weight is that is not 0, and the recording is laid out by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from interp.extraction.attention_patterns import LEAST_EDGE, Pattern, farthest_of


@dataclass
class Reach:
    """The farthest keys before and behind a query that have weight.

    Attributes
    ----------
    before, behind : (int, float)
        Their distance, and the largest weight at it.
    longest : int
        Queries of the longest document.
    """

    before: tuple[int, float] = (0, 0.0)
    behind: tuple[int, float] = (0, 0.0)
    longest: int = 0

    def note(self, weights: Tensor, first_query: int, length: int) -> None:
        """Take note of some rows of the map of one document.

        Parameters
        ----------
        weights : Tensor (n_heads, n_rows, n_keys)
            Of real positions.
        first_query : int
            The position of the first row.
        length : int
            Of the document.
        """
        self.longest = max(self.longest, length)
        n_rows, n_keys = weights.shape[1:]
        # Only what may lie as far as the farthest so far: of documents no longer than those
        # before, nothing.
        far = self.before[0] + (self.before[1] >= LEAST_EDGE)
        begin = max(0, far - first_query)
        block = weights[:, begin:, : max(0, first_query + n_rows - far)]
        self._look("before", block, first_query + begin, 0)
        far = self.behind[0] + (self.behind[1] >= LEAST_EDGE)
        first_key = min(n_keys, first_query + far)
        block = weights[:, : max(0, n_keys - far - first_query), first_key:]
        self._look("behind", block, first_query, first_key)

    def _look(self, side: str, weights: Tensor, first_query: int, first_key: int) -> None:
        """Note the farthest weight before, or behind, the queries of a part of a map."""
        if not weights.numel():
            return
        largest = torch.maximum(weights.amax(0), -weights.amin(0)).float().nan_to_num(1.0)
        query = torch.arange(first_query, first_query + len(largest), device=largest.device)
        there = (largest != 0).to(torch.int8)
        if side == "before":
            at = there.argmax(1)
            distance = query - first_key - at
        else:
            at = there.shape[1] - 1 - there.flip(1).argmax(1)
            distance = first_key + at - query
        distance = distance.where(there.any(1), -1)
        farthest = int(distance.max())
        if farthest > 0:
            edge = largest.gather(1, at[:, None])[:, 0].where(distance == farthest, 0).max()
            self._extend(side, (farthest, float(edge)))

    def add(self, other: Sequence[Any]) -> None:
        """Add what `to_list` returned of another part of the run."""
        before, behind, longest = other
        self._extend("before", tuple(before))
        self._extend("behind", tuple(behind))
        self.longest = max(self.longest, longest)

    def to_list(self) -> list[Any]:
        """Return the numbers, for a log."""
        return [list(self.before), list(self.behind), self.longest]

    def revised(self, pattern: Pattern) -> Pattern:
        """Return a pattern with the ends that it left open, where all maps together tell them."""
        before, behind = pattern.before, pattern.behind
        if before is None:
            before = farthest_of(*self.before, self.longest)
        if behind is None:
            behind = farthest_of(*self.behind, self.longest, ahead=True)
        return Pattern(before, behind)

    def _extend(self, side: str, found: Any) -> None:
        setattr(self, side, max(getattr(self, side), found))


@dataclass
class Reaches:
    """The reach of each site whose layout may still be narrowed."""

    by_site: dict[str, Reach] = field(default_factory=dict)

    def of(self, site: str) -> Reach:
        """Return the reach of a site."""
        return self.by_site.setdefault(site, Reach())

    def to_dict(self) -> dict[str, list[Any]]:
        """Return what was noted so far, for the log."""
        return {site: reach.to_list() for site, reach in self.by_site.items()}
