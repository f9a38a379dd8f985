"""Annotations: a named value per position, recorded in the file or added beside it.

An added annotation is a small HDF5 file in ``run.results/``. It carries the fingerprint of the
recording it was made for, and is not shown with any other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import h5py
import numpy as np

from interp.errors import RecordingError, SelectionError, StorageError, unknown_name
from interp.storage import digests, schema
from interp.storage.annotating import AnnotationPlan, check_annotation, file_name, write_annotation
from interp.storage.arrays import LazyArray
from interp.storage.atomic import replacing
from interp.storage.hdf5 import ReadOnlyFile, check_format, reading
from interp.storage.image import write_hdf5
from interp.storage.matrix import FilteredMatrix
from interp.storage.packed import PackedStrings
from interp.storage.strings import read_attribute, write_attribute

if TYPE_CHECKING:
    from interp.storage.recording import Recording


class Annotation(LazyArray):
    """The values of an annotation, shape (n_positions,), read where they are indexed.

    Attributes
    ----------
    name : str
    kind : {"binary", "categorical", "numeric"}
        Binary values read as bool; categorical ones as indices into `categories`, -1 where
        there is none; numeric ones as numbers, NaN where there is none.
    stream : str
    categories : list of str or None
    parameters : dict
        How the values were made.
    added : bool
        Whether it lies beside the recording rather than in it.
    """

    def __init__(self, dataset: h5py.Dataset, group: h5py.Group, added: bool) -> None:
        self.name: str = read_attribute(dataset, "name")
        self.kind: str = read_attribute(dataset, "kind")
        self.stream: str = read_attribute(dataset, "stream")
        self.parameters: dict[str, Any] = json.loads(read_attribute(dataset, "parameters"))
        self.added = added
        key = dataset.name.rsplit("/", 1)[-1] + "_categories"
        self.categories = PackedStrings(group, key)[:] if key in group else None
        super().__init__(
            FilteredMatrix(dataset),
            f"annotation {self.name!r}",
            ndim=1,
            convert=self._told,
        )

    def _told(self, values: np.ndarray) -> np.ndarray:
        """Return values as they are read: binary ones as bool, indices only of categories."""
        if self.kind == "binary":
            return values.astype(bool)
        n = len(self.categories or ())
        if self.kind == "categorical" and np.any((values < -1) | (values >= n)):
            raise RecordingError(f"{self._name} is damaged: it has no category for some values.")
        return values

    def digest(self) -> str:
        """Return a hash of the name and the values."""
        values = self._matrix.read(0, len(self), np.array([0]))
        return digests.of_annotation(self.name, self.stream, self.kind, self.categories, values)


class Annotations(Mapping[str, Annotation]):
    """All annotations of a recording by name: recorded ones first, then those added beside it."""

    def __init__(self, recording: Recording, file: h5py.File) -> None:
        self._recording = recording
        self._recorded: dict[str, h5py.Dataset] = {}
        found = [d for d in file.get(schema.ANNOTATIONS, {}).values() if "kind" in d.attrs]
        for dataset in sorted(found, key=lambda dataset: int(dataset.name.rsplit("/", 1)[-1])):
            self._recorded[read_attribute(dataset, "name")] = dataset
        self._open: dict[tuple[str, int, int], tuple[ReadOnlyFile, Annotation]] = {}

    @property
    def directory(self) -> Path:
        """Where added annotations and other results lie: ``run.results`` beside ``run.h5``."""
        path = self._recording.path
        stem = path.stem if path.suffix in (".h5", ".hdf5") else path.name
        return path.with_name(stem + ".results")

    def __getitem__(self, name: str) -> Annotation:
        if not isinstance(name, str):
            raise SelectionError(unknown_name("annotation", name, ()))
        if name in self._recorded:
            dataset = self._recorded[name]
            with reading(f"annotation {name!r} of {self._recording.path}"):
                return Annotation(dataset, dataset.parent, added=False)
        path = self._path(name)
        if not os.path.exists(path):
            raise SelectionError(unknown_name("annotation", name, self))
        return self._load(path)

    def __iter__(self) -> Iterator[str]:
        yield from self._recorded
        yield from (name for name, path in self._added().items() if self._belongs(path))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in set(self)

    def recorded(self) -> list[Annotation]:
        """Return the annotations that are part of the recording, in the plan's order."""
        return [self[name] for name in self._recorded]

    def add(self, plan: AnnotationPlan, overwrite: bool = False) -> Path:
        """Write an annotation beside the recording and return its file."""
        recording = self._recording
        if plan.name in self._recorded:
            raise StorageError(f"Annotation {plan.name!r} is part of the recording itself.")
        path = self._path(plan.name)
        if path.exists() and not overwrite and self._belongs(path):
            raise StorageError(
                f"{path} exists already. Replace it with overwrite=True, or choose another name."
            )
        n_positions = recording.stream(plan.stream).n_positions
        check_annotation(plan, n_positions)
        fingerprint = recording.fingerprint
        try:
            self.directory.mkdir(exist_ok=True)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}.") from error

        def build(file: h5py.File) -> None:
            write_attribute(file, schema.ATTR_FORMAT, schema.RESULT_FORMAT)
            write_attribute(file, schema.ATTR_VERSION, schema.FORMAT_VERSION)
            write_attribute(file, "result", "annotation")
            write_attribute(file, schema.FINGERPRINT, fingerprint)
            write_annotation(file, "values", plan, n_positions)

        with replacing(path) as temporary, open(temporary, "r+b") as target:
            write_hdf5(target.fileno(), build)
        return path

    def close(self) -> None:
        """Let the files of added annotations go."""
        for file, _ in self._open.values():
            file.close()
        self._open.clear()

    def _path(self, name: str) -> Path:
        return self.directory / file_name(name)

    def _added(self) -> dict[str, Path]:
        """Return the files beside the recording by the names they are for."""
        found = sorted(self.directory.glob("annotation.*.h5")) if self.directory.is_dir() else []
        return {unquote(path.name[len("annotation.") : -len(".h5")]): path for path in found}

    def _belongs(self, path: Path) -> bool:
        try:
            self._load(path)
        except RecordingError:
            return False
        return True

    def _load(self, path: Path) -> Annotation:
        """Open one result file, or take it from those that are open."""
        status = os.stat(path)
        key = str(path), status.st_ino, status.st_mtime_ns
        if key in self._open:
            return self._open[key][1]
        with reading(path):
            file = ReadOnlyFile(path)
        try:
            with reading(path):
                check_format(file.root, path, schema.RESULT_FORMAT, "a result")
                if read_attribute(file.root, schema.FINGERPRINT) != self._recording.fingerprint:
                    raise RecordingError(
                        f"{path} was made for another recording than {self._recording.path} is "
                        "now; make it again."
                    )
                annotation = Annotation(file.root["values"], file.root, added=True)
        except RecordingError:
            file.close()
            raise
        self._open[key] = file, annotation
        return annotation

    def __repr__(self) -> str:
        return f"<annotations: {', '.join(self) or 'none'}>"
