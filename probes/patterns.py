"""Many yes-or-no tracks as one number per position.

Ten tracks over text take few of their 1,024 combinations. A sum per combination serves all
tracks at once, so the cost of a scan hardly depends on how many concepts are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Patterns:
    """Which combination of tracks is on at each position.

    Attributes
    ----------
    ids : ndarray (n_positions,) uint16 or uint32
    members : ndarray (n_patterns, n_tracks) bool
    n_inside : ndarray (n_tracks,) int64
    """

    ids: np.ndarray
    members: np.ndarray
    n_inside: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> Patterns:
        """Combine tracks.

        Parameters
        ----------
        labels : ndarray (n_positions, n_tracks) bool
        """
        ids = np.zeros(len(labels), np.int32)
        members = np.zeros((1, 0), bool)
        for track in labels.T:
            doubled = ids * 2 + track
            used = np.flatnonzero(np.bincount(doubled, minlength=2 * len(members)))
            place = np.zeros(2 * len(members), np.int32)
            place[used] = np.arange(len(used))
            ids = place[doubled]
            members = np.concatenate([members[used // 2], (used % 2 == 1)[:, None]], axis=1)
        small = np.uint16 if len(members) <= 1 << 16 else np.uint32
        return cls(ids.astype(small), members, np.asarray(labels.sum(axis=0), np.int64))

    def auroc(self, sums: np.ndarray) -> np.ndarray:
        """Return the area of each unit and track from twice the rank sums of each pattern.

        Parameters
        ----------
        sums : ndarray (n_units, n_patterns) int64

        Returns
        -------
        ndarray (n_units, n_tracks) float64
            NaN for a track that is never, or always, on.
        """
        n_inside = self.n_inside
        n_outside = len(self.ids) - n_inside
        # Twice the rank sums and their least value are integers: the difference is exact.
        above = sums @ self.members.astype(np.int64) - n_inside * (n_inside + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return above / (2.0 * n_inside * n_outside)
