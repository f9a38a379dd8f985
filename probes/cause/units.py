"""Units of recorded sites as variants: what they are held at, and which others they are beside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from interp.errors import SiteError, unknown_name
from interp.selection import Selection
from probes.cause.activity import Activity, draw_pool, measure_activity, values_to_hold
from probes.cause.controls import matched_groups, random_groups
from probes.cause.losses import Variant
from probes.documents import Rows
from probes.tracks import Track

#: Positions whose values are drawn from with the mode "resample".
_POOL = 4096


@dataclass
class Question:
    """Units that are clamped together, and what they are compared with.

    Attributes
    ----------
    name : str
        The selection.
    variant : Variant
    random, matched : list of Variant
    """

    name: str
    variant: Variant
    random: list[Variant]
    matched: list[Variant]


@dataclass
class UnitVariants:
    """Makes variants of the units of a recording.

    Attributes
    ----------
    recording : Recording
    track : Track
        The concept.
    rows : Rows
        The positions that means are taken over.
    mode : str
    value : float or None
    seed : int
    """

    recording: Any
    track: Track
    rows: Rows
    mode: str
    value: float | None
    seed: int
    _activity: dict[str, Activity] = field(default_factory=dict)
    _pools: dict[str, np.ndarray] = field(default_factory=dict)

    def question(self, selection: Selection, n_random: int, n_matched: int) -> Question:
        """Return a selection's variant and those of its controls.

        Raises
        ------
        SiteError
            If the site is not recorded, or has no row per position of the concept's stream.
        """
        site = selection.site
        if site not in self.recording.sites:
            hint = "What is clamped must have been recorded, since its mean comes from there."
            raise SiteError(unknown_name("site", site, self.recording.sites, hint))
        described = self.recording.sites[site]
        if described.per != "position" or described.stream != self.track.stream:
            raise SiteError(
                f"{site} has no row per position of stream {self.track.stream!r}, so its units "
                "cannot be held at what they are there."
            )
        units = selection.unit_indices(self.recording)
        activity = self._measured(site)
        drawn = random_groups(activity.usable, units, n_random, self.seed)
        near = matched_groups(activity.usable, activity.variance, units, n_matched)
        return Question(
            str(selection),
            self._variant(site, tuple(units.tolist())),
            [self._variant(site, group) for group in drawn],
            [self._variant(site, group) for group in near],
        )

    def _measured(self, site: str) -> Activity:
        if site not in self._activity:
            self._activity[site] = measure_activity(self.recording, site, self.rows, self.track)
            if self.mode == "resample":
                pool = draw_pool(self.recording, site, self.rows, _POOL, self.seed)
                self._pools[site] = pool
        return self._activity[site]

    def _variant(self, site: str, units: tuple[int, ...]) -> Variant:
        indices = np.array(units)
        if self.mode == "resample":
            return Variant(site, units, np.zeros(len(units)), self._pools[site][:, indices])
        held = values_to_hold(self._activity[site], indices, self.mode, self.value)
        return Variant(site, units, held)
