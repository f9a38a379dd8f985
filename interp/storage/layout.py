"""The whole file, laid out before the first value is written, and its places found again.

Everything that is known beforehand (text, tokens, names, provenance) is written here, and room
for everything else is set aside at its final size. The file appears under its own name only when
that is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from typing import Any

import h5py
import numpy as np

import interp
from interp.errors import RecordingError
from interp.sites import SiteDescription
from interp.storage import packed, schema
from interp.storage.annotating import write_annotation
from interp.storage.attention_layout import MapPlaces, lay_out_attention, read_places
from interp.storage.matrix import RawMatrix, raw_matrix
from interp.storage.pictures import write_images
from interp.storage.plan import RecordingPlan
from interp.storage.stream_plan import StreamPlan
from interp.storage.strings import (
    read_attribute,
    read_json,
    read_names,
    write_attribute,
    write_json,
    write_names,
)


def lay_out(
    file: h5py.File, plan: RecordingPlan, exact: Mapping[str, np.ndarray] | None = None
) -> None:
    """Fill an empty HDF5 file with everything of a recording but its values.

    `exact` says how many weights sparse attention sites hold, once that is known; see
    :func:`interp.storage.attention_layout.lay_out_attention`.
    """
    creator = f"interp {getattr(interp, '__version__', 'unreleased')}"
    write_attribute(file, schema.ATTR_FORMAT, schema.FORMAT)
    write_attribute(file, schema.ATTR_VERSION, schema.FORMAT_VERSION)
    write_attribute(file, schema.ATTR_CREATOR, creator)
    write_json(file, schema.PROVENANCE, plan.provenance)
    write_json(file, schema.SCHEDULE, plan.schedule)
    write_json(file, schema.DIGESTS, plan.part_digests())
    write_names(file, schema.STREAM_NAMES, list(plan.stream))
    write_names(file, schema.SITE_NAMES, list(plan.sites))
    pictures: dict[int, h5py.Group] = {}
    for stream in plan.streams:
        group = file.require_group(schema.STREAMS).create_group(stream.name)
        _write_stream(group, stream)
        # Streams of one image at several resolutions hold it once.
        first = pictures.setdefault(id(stream.images), group)
        write_images(group, stream.images, stream.rectangles, first if first != group else None)
    for number, annotation in enumerate(plan.annotations):
        group = file.require_group(schema.ANNOTATIONS)
        n_positions = plan.stream[annotation.stream].n_positions
        write_annotation(group, str(number), annotation, n_positions)
    activations = file.create_group(schema.ACTIVATIONS)
    for name, site in plan.sites.items():
        _reserve_site(activations, name, site, plan.n_rows(site))
    if plan.predictions is not None:
        _reserve_predictions(file.create_group(schema.PREDICTIONS), plan)
    lay_out_attention(file, plan, reserve, exact or {})
    _reserve_progress(file.create_group(schema.PROGRESS), plan)


def _write_stream(group: h5py.Group, stream: StreamPlan) -> None:
    group.create_dataset(schema.DOCUMENT_START, data=stream.document_start)
    packed.write(group, schema.DOCUMENT_NAME, stream.document_names)
    if stream.texts is not None:
        packed.write(group, schema.TEXT, stream.texts)
    if stream.token_ids is not None:
        data = stream.token_ids.astype(stream.token_dtype())
        group.create_dataset(schema.TOKEN_ID, data=data)
    if stream.spans is not None:
        group.create_dataset(schema.SPAN, data=stream.spans.astype("<u4"))
    if stream.vocabulary is not None:
        packed.write(group, schema.VOCABULARY, stream.vocabulary)


def _reserve_site(group: h5py.Group, name: str, site: SiteDescription, n_rows: int) -> None:
    dtype = schema.storage_dtype(site.dtype, name)
    chunk = schema.chunk_shape(n_rows, site.n_units)
    dataset = reserve(group, name, (n_rows, site.n_units), dtype, chunk)
    for attribute in schema.SITE_ATTRIBUTES:
        write_attribute(dataset, attribute, getattr(site, attribute))
    for attribute in schema.OPTIONAL_SITE_ATTRIBUTES:
        value = getattr(site, attribute)
        if value is not None:
            write_attribute(dataset, attribute, value)


def _reserve_predictions(group: h5py.Group, plan: RecordingPlan) -> None:
    predictions = plan.predictions
    assert predictions is not None
    write_attribute(group, schema.ATTR_STREAM, predictions.stream)
    write_attribute(group, schema.ATTR_TARGET, predictions.target)
    n, k = plan.stream[predictions.stream].n_positions, predictions.top_k
    reserve(group, schema.TOP_ID, (n, k), plan.predicted_ids_dtype())
    reserve(group, schema.TOP_PROBABILITY, (n, k), np.dtype("<f2"))
    reserve(group, schema.LOSS, (n,), np.dtype("<f4"))


def _reserve_progress(group: h5py.Group, plan: RecordingPlan) -> None:
    for name, rows in plan.segments.items():
        group.create_dataset(f"{schema.SEGMENTS}/{name}", data=rows)
    reserve(group, schema.CHECKSUMS, (plan.n_segments, plan.n_columns), np.dtype("<u4"))
    group.create_dataset(schema.DONE, data=np.zeros(1, "<i8"))
    group.create_dataset(schema.SYNCED, data=np.zeros(1, "<i8"))
    empty = np.zeros(1, f"S{schema.FINGERPRINT_LENGTH}")
    group.create_dataset(schema.FINGERPRINT, data=empty)


def reserve(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    chunk: tuple[int, ...] | None = None,
) -> h5py.Dataset:
    """Set room aside for a data set: allocated at once, at its final place, and never filled."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_obj_track_times(False)  # the same run made again is the same file
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    if chunk is not None:
        properties.set_chunk(chunk)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    links.set_char_encoding(h5py.h5t.CSET_UTF8)
    space = h5py.h5s.create_simple(shape)
    kind = h5py.h5t.py_create(dtype)
    h5py.h5d.create(group.id, name.encode(), kind, space, properties, links)
    return group[name]


