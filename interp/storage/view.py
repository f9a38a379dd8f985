"""The view: one byte per value, unit after unit, for drawing one unit over a whole corpus.

It is made from the recording, thrown away when the recording changes, and rebuilt when it is
asked for; each site is built on its first use. Values are rounded to 255 levels of their unit's
largest magnitude, so the view is for the eye, never for statistics.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import h5py
import numpy as np

from interp.errors import RecordingError, SiteError, StorageError, unknown_name
from interp.selection import Units
from interp.storage import schema
from interp.storage.arrays import LazyArray
from interp.storage.atomic import replacing
from interp.storage.hdf5 import ReadOnlyFile, check_format
from interp.storage.image import write_hdf5
from interp.storage.layout import reserve
from interp.storage.rawio import open_locked, read_array, write_array
from interp.storage.strings import read_attribute, write_attribute

if TYPE_CHECKING:
    from interp.storage.recording import Recording

NAN_CODE = -128
"""Stands for NaN; values lie between -127 and 127."""
_BLOCK_ROWS = 2**15
_STRIP_UNITS = schema.CHUNK_UNITS

Progress = Callable[[int, int], None]


class View:
    """The int8 view of a recording, in ``run.view.h5`` beside ``run.h5``.

    Parameters
    ----------
    recording : Recording
        A complete one.

    Raises
    ------
    RecordingError
        If the recording is incomplete.
    StorageError
        If the file cannot be made: the directory is read-only, the disk is full.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._lock = Lock()
        self._fd = -1
        path = recording.path
        stem = path.stem if path.suffix in (".h5", ".hdf5") else path.name
        self.path: Path = path.with_name(stem + ".view.h5")
        if not self._open():
            self._create()
            if not self._open():
                raise RecordingError(f"{self.path} was replaced while it was made; try again.")

    def unit(
        self, site: str, unit_index: int, progress: Progress | None = None
    ) -> tuple[np.ndarray, float]:
        """Return one unit over all positions, for the screen.

        Parameters
        ----------
        site : str
        unit_index : int
        progress : callable, optional
            Called with units done and units in all while the site is built.

        Returns
        -------
        codes : array of int8, shape (n_positions,)
            -127 to 127, and -128 for NaN. Infinities are -127 and 127. Read-only.
        scale : float
            A code times this is the value.
        """
        self.build(site, progress)
        place = self._codes[site]
        Units.of([unit_index]).indices(place.n_units, site)
        codes = read_array(self._fd, np.dtype("i1"), place.n_rows, place.of_unit(unit_index))
        scale = read_array(self._fd, np.dtype("<f4"), 1, self._scales[site] + 4 * unit_index)
        return codes, float(scale[0])

    def is_built(self, site: str) -> bool:
        """Whether a site has been built, so that its units come at once."""
        if site not in self._index:
            raise SiteError(unknown_name("site", site, self._index))
        return bool(read_array(self._fd, np.dtype("u1"), 1, self._built + self._index[site])[0])

    def build(self, site: str, progress: Progress | None = None) -> None:
        """Build one site unless that is done. Another process that builds it is waited for."""
        if self.is_built(site):
            return
        with self._lock:
            fd = open_locked(self.path, str(self.path), wait=True)
            try:
                if not os.path.samestat(os.fstat(fd), os.fstat(self._fd)):
                    self._reopen()
                if not self.is_built(site):
                    self._quantise(site, fd, progress)
            finally:
                os.close(fd)

    def close(self) -> None:
        """Let the file go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> View:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open(self) -> bool:
        """Open the file, and say whether it belongs to this recording."""
        self._fd = -1
        try:
            with ReadOnlyFile(self.path) as file:
                check_format(file.root, self.path, schema.VIEW_FORMAT, "a view")
                if read_attribute(file.root, schema.FINGERPRINT) != self._recording.fingerprint:
                    return False
                self._find(file.root)
                self._fd = os.dup(file.stream.fileno())
        except (OSError, KeyError, TypeError, RecordingError):
            return False
        return True

    def _reopen(self) -> None:
        """Take up a view that another process has put in this one's place."""
        old = self._fd
        if not self._open():
            self._fd = old
            raise RecordingError(f"{self.path} now belongs to another recording.")
        os.close(old)

    def _find(self, file: h5py.File) -> None:
        """Note where everything lies."""
        names = list(self._recording.sites)
        self._index = {name: i for i, name in enumerate(names)}
        self._codes = {}
        self._scales = {}
        for name in names:
            codes = file[schema.VIEW_CODES][name]
            self._codes[name] = _Place(codes.id.get_offset(), *codes.shape)
            self._scales[name] = file[schema.VIEW_SCALES][name].id.get_offset()
        self._built = file[schema.VIEW_BUILT].id.get_offset()

    def _create(self) -> None:
        """Lay out a view of which nothing is built yet."""
        recording = self._recording
        fingerprint = recording.fingerprint

        def build(file: h5py.File) -> None:
            write_attribute(file, schema.ATTR_FORMAT, schema.VIEW_FORMAT)
            write_attribute(file, schema.ATTR_VERSION, schema.FORMAT_VERSION)
            write_attribute(file, schema.FINGERPRINT, fingerprint)
            codes = file.create_group(schema.VIEW_CODES)
            scales = file.create_group(schema.VIEW_SCALES)
            for name in recording.sites:
                n_rows, n_units = recording[name].shape
                reserve(codes, name, (n_units, n_rows), np.dtype("i1"))
                reserve(scales, name, (n_units,), np.dtype("<f4"))
            file.create_dataset(schema.VIEW_BUILT, data=np.zeros(len(recording.sites), "u1"))

        with replacing(self.path) as temporary, open(temporary, "r+b") as target:
            write_hdf5(target.fileno(), build)

    def _quantise(self, site: str, fd: int, progress: Progress | None) -> None:
        """Build one site, a strip of units at a time."""
        source, place = self._recording[site], self._codes[site]
        try:
            for first in range(0, place.n_units, _STRIP_UNITS):
                strip = range(first, min(first + _STRIP_UNITS, place.n_units))
                scale = (largest_finite(_blocks(source, strip)) / 127).astype("<f4")
                for start, values in _blocks(source, strip):
                    codes = quantise(values, scale)
                    for unit, unit_codes in zip(strip, codes, strict=True):
                        write_array(fd, unit_codes, place.of_unit(unit) + start)
                write_array(fd, scale, self._scales[site] + 4 * first)
                if progress is not None:
                    progress(strip.stop, place.n_units)
            write_array(fd, np.ones(1, "u1"), self._built + self._index[site])
        except StorageError as error:
            raise StorageError(f"{self.path} cannot be built: {error}") from error


