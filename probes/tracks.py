"""Concepts as labels per position, checked before anything is computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interp.errors import InterpError, unknown_name


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
        Positions that have a label; None: all.
    stream : str
    """

    name: str
    values: np.ndarray
    valid: np.ndarray | None = None
    stream: str = "text"

    @property
    def is_binary(self) -> bool:
        """Whether the label is yes or no."""
        return self.values.dtype == bool


@dataclass(frozen=True, eq=False)
class Labels:
    """An annotation as read: the values before categories become tracks of their own.

    Attributes
    ----------
    name, kind, stream : str
    values : ndarray (n_positions,)
        bool, int32 codes (-1: none), or float64 (NaN: none).
    categories : list of str or None
    valid : ndarray (n_positions,) bool or None
    """

    name: str
    kind: str
    values: np.ndarray
    stream: str = "text"
    categories: list[str] | None = None
    valid: np.ndarray | None = None


def load_labels(
    recording: Any,
    concept: str,
    values: Any = None,
    stream: str | None = None,
    skip_missing: bool = False,
) -> Labels:
    """Return the labels of a concept.

    Parameters
    ----------
    recording : Recording
    concept : str
        An annotation of the recording, or a built-in concept, which is then computed.
    values : array (n_positions,), optional
        Labels of your own under that name.
    stream : str, optional
        The stream of `values`; the first one unless named.
    skip_missing : bool
        Leave positions without a label out. Without it they are an error, unless the annotation
        says that it has such positions.

    Raises
    ------
    InterpError
        If the concept is unknown, its length is wrong, or labels are missing.
    """
    if values is not None:
        found = _own(recording, concept, values, stream)
        return _without_missing(found, skip_missing)
    concept = _stored_name(recording, concept)
    if concept in getattr(recording, "annotations", {}):
        found = _annotated(recording, concept)
        skip_missing = skip_missing or bool(
            recording.annotations[concept].parameters.get("has_missing")
        )
    else:
        found = _built_in(recording, concept)
    return _without_missing(found, skip_missing)


def load_tracks(
    recording: Any,
    concepts: Sequence[str] | Mapping[str, Any],
    stream: str | None = None,
    skip_missing: bool = False,
) -> list[Track]:
    """Return one track per concept, and one per category of a categorical one.

    Parameters
    ----------
    recording : Recording
    concepts : sequence of str, or mapping of str to array
        Names of annotations or built-in concepts, ``annotation=category`` for one category; or
        labels of your own by name.
    stream : str, optional
        See :func:`load_labels`.
    skip_missing : bool
        See :func:`load_labels`.
    """
    tracks: list[Track] = []
    for concept in concepts:
        own = concepts[concept] if isinstance(concepts, Mapping) else None
        name, category = concept, None
        known = getattr(recording, "annotations", {})
        if own is None and concept not in known and "=" in concept:
            name, category = concept.rsplit("=", 1)
        labels = load_labels(recording, name, own, stream, skip_missing)
        tracks.extend(_tracks(labels, category))
    for track in tracks:
        _check_varied(track)
    return tracks


def _stored_name(recording: Any, concept: str) -> str:
    """Return the name by which a concept is stored: a built-in one may come as a plural."""
    from interp.annotations.concepts import is_concept, parse_concept

    if concept in getattr(recording, "annotations", {}) or not is_concept(concept):
        return concept
    return parse_concept(concept).name


def _own(recording: Any, name: str, values: Any, stream: str | None) -> Labels:
    array = np.asarray(values)
    where = stream or next(iter(recording.streams))
    n_positions = int(recording.streams[where].document_start[-1])
    if array.shape != (n_positions,):
        raise InterpError(
            f"The labels of {name} have shape {array.shape}, but stream {where!r} has "
            f"{n_positions:,} positions: one label per position is needed."
        )
    if array.dtype.kind in "UO":
        names = [str(value) for value in array]
        categories = sorted(set(names))
        codes = np.searchsorted(categories, names).astype(np.int32)
        return Labels(name, "categorical", codes, where, categories)
    if array.dtype.kind not in "biuf":
        raise InterpError(f"The labels of {name} are {array.dtype}; give bools, numbers or text.")
    return Labels(name, "binary" if array.dtype == bool else "numeric", array, where)


def _annotated(recording: Any, name: str) -> Labels:
    annotation = recording.annotations[name]
    return Labels(
        name, annotation.kind, np.asarray(annotation[:]), annotation.stream, annotation.categories
    )


def _built_in(recording: Any, name: str) -> Labels:
    from interp.annotations.concepts import concept_names, is_concept
    from interp.annotations.recordings import label_concepts

    if not is_concept(name):
        known = [*getattr(recording, "annotations", {}), *concept_names()]
        raise InterpError(
            unknown_name("concept", name, known, "`interp annotate` adds labels of your own.")
        )
    made = label_concepts(recording, [name])[0]
    return Labels(name, made.kind, made.values, made.stream, made.categories)


def _without_missing(labels: Labels, skip_missing: bool) -> Labels:
    values = labels.values
    if labels.kind == "categorical":
        missing = values < 0
    elif values.dtype.kind == "f":
        missing = ~np.isfinite(values)
    else:
        missing = np.zeros(0, bool)
    if missing.any() and not skip_missing:
        raise InterpError(
            f"{labels.name} has no label (NaN) at {missing.sum():,} of {len(values):,} positions, "
            f"the first is position {int(missing.argmax())}; fill them in, or leave such "
            "positions out with skip_missing (--skip-missing)."
        )
    if missing.all() and len(missing):
        raise InterpError(f"{labels.name} has no label at any position.")
    valid = ~missing if missing.any() else None
    kind = labels.kind
    known = values if valid is None else values[valid]
    if kind == "numeric" and np.isin(known, (0, 1)).all():
        kind = "binary"  # with missing ones, yes and no are stored as numbers
    if kind == "binary":
        values = values == 1
    elif kind == "numeric":
        values = values.astype(np.float64)
    return Labels(labels.name, kind, values, labels.stream, labels.categories, valid)


def _tracks(labels: Labels, category: str | None) -> list[Track]:
    if labels.kind != "categorical":
        if category is not None:
            raise InterpError(f"{labels.name} has no categories, so there is no {category!r}.")
        return [Track(labels.name, labels.values, labels.valid, labels.stream)]
    categories = labels.categories or []
    if category is not None and category not in categories:
        raise InterpError(unknown_name(f"category of {labels.name}", category, categories))
    used = np.bincount(labels.values[labels.values >= 0], minlength=len(categories))
    return [
        Track(f"{labels.name}={name}", labels.values == code, labels.valid, labels.stream)
        for code, name in enumerate(categories)
        if (name == category if category is not None else used[code] > 0)
    ]


def _check_varied(track: Track) -> None:
    known = track.values if track.valid is None else track.values[track.valid]
    if len(known) and (known == known[0]).all():
        what = ("inside" if known[0] else "outside") if track.is_binary else f"{known[0]:g}"
        raise InterpError(
            f"{track.name} is the same ({what}) at all {len(known):,} positions, so nothing can "
            "tell it apart; choose another concept or record other text."
        )
