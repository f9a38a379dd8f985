"""The labels of a concept at every position, read and checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from interp.errors import InterpError, unknown_name

#: Why a position is not scored, if its label is missing: a key of :attr:`Labels.left_out`.
NO_LABEL = "no label"


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
        Positions that are scored; None: all.
    left_out : mapping of str to int
        How many positions are not, by the first reason: `NO_LABEL`, or the concept that holds
        there.
    delimiters : str or None
        How marks count, for a built-in concept (:data:`interp.annotations.regions.DELIMITERS`).
    """

    name: str
    kind: str
    values: np.ndarray
    stream: str = "text"
    categories: list[str] | None = None
    valid: np.ndarray | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    delimiters: str | None = None

    def code_of(self, category: str) -> int:
        """Return the code of a category.

        Raises
        ------
        InterpError
            If there is none of that name.
        """
        if self.kind != "categorical":
            raise InterpError(f"{self.name} has no categories, so there is no {category!r}.")
        if category not in (self.categories or ()):
            raise InterpError(
                unknown_name(f"category of {self.name}", category, self.categories or ())
            )
        return (self.categories or []).index(category)


def split_category(recording: Any, concept: str) -> tuple[str, str | None]:
    """Take ``annotation=category`` apart; an annotation whose name has a ``=`` is left whole."""
    if concept in getattr(recording, "annotations", {}) or "=" not in concept:
        return concept, None
    name, _, category = concept.rpartition("=")
    return name, category


def read_labels(
    recording: Any,
    concept: str,
    values: Any = None,
    stream: str | None = None,
    skip_missing: bool = False,
    with_marks: bool = False,
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
    with_marks : bool
        Count the delimiters of a built-in concept as inside, whatever its annotation says.

    Raises
    ------
    InterpError
        If the concept is unknown, its length is wrong, or labels are missing.
    """
    if values is not None:
        return _without_missing(_own(recording, concept, values, stream), skip_missing)
    concept = _stored_name(recording, concept)
    known = getattr(recording, "annotations", {})
    if concept not in known:
        made = _built_in(recording, concept, with_marks)
    elif with_marks and known[concept].parameters.get("concept"):
        made = _built_in(recording, concept, with_marks, known[concept])
    else:
        made = _annotated(recording, concept)
        skip_missing = skip_missing or bool(known[concept].parameters.get("has_missing"))
    return _without_missing(made, skip_missing)


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
    missing = np.zeros(n_positions, bool)
    if array.dtype == object:
        missing = np.array([_is_missing(value) for value in array], bool)
        if all(isinstance(value, bool | int | float | np.number) for value in array[~missing]):
            array = np.where(missing, np.nan, array).astype(np.float64)
    if array.dtype.kind in "UO":
        names = np.array([str(value) for value in array])
        categories = sorted(set(names[~missing].tolist()))
        codes = np.where(missing, -1, np.searchsorted(categories, names)).astype(np.int32)
        return Labels(name, "categorical", codes, where, categories)
    if array.dtype.kind not in "biuf":
        raise InterpError(f"The labels of {name} are {array.dtype}; give bools, numbers or text.")
    return Labels(name, "binary" if array.dtype == bool else "numeric", array, where)


def _is_missing(value: Any) -> bool:
    """Whether a value is what a table has where there is none: never a category."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def _annotated(recording: Any, name: str) -> Labels:
    stored = recording.annotations[name]
    return Labels(
        name, stored.kind, np.asarray(stored[:]), stored.stream, stored.categories,
        delimiters=stored.parameters.get("delimiters"),
    )  # fmt: skip


def _built_in(recording: Any, name: str, with_marks: bool, stored: Any = None) -> Labels:
    """Compute a concept; like an annotation that was made of it, if one is given."""
    from interp.annotations.concepts import concept_names, is_concept
    from interp.annotations.recordings import label_concepts

    said = {} if stored is None else stored.parameters
    concept = said.get("concept", name)
    if not is_concept(concept):
        known = [*getattr(recording, "annotations", {}), *concept_names()]
        raise InterpError(
            unknown_name("concept", concept, known, "`interp annotate` adds labels of your own.")
        )
    spoken = said.get("languages") or []
    delimiters = "in" if with_marks else "state"
    made = label_concepts(
        recording, [concept], spoken[0] if len(spoken) == 1 else None, delimiters,
        None if stored is None else stored.stream,
    )[0]  # fmt: skip
    return Labels(name, made.kind, made.values, made.stream, made.categories, delimiters=delimiters)


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
    left_out = {} if valid is None else {NO_LABEL: int(missing.sum())}
    return replace(labels, kind=kind, values=values, valid=valid, left_out=left_out)
