"""Attention maps in a file: room set aside for them, and their places found again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from interp.storage import schema
from interp.storage.attention_site import FULL, STATISTICS, TOP_P, AttentionPlan, AttentionSite
from interp.storage.key_ranges import KeyRanges
from interp.storage.matrix import Matrix
from interp.storage.offsets import read_starts
from interp.storage.strings import read_attribute, read_names, write_attribute, write_names

if TYPE_CHECKING:
    from interp.storage.plan import RecordingPlan

Shape = tuple[int, ...]
Reserve = Callable[..., h5py.Dataset]


def distinct_ranges(plans: Mapping[str, AttentionPlan]) -> tuple[list[AttentionPlan], list[int]]:
    """Return one plan for each different table of key ranges, and the table of each plan.

    All layers of a model mostly share one table.
    """
    owners: list[AttentionPlan] = []
    numbers = []
    for plan in plans.values():
        same = [number for number, owner in enumerate(owners) if _share(owner, plan)]
        numbers.append(same[0] if same else len(owners))
        if not same:
            owners.append(plan)
    return owners, numbers


def _share(one: AttentionPlan, other: AttentionPlan) -> bool:
    if one.site.stream != other.site.stream:
        return False
    return all(
        mine is yours or (mine is not None and yours is not None and np.array_equal(mine, yours))
        for mine, yours in (
            (one.key_ranges, other.key_ranges),
            (one.key_order, other.key_order),
        )
    )


def parts_of(
    plan: AttentionPlan, n_rows: int, n_weights: int, n_keys: int
) -> Iterator[tuple[str, Shape, np.dtype]]:
    """Yield name, shape and type of each data set that segments fill, in order.

    Parameters
    ----------
    plan : AttentionPlan
    n_rows : int
        Queries of all documents.
    n_weights : int
        Room for the weights of all heads.
    n_keys : int
        Keys of the longest document.
    """
    site = plan.site
    assert site.n_heads is not None
    per_row = n_rows, site.n_heads
    weights = np.dtype(site.dtype).newbyteorder("<")
    if site.form == FULL:
        yield schema.WEIGHTS, (n_weights,), weights
    elif site.form == TOP_P:
        yield schema.KEPT, per_row, np.dtype("<u4")
        yield schema.KEPT_MASS, per_row, np.dtype("<f4")
        yield schema.KEY_INDEX, (n_weights,), schema.index_dtype(max(n_keys, 256))
        yield schema.WEIGHTS, (n_weights,), weights
    for name in plan.statistics:
        yield name, per_row, np.dtype("<f4")


def part_names(group: h5py.Group) -> list[str]:
    """Return the names of the data sets that segments fill, in the order of `parts_of`."""
    order = (schema.KEPT, schema.KEPT_MASS, schema.KEY_INDEX, schema.WEIGHTS, *STATISTICS)
    return [name for name in order if name in group]


def site_attributes(site: AttentionSite, number: int) -> dict[str, Any]:
    """Return the attributes of an attention site's group."""
    names = (*schema.SITE_ATTRIBUTES, *schema.OPTIONAL_SITE_ATTRIBUTES)
    found = {name: getattr(site, name) for name in names if name != "per"}
    found |= {
        schema.ATTR_FORM: site.form,
        schema.ATTR_MASS: site.mass,
        schema.ATTR_KEYS: site.keys,
        schema.ATTR_KEY_RANGES: number,
        schema.ATTR_DTYPE: site.dtype,
        schema.ATTR_MAX_ERROR: site.max_error,
    }
    return {name: value for name, value in found.items() if value is not None}


def read_attention_site(group: h5py.Group, name: str) -> AttentionSite:
    """Return the description of an attention site from its group."""
    values: dict[str, Any] = {}
    for key in group.attrs:
        if key in (schema.ATTR_KEY_RANGES, schema.ATTR_MAX_ERROR):
            continue
        value = read_attribute(group, key)
        values[key] = value if isinstance(value, str) else value.item()
    return AttentionSite(name=name, n_units=values["n_heads"], per="position", **values)


def lay_out_attention(
    file: h5py.File, plan: RecordingPlan, reserve: Reserve, exact: Mapping[str, np.ndarray]
) -> None:
    """Write what is known of all attention sites, and set room aside for their values.

    Parameters
    ----------
    file : h5py.File
    plan : RecordingPlan
    reserve : callable
        ``reserve(group, name, shape, dtype, chunk=None)`` sets room aside.
    exact : mapping of str to array of int64, shape (n_segments + 1,)
        For ``"top-p"`` sites of which it is known: where the kept weights of each segment begin,
        and their number. Room for all weights is left for the others.
    """
    if not plan.attention:
        return
    names = list(plan.attention)
    write_names(file, schema.ATTENTION_NAMES, names)
    owners, numbers = distinct_ranges(plan.attention)
    tables = [plan.ranges_of(owner) for owner in owners]
    group = file.create_group(schema.KEY_RANGES)
    for number, (owner, table) in enumerate(zip(owners, tables, strict=True)):
        group.create_dataset(str(number), data=owner.key_ranges)
        group.create_dataset(f"{number}{schema.START_SUFFIX}", data=table.weight_start)
        if owner.key_order is not None:
            group.create_dataset(f"{number}{schema.ORDER_SUFFIX}", data=owner.key_order)
    maps = file.create_group(schema.ATTENTION)
    for number, (name, item) in zip(numbers, plan.attention.items(), strict=True):
        site, ranges = item.site, tables[number]
        assert site.n_heads is not None
        place = maps.create_group(name)
        for attribute, value in site_attributes(site, number).items():
            write_attribute(place, attribute, value)
        n_rows = plan.stream[site.stream].n_positions
        n_keys = int(np.diff(plan.stream[site.key_stream or site.stream].document_start).max())
        starts = exact.get(name)
        if starts is None:
            starts = worst_starts(ranges, plan.segments[site.stream], site.n_heads)
        n_weights = max(1, int(starts[-1]))
        for part, shape, dtype in parts_of(item, n_rows, n_weights, n_keys):
            chunk = schema.chunk_shape(*shape) if len(shape) == 2 else None
            reserve(place, part, shape, dtype, chunk)
        if site.form == TOP_P:
            place.create_dataset(schema.SEGMENT_START, data=starts)


