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

from interp.extraction.attention_patterns import Pattern, farthest_of


@dataclass
class Reach:
    """The farthest keys before and behind a query that have weight.

    Attributes
    ----------
    before, behind : list of (int, float)
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
        if not weights.numel():
            return
        largest = torch.maximum(weights.amax(0), -weights.amin(0)).float().nan_to_num(1.0)
        rows = torch.arange(first_query, first_query + len(largest), device=largest.device)
        n_keys = largest.shape[1]
        there = (largest != 0).to(torch.int8)
        first, last = there.argmax(1), n_keys - 1 - there.flip(1).argmax(1)
        sees = there.any(1)
        for side, at, distance in (
            ("before", first, rows - first), ("behind", last, last - rows),
        ):  # fmt: skip
            distance = distance.where(sees, -1)
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

    def taken(self) -> dict[str, list[Any]]:
        """Return what was noted since the last call, for the log."""
        found = {site: reach.to_list() for site, reach in self.by_site.items()}
        self.by_site = {}
        return found