@dataclass
class Layout:
    """Where the changing parts of a recording lie, and what they say at the moment.

    Parameters
    ----------
    columns : dict of str to RawMatrix
        Sites in model order, the parts of the predictions, then those of each attention site:
        what each segment fills.
    segments : dict of str to array, shape (n_segments, 2)
        Rows of each segment by stream.
    checksums, done, synced, fingerprint : RawMatrix
        The progress of the recording.
    digests : dict of str to str
        Hashes of what was fixed beforehand.
    maps : dict of str to MapPlaces
        The attention sites.
    """

    columns: dict[str, RawMatrix]
    segments: dict[str, np.ndarray]
    checksums: RawMatrix
    done: RawMatrix
    synced: RawMatrix
    fingerprint: RawMatrix
    digests: dict[str, str]
    maps: dict[str, MapPlaces]


def read_layout(stream: FileIO, file: h5py.File) -> Layout:
    """Find the places of a recording's changing parts, through its open HDF5 file."""

    def place(dataset: h5py.Dataset) -> RawMatrix:
        matrix = raw_matrix(stream, dataset)
        if matrix is None:
            raise RecordingError(f"{dataset.name} is compressed, so that nothing can be added.")
        return matrix

    activations = file[schema.ACTIVATIONS]
    columns = {name: place(activations[name]) for name in site_names(file)}
    if schema.PREDICTIONS in file:
        for part in (schema.TOP_ID, schema.TOP_PROBABILITY, schema.LOSS):
            name = f"{schema.PREDICTIONS}/{part}"
            columns[name] = place(file[name])
    maps = read_places(file, place)
    for places in maps.values():
        columns |= {places.column(part): place(file[places.column(part)]) for part in places.parts}
    progress = file[schema.PROGRESS]
    return Layout(
        columns=columns,
        segments={name: rows[:] for name, rows in progress[schema.SEGMENTS].items()},
        checksums=place(progress[schema.CHECKSUMS]),
        done=place(progress[schema.DONE]),
        synced=place(progress[schema.SYNCED]),
        fingerprint=place(progress[schema.FINGERPRINT]),
        digests=read_json(file, schema.DIGESTS),
        maps=maps,
    )


def site_names(file: h5py.File) -> list[str]:
    """Return the names of the sites, in model order."""
    return read_names(file, schema.SITE_NAMES)


def stream_names(file: h5py.File) -> list[str]:
    """Return the names of the streams, in the plan's order."""
    return read_names(file, schema.STREAM_NAMES)


def read_site(file: h5py.File, name: str) -> SiteDescription:
    """Return the description of one site."""
    dataset = file[schema.ACTIVATIONS][name]
    values: dict[str, Any] = {key: read_attribute(dataset, key) for key in schema.SITE_ATTRIBUTES}
    for key in schema.OPTIONAL_SITE_ATTRIBUTES:
        if key in dataset.attrs:
            value = read_attribute(dataset, key)
            values[key] = value if isinstance(value, str) else int(value)
    dtype = dataset.dtype.newbyteorder("=").name
    return SiteDescription(name=name, n_units=dataset.shape[1], dtype=dtype, **values)


def segment_rows(
    site: SiteDescription, segment: np.ndarray, document_start: np.ndarray
) -> tuple[int, int]:
    """Return the first and one-past-last row of a site that one segment of its stream fills.

    A site without a position axis has a row per document; it belongs to the segment that holds
    the document's last position.
    """
    start, stop = segment.tolist()
    if site.per == "position":
        return start, stop
    first, last = np.searchsorted(document_start[1:], [start, stop], side="right").tolist()
    return first, last