@dataclass(frozen=True)
class _Place:
    """Where the codes of a site lie, one unit after the other."""

    offset: int
    n_units: int
    n_rows: int

    def of_unit(self, unit_index: int) -> int:
        return self.offset + unit_index * self.n_rows


def _blocks(source: LazyArray, units: range) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row and the values, unit after unit, of blocks that fit a cache."""
    for start in range(0, len(source), _BLOCK_ROWS):
        values = source[start : start + _BLOCK_ROWS, units.start : units.stop]
        wide = np.promote_types(values.dtype, np.float32)
        yield start, np.ascontiguousarray(values.T).astype(wide, copy=False)


def largest_finite(blocks: Iterator[tuple[int, np.ndarray]]) -> np.ndarray:
    """Return the largest finite magnitude of each unit, shape (n_units,)."""
    tops = []
    for _, values in blocks:
        magnitude = np.abs(values)
        top = magnitude.max(axis=1)
        if not np.isfinite(top).all():
            magnitude[~np.isfinite(magnitude)] = 0
            top = magnitude.max(axis=1)
        tops.append(top)
    return np.max(tops, axis=0)


def quantise(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return values as int8 codes.

    Parameters
    ----------
    values : array of float, shape (n_units, n_rows)
    scale : array of float, shape (n_units,)
        The value of one step; 0 for a unit that is zero throughout.

    Returns
    -------
    array of int8, shape (n_units, n_rows)
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        per_step = np.where(scale > 0, 1 / scale, 0).astype(values.dtype)
        steps = values * per_step[:, None]
    np.rint(steps, out=steps)
    np.clip(steps, -127, 127, out=steps)
    # A sum is NaN whenever one of its terms is, and far quicker than looking at each.
    if np.isnan(steps.sum()):
        steps[np.isnan(values)] = NAN_CODE
        steps[np.isnan(steps)] = 0
    return steps.astype(np.int8)
