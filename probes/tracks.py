"""Concepts as tracks: one yes or no, or one number, per position that is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.exclusion import Without, leave_out
from probes.labels import Labels, read_labels, split_category


@dataclass(frozen=True, eq=False)
class Track:
    """One label per position.

    Attributes
    ----------
    name : str
        An annotation or concept; ``annotation=category`` for one category of several.
    values : ndarray (n_positions,)
        bool for yes or no, float64 for numbers.
    valid : ndarray (n_positions,) bool or None
        Positions that are scored; None: all.
    stream : str
    left_out : mapping of str to int
        How many are not, by reason; see :class:`probes.labels.Labels`.
    delimiters : str or None
        How marks count, for a built-in concept.
    """

    name: str
    values: np.ndarray
    valid: np.ndarray | None = None
    stream: str = "text"
    left_out: Mapping[str, int] = field(default_factory=dict)
    delimiters: str | None = None

    @property
    def is_binary(self) -> bool:
        """Whether the label is yes or no."""
        return self.values.dtype == bool


def load_labels(
    recording: Any,
    concept: str,
    values: Any = None,
    stream: str | None = None,
    skip_missing: bool = False,
    without: Without = (),
) -> Labels:
    """Return the labels of a concept at the positions that are to be scored.

    Parameters
    ----------
    recording, concept, values, stream, skip_missing
        See :func:`probes.labels.read_labels`.
    without : str, sequence of str, or mapping of str to array (n_positions,)
        Other concepts: positions at which they hold are left out
        (:func:`probes.exclusion.leave_out`).
    """
    labels = read_labels(recording, concept, values, stream, skip_missing)
    return leave_out(recording, labels, without)


def load_tracks(
    recording: Any,
    concepts: Sequence[str] | Mapping[str, Any],
    stream: str | None = None,
    skip_missing: bool = False,
    without: Without = (),
) -> list[Track]:
    """Return one track per concept, and one per category of a categorical one.

    Parameters
    ----------
    recording : Recording
    concepts : sequence of str, or mapping of str to array
        Names of annotations or built-in concepts, ``annotation=category`` for one category; or
        labels of your own by name.
    stream, skip_missing, without
        See :func:`load_labels`.
    """
    tracks: list[Track] = []
    for concept in concepts:
        own = concepts[concept] if isinstance(concepts, Mapping) else None
        name, category = (concept, None) if own is not None else split_category(recording, concept)
        labels = load_labels(recording, name, own, stream, skip_missing, without)
        tracks.extend(_tracks(labels, category))
    for track in tracks:
        _check_varied(track)
    return tracks


def _tracks(labels: Labels, category: str | None) -> list[Track]:
    def track(name: str, values: np.ndarray) -> Track:
        return Track(name, values, labels.valid, labels.stream, labels.left_out, labels.delimiters)

    if category is not None:
        code = labels.code_of(category)
        return [track(f"{labels.name}={category}", labels.values == code)]
    if labels.kind != "categorical":
        return [track(labels.name, labels.values)]
    used = np.unique(labels.values if labels.valid is None else labels.values[labels.valid])
    return [
        track(f"{labels.name}={name}", labels.values == code)
        for code, name in enumerate(labels.categories or [])
        if code in used
    ]


def _check_varied(track: Track) -> None:
    known = track.values if track.valid is None else track.values[track.valid]
    if len(known) and (known == known[0]).all():
        what = ("inside" if known[0] else "outside") if track.is_binary else f"{known[0]:g}"
        where = "positions that are scored" if track.left_out else "positions"
        raise InterpError(
            f"{track.name} is the same ({what}) at all {len(known):,} {where}, so nothing can "
            "tell it apart; choose another concept or record other text."
        )
