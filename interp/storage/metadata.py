"""What a recording says of itself: read, and checked against itself, once when it is opened.

HDF5 has checksums for its own structures only. The numbers that say where things begin are data
like any other to it, and a flipped bit in one of them would read values of another document, or
ask for more memory than there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from typing import Any

import h5py
import numpy as np

from interp.sites import SiteDescription
from interp.storage import schema
from interp.storage.attention_layout import MapPlaces, read_places
from interp.storage.layout import read_site, site_names, stream_names
from interp.storage.matrix import open_matrix
from interp.storage.streams import Stream
from interp.storage.strings import read_json


@dataclass(frozen=True, eq=False)
class Metadata:
    """All of a recording but its values.

    Attributes
    ----------
    sites : dict of str to SiteDescription
        In model order.
    streams : dict of str to Stream
        In the plan's order.
    maps : dict of str to MapPlaces
        The attention sites, in model order.
    provenance, schedule : dict
    fingerprint : str
        64 digits, or none while the recording is incomplete.
    n_segments, done_segments : int
    missing : dict of str to array of bool, shape (n_positions,)
        By stream, the positions that an incomplete recording does not hold.
    """

    sites: Mapping[str, SiteDescription]
    streams: Mapping[str, Stream]
    maps: Mapping[str, MapPlaces]
    provenance: dict[str, Any]
    schedule: dict[str, Any]
    fingerprint: str
    n_segments: int
    done_segments: int
    missing: dict[str, np.ndarray]


def read_metadata(file: h5py.File, stream: FileIO) -> Metadata:
    """Read everything that a recording says of itself.

    Parameters
    ----------
    file : h5py.File
    stream : io.FileIO
        The same file, for positioned reads.

    Raises
    ------
    ValueError, KeyError
        If it contradicts itself; see :func:`interp.storage.hdf5.reading`.
    """
    sites = {name: read_site(file, name) for name in site_names(file)}
    groups = file[schema.STREAMS]
    streams = {name: Stream(groups[name], name, stream) for name in stream_names(file)}
    maps = read_places(file, lambda dataset: open_matrix(stream, dataset))
    for name, site in sites.items():
        _check_rows(name, site, streams, file[schema.ACTIVATIONS][name].shape[0])
    progress = file[schema.PROGRESS]
    n_segments = len(progress[schema.CHECKSUMS])
    done = int(progress[schema.DONE][0])
    if not 0 <= done <= n_segments:
        raise ValueError(f"{done:,} of {n_segments:,} segments cannot be done")
    fingerprint = progress[schema.FINGERPRINT][0].decode("ascii", "replace")
    complete = len(fingerprint) == schema.FINGERPRINT_LENGTH
    return Metadata(
        sites,
        streams,
        maps,
        read_json(file, schema.PROVENANCE),
        read_json(file, schema.SCHEDULE),
        fingerprint,
        n_segments,
        done,
        {} if complete else _missing(file, streams, done),
    )


def read_segments(file: h5py.File, stream: Stream) -> np.ndarray:
    """Return the rows of each segment of a stream, shape (n_segments, 2).

    Raises
    ------
    ValueError
        If they lie outside the stream.
    """
    rows = file[schema.PROGRESS][schema.SEGMENTS][stream.name][:]
    first, stop = rows[:, 0], rows[:, 1]
    if np.any((first < 0) | (first > stop) | (stop > stream.n_positions)):
        raise ValueError(f"segments of stream {stream.name!r} lie outside it")
    return rows


def _missing(
    file: h5py.File, streams: Mapping[str, Stream], done_segments: int
) -> dict[str, np.ndarray]:
    """Return, by stream, which positions no segment has filled."""
    found = {}
    for name, stream in streams.items():
        found[name] = np.zeros(stream.n_positions, bool)
        for start, stop in read_segments(file, stream)[done_segments:].tolist():
            found[name][start:stop] = True
    return found


def _check_rows(
    name: str, site: SiteDescription, streams: Mapping[str, Stream], n_rows: int
) -> None:
    """Refuse a site whose rows are not those of its stream."""
    stream = streams[site.stream]
    expected = stream.n_positions if site.per == "position" else stream.n_documents
    if n_rows != expected:
        raise ValueError(f"{name} has {n_rows:,} rows, but stream {stream.name!r} has {expected:,}")
