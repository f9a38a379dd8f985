"""Sparse attention maps brought to their exact size, once all of them are known.

While a recording is written, sparse maps have room for every weight, so that each segment has its
place; what is not used are holes, which take no room on the disk. At the end the recording is
written once more, without them, and put in place of the first by renaming. A run that is killed
before leaves the first one, which holds everything and is completed on resuming.
"""

from __future__ import annotations

import os
from dataclasses import replace
from io import FileIO
from pathlib import Path

import numpy as np

from interp.storage import schema
from interp.storage.attention_layout import MapPlaces
from interp.storage.attention_site import TOP_P
from interp.storage.hdf5 import open_recording_file
from interp.storage.image import write_hdf5
from interp.storage.layout import Layout, lay_out, read_layout
from interp.storage.matrix import RawMatrix
from interp.storage.plan import RecordingPlan
from interp.storage.rawio import open_locked, sync, sync_directory
from interp.storage.strings import read_json

_BLOCK_BYTES = 16 * 2**20
_ONE = np.zeros(1, np.int64)


def compact(
    path: Path, plan: RecordingPlan, layout: Layout, fingerprint: str
) -> tuple[FileIO, Layout]:
    """Replace a recording whose segments are all written by its exact copy, marked complete.

    Parameters
    ----------
    path : pathlib.Path
    plan : RecordingPlan
    layout : Layout
        Of the file at `path`.
    fingerprint : str

    Returns
    -------
    file : io.FileIO
        What is now at `path`, locked.
    layout : Layout
        Its layout.

    Raises
    ------
    StorageError
        If the disk is full, or fails; the recording is as it was.
    """
    path = Path(os.path.realpath(path))
    draft = path.with_name(path.name + ".new")
    counts = {
        name: _kept_per_segment(places, layout)
        for name, places in layout.maps.items()
        if places.site.form == TOP_P
    }
    exact = {
        name: _starts(count, layout.segments[layout.maps[name].site.stream])
        for name, count in counts.items()
    }
    with open_recording_file(path) as file:
        # A run that was resumed is told of as it was begun.
        provenance = read_json(file.root, schema.PROVENANCE)
    plan = replace(plan, provenance=provenance)
    stream = FileIO(open_locked(draft, str(path), create=True), "r+b")
    try:
        write_hdf5(stream.fileno(), lambda file: lay_out(file, plan, exact))
        with open_recording_file(draft) as file:
            target = read_layout(stream, file.root)
        _copy(layout, target, counts)
        sync(stream.fileno())
        data = np.array([[fingerprint.encode()]], target.fingerprint.dtype)
        target.fingerprint.write_rows(0, data)
        sync(stream.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        stream.close()
        raise
    sync_directory(path.parent)
    return stream, target


def _kept_per_segment(places: MapPlaces, layout: Layout) -> np.ndarray:
    """Return how many weights each segment keeps, (n_segments,) int64."""
    matrix = layout.columns[places.column(schema.KEPT)]
    heads = np.arange(matrix.shape[1])
    rows = layout.segments[places.site.stream].tolist()
    return np.array([int(matrix.read(start, stop, heads).sum()) for start, stop in rows])


def _starts(counts: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Return where each segment begins when they lie in the order of rows, and the total."""
    order = np.lexsort((segments[:, 1], segments[:, 0]))
    starts = np.zeros(len(counts) + 1, "<i8")
    ends = np.cumsum(counts[order])
    starts[order[1:]] = ends[:-1]
    starts[-1] = ends[-1]
    return starts


def _copy(source: Layout, target: Layout, counts: dict[str, np.ndarray]) -> None:
    """Copy all values, and the progress."""
    sparse: dict[str, str] = {}
    for name in counts:
        places = source.maps[name]
        sparse |= {places.column(part): name for part in (schema.KEY_INDEX, schema.WEIGHTS)}
    for column, matrix in source.columns.items():
        into = target.columns[column]
        if column not in sparse:
            _copy_rows(matrix, into)
            continue
        name = sparse[column]
        here, there = source.maps[name].segment_start, target.maps[name].segment_start
        assert here is not None and there is not None
        for segment, n in enumerate(counts[name].tolist()):
            run = matrix.read(int(here[segment]), int(here[segment]) + n, _ONE)
            into.write_rows(int(there[segment]), run)
    for part in ("checksums", "done", "synced"):
        _copy_rows(getattr(source, part), getattr(target, part))


def _copy_rows(matrix: RawMatrix, into: RawMatrix) -> None:
    n_rows, n_columns = matrix.shape
    columns = np.arange(n_columns)
    per_block = max(1, _BLOCK_BYTES // max(1, n_columns * matrix.dtype.itemsize))
    for start in range(0, n_rows, per_block):
        into.write_rows(start, matrix.read(start, min(n_rows, start + per_block), columns))