def read_places(
    file: h5py.File, open_part: Callable[[h5py.Dataset], Matrix]
) -> dict[str, MapPlaces]:
    """Find the attention sites of an open file, in model order."""
    if schema.ATTENTION_NAMES not in file:
        return {}
    found = {}
    tables: dict[int, KeyRanges] = {}
    for name in read_names(file, schema.ATTENTION_NAMES):
        group = file[schema.ATTENTION][name]
        site = read_attention_site(group, name)
        number = int(group.attrs[schema.ATTR_KEY_RANGES])
        if number not in tables:
            tables[number] = _read_ranges(file, site, number, open_part)
        places = MapPlaces(site, tables[number], part_names(group))
        ordered = f"{number}{schema.ORDER_SUFFIX}"
        if ordered in file[schema.KEY_RANGES]:
            places.order = file[schema.KEY_RANGES][ordered]
            _check_order(file, site, places.order)
        if site.form == TOP_P:
            places.segment_start = starts = group[schema.SEGMENT_START][:]
            if np.any((starts < 0) | (starts > len(group[schema.WEIGHTS]))):
                raise ValueError(f"segments of {name} begin outside its weights")
        found[name] = places
    return found


def _read_ranges(
    file: h5py.File,
    site: AttentionSite,
    number: int,
    open_part: Callable[[h5py.Dataset], Matrix],
) -> KeyRanges:
    """Find one table of key ranges."""
    streams, tables = file[schema.STREAMS], file[schema.KEY_RANGES]
    start = read_starts(streams[site.stream], schema.DOCUMENT_START)
    key_start = read_starts(
        streams[site.key_stream or site.stream], schema.DOCUMENT_START, len(start) - 1
    )
    before = read_starts(tables, f"{number}{schema.START_SUFFIX}", len(start) - 1)
    matrix = open_part(tables[str(number)])
    if matrix.shape != (start[-1], 2):
        raise ValueError(f"key ranges {number} are not those of stream {site.stream!r}")
    return KeyRanges.stored(matrix, start, before, int(np.diff(key_start).max()))


def _check_order(file: h5py.File, site: AttentionSite, order: h5py.Dataset) -> None:
    """Refuse an order that does not name each key of each document once."""
    stream = file[schema.STREAMS][site.key_stream or site.stream]
    start = read_starts(stream, schema.DOCUMENT_START)
    first = np.repeat(start[:-1], np.diff(start))
    # Sorted by document and key, the keys of all documents are the rows of their stream.
    if len(order) != start[-1] or np.any(np.sort(order[:] + first) != np.arange(start[-1])):
        raise ValueError(f"the order of the keys of {site.name} is none")


def read_plans(file: h5py.File) -> dict[str, AttentionPlan]:
    """Return the plan of each attention site of an open file."""
    found = {}
    for name in read_names(file, schema.ATTENTION_NAMES):
        group = file[schema.ATTENTION][name]
        tables, number = file[schema.KEY_RANGES], str(group.attrs[schema.ATTR_KEY_RANGES])
        ordered = number + schema.ORDER_SUFFIX
        found[name] = AttentionPlan(
            read_attention_site(group, name),
            tables[number][:],
            [part for part in STATISTICS if part in group],
            key_order=tables[ordered][:] if ordered in tables else None,
        )
    return found


@dataclass
class MapPlaces:
    """Where the values of one attention site lie.

    Attributes
    ----------
    site : AttentionSite
    ranges : KeyRanges
    parts : list of str
        Names of its data sets that segments fill, in order.
    segment_start : array of int64, shape (n_segments + 1,), or None
        For ``"top-p"``: where the kept weights of each segment begin, and the room for all.
    order : h5py.Dataset or None
        The order of the keys whose places `ranges` count; None: as they stand.
    """

    site: AttentionSite
    ranges: KeyRanges
    parts: list[str]
    segment_start: np.ndarray | None = None
    order: h5py.Dataset | None = None

    def column(self, part: str) -> str:
        """Return the name of a part among all that segments fill."""
        return f"{schema.ATTENTION}/{self.site.name}/{part}"


def worst_starts(ranges: KeyRanges, segments: np.ndarray, n_heads: int) -> np.ndarray:
    """Return where each segment's weights begin when room is left for all, and their number."""
    starts = np.zeros(len(segments) + 1, "<i8")
    starts[-1] = n_heads * ranges.n_weights
    for i, (start, stop) in enumerate(segments.tolist()):
        if start < stop:
            document = ranges.document_of(start)
            before = ranges.n_of(int(ranges.document_start[document]), start)
            starts[i] = n_heads * (int(ranges.weight_start[document]) + before)
    return starts
