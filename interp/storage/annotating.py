"""What an annotation is before it is stored, and how its values are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from interp.errors import StorageError
from interp.storage import digests, packed
from interp.storage.strings import write_attribute

KINDS = ("binary", "categorical", "numeric")


@dataclass(frozen=True, eq=False)
class AnnotationPlan:
    """An annotation to be stored.

    Parameters
    ----------
    name : str
    values : array, shape (n_positions,)
        Booleans or 0 and 1; strings, or indices of categories; or numbers.
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

    def digest(self) -> str:
        """Return a hash of the name and the values."""
        values, kind, categories = _encode(self)
        return digests.of_annotation(self.name, self.stream, kind, categories, values)


def write_annotation(group: h5py.Group, key: str, plan: AnnotationPlan, n_positions: int) -> None:
    """Write an annotation into an HDF5 group.

    Raises
    ------
    StorageError
        If the values do not fit the kind or the stream.
    """
    values, kind, categories = _encode(plan)
    if values.shape != (n_positions,):
        raise StorageError(
            f"Annotation {plan.name!r} has shape {values.shape}, but stream {plan.stream!r} has "
            f"{n_positions:,} positions."
        )
    dataset = group.create_dataset(key, data=values)
    write_attribute(dataset, "name", plan.name)
    write_attribute(dataset, "kind", kind)
    write_attribute(dataset, "stream", plan.stream)
    write_attribute(dataset, "parameters", json.dumps(dict(plan.parameters)))
    if categories is not None:
        packed.write(group, key + "_categories", categories)


def _encode(plan: AnnotationPlan) -> tuple[np.ndarray, str, list[str] | None]:
    """Return values as stored, their kind and their categories."""
    values = np.asarray(plan.values)
    text = values.dtype.kind in "UO"
    guessed = {"b": "binary", "U": "categorical", "O": "categorical"}.get(values.dtype.kind)
    kind = plan.kind or ("categorical" if plan.categories else guessed or "numeric")
    where = f"Annotation {plan.name!r}"
    if kind not in KINDS:
        raise StorageError(f"{where}: its kind is one of {', '.join(KINDS)}, not {kind!r}.")
    if kind == "binary":
        if not np.isin(values, (0, 1)).all():
            raise StorageError(f"{where} is binary, but has values other than 0 and 1.")
        return values.astype("u1"), kind, None
    if kind == "numeric":
        if values.dtype.kind not in "iuf":
            raise StorageError(f"{where} is numeric, but its values are {values.dtype}.")
        return values.astype(values.dtype.newbyteorder("<")), kind, None
    if text:
        names = [str(value) for value in values]
        categories = list(plan.categories or sorted(set(names)))
        index = {name: i for i, name in enumerate(categories)}
        if missing := set(names) - set(index):
            raise StorageError(f"{where} has the value {min(missing)!r}, which is no category.")
        return np.array([index[name] for name in names], "<i4"), kind, categories
    if not plan.categories:
        raise StorageError(f"{where} is categorical: its categories are needed.")
    if values.dtype.kind not in "iu" or values.min() < -1 or values.max() >= len(plan.categories):
        raise StorageError(f"{where} has values that are no indices of its categories.")
    return values.astype("<i4"), kind, list(plan.categories)
