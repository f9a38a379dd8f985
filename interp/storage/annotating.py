"""What an annotation is before it is stored, and how its values are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np

from interp.arguments import shown
from interp.errors import StorageError
from interp.storage import digests, packed
from interp.storage.strings import write_attribute
from interp.wording import kind_of

KINDS = ("binary", "categorical", "numeric")


@dataclass(frozen=True, eq=False)
class AnnotationPlan:
    """An annotation to be stored.

    Parameters
    ----------
    name : str
    values : array, shape (n_positions,)
        Booleans or 0 and 1; strings (None where there is none), or indices of categories (-1
        where there is none); or numbers.
    stream : str
    kind : {"binary", "categorical", "numeric"}, optional
        Told from the values' type when it is left out.
    categories : sequence of str, optional
        Names of categorical values that are given as indices.
    parameters : dict
        How the values were made, as JSON.
    """

    name: str
    values: Any
    stream: str = "text"
    kind: str | None = None
    categories: Sequence[str] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise StorageError(f"The name of an annotation is text; got {kind_of(self.name)}.")
        if not self.name.isprintable() or not self.name or len(file_name(self.name)) > 250:
            raise StorageError(
                f"{self.name!r:.80} cannot be the name of an annotation: one line of printable "
                "characters is, short enough for the name of a file."
            )

    def digest(self) -> str:
        """Return a hash of the name and the values."""
        values, kind, categories = _encode(self)
        return digests.of_annotation(self.name, self.stream, kind, categories, values)


def file_name(name: str) -> str:
    """Return the name of the file that holds an added annotation."""
    return f"annotation.{quote(name, safe=' ')}.h5"


def check_annotation(plan: AnnotationPlan, n_positions: int) -> None:
    """Refuse an annotation that does not fit its kind or its stream of `n_positions`.

    Raises
    ------
    StorageError
    """
    _encode_checked(plan, n_positions)


def _encode_checked(
    plan: AnnotationPlan, n_positions: int
) -> tuple[np.ndarray, str, list[str] | None]:
    values, kind, categories = _encode(plan)
    if values.shape != (n_positions,):
        raise StorageError(
            f"Annotation {plan.name!r} has shape {values.shape}, but stream {plan.stream!r} has "
            f"{n_positions:,} positions."
        )
    digests.of_json(dict(plan.parameters), f"The parameters of annotation {plan.name!r}")
    return values, kind, categories


def write_annotation(group: h5py.Group, key: str, plan: AnnotationPlan, n_positions: int) -> None:
    """Write an annotation into an HDF5 group.

    Raises
    ------
    StorageError
        If the values do not fit the kind or the stream.
    """
    values, kind, categories = _encode_checked(plan, n_positions)
    dataset = group.create_dataset(key, data=values)
    write_attribute(dataset, "name", plan.name)
    write_attribute(dataset, "kind", kind)
    write_attribute(dataset, "stream", plan.stream)
    write_attribute(dataset, "parameters", json.dumps(dict(plan.parameters)))
    if categories is not None:
        packed.write(group, key + "_categories", categories)


def _check_arguments(plan: AnnotationPlan) -> None:
    """Refuse parameters that are no mapping, and categories that are no strings."""
    where = f"annotation {plan.name!r}"
    if not isinstance(plan.parameters, Mapping):
        raise StorageError(
            f"The parameters of {where} are a dictionary; got {shown(plan.parameters)}."
        )
    given = () if plan.categories is None else plan.categories
    if isinstance(given, str) or not all(isinstance(name, str) for name in given):
        raise StorageError(f"The categories of {where} are a list of texts; got {shown(given)}.")


def _encode(plan: AnnotationPlan) -> tuple[np.ndarray, str, list[str] | None]:
    """Return values as stored, their kind and their categories."""
    _check_arguments(plan)
    values = np.asarray(plan.values)
    if values.dtype.kind == "U" and not isinstance(plan.values, np.ndarray):
        values = np.asarray(plan.values, object)  # NumPy makes strings of numbers among strings
    guessed = {"b": "binary", "U": "categorical", "O": "categorical"}.get(values.dtype.kind)
    kind = plan.kind or ("categorical" if plan.categories else guessed or "numeric")
    where = f"Annotation {plan.name!r}"
    if kind not in KINDS:
        raise StorageError(f"{where}: its kind is one of {', '.join(KINDS)}, not {kind!r}.")
    if kind == "binary":
        if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
            raise StorageError(f"{where} is binary, but has values other than 0 and 1.")
        return values.astype("u1"), kind, None
    if kind == "numeric":
        if values.dtype.kind not in "iuf" or values.dtype.itemsize > 8:
            raise StorageError(
                f"{where} is numeric, but its values are {values.dtype}; numbers are stored as "
                "integers or floats of up to 64 bits."
            )
        return values.astype(values.dtype.newbyteorder("<")), kind, None
    if plan.categories is not None and len(set(plan.categories)) != len(plan.categories):
        raise StorageError(f"{where} has two categories of one name.")
    if values.dtype.kind in "UO":
        indices, categories = _indices(values, plan.categories, where)
        return indices, kind, categories
    if not plan.categories:
        raise StorageError(f"{where} is categorical: its categories are needed.")
    if values.dtype.kind not in "iu" or values.min() < -1 or values.max() >= len(plan.categories):
        raise StorageError(f"{where} has values that are no indices of its categories.")
    return values.astype("<i4"), kind, list(plan.categories)


def _indices(
    values: np.ndarray, given: Sequence[str] | None, where: str
) -> tuple[np.ndarray, list[str]]:
    """Return strings as indices of their categories, None as -1; and the categories."""
    names = values.reshape(-1).tolist()
    if bad := [name for name in names if not isinstance(name, str | None)]:
        raise StorageError(
            f"{where} holds {kind_of(bad[0])} ({bad[0]!r:.40}) among its values; they are all "
            "strings (None where there is none), or all numbers."
        )
    categories = list(given or sorted({name for name in names if name is not None}))
    index = {None: -1} | {name: i for i, name in enumerate(categories)}
    if missing := {name for name in names if name not in index}:
        raise StorageError(f"{where} has the value {min(missing)!r}, which is no category.")
    found = np.array([index[name] for name in names], "<i4")
    return found.reshape(values.shape), categories
