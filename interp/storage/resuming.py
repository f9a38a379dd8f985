"""What a file holds of one segment, for a writer that takes up where another ended."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from interp.storage.attention_layout import MapPlaces
from interp.storage.attention_writing import in_file, is_full, of_heads
from interp.storage.digests import checksum
from interp.storage.layout import Layout, segment_rows
from interp.storage.plan import RecordingPlan


def rows_of(plan: RecordingPlan, layout: Layout, site: str, segment_index: int) -> tuple[int, int]:
    """Return the first and one-past-last row of a site that a segment fills."""
    description = plan.sites[site]
    segment = layout.segments[description.stream][segment_index]
    return segment_rows(description, segment, plan.stream[description.stream].document_start)


def values_in_file(
    plan: RecordingPlan, layout: Layout, column: str, segment_index: int
) -> list[np.ndarray]:
    """Return what the file holds of one column in one segment, (n, n_columns) each.

    Full attention maps come as one run of weights per head; anything else is one array.
    """
    return _values(plan, layout, _map_parts(layout), column, segment_index)


def _values(
    plan: RecordingPlan,
    layout: Layout,
    parts: Mapping[str, tuple[MapPlaces, str]],
    column: str,
    segment_index: int,
) -> list[np.ndarray]:
    matrix = layout.columns[column]
    if column in plan.sites:
        start, stop = rows_of(plan, layout, column, segment_index)
    elif column in parts:
        places, part = parts[column]
        start, stop = layout.segments[places.site.stream][segment_index].tolist()
        return in_file(places, part, layout.columns, segment_index, (start, stop))
    else:
        assert plan.predictions is not None
        start, stop = layout.segments[plan.predictions.stream][segment_index].tolist()
    return [matrix.read(start, stop, np.arange(matrix.shape[1]))]


def checksums_in_file(plan: RecordingPlan, layout: Layout, segment_index: int) -> np.ndarray:
    """Return the checksums of what the file holds for one segment, in the order of columns."""
    parts, found = _map_parts(layout), []
    for name in layout.columns:
        sums = [checksum(run) for run in _values(plan, layout, parts, name, segment_index)]
        found.append(of_heads(sums) if name in parts and is_full(*parts[name]) else sums[0])
    return np.array(found, "<u4")


def _map_parts(layout: Layout) -> dict[str, tuple[MapPlaces, str]]:
    """Return the attention site and its part that each column of maps belongs to."""
    return {
        places.column(part): (places, part)
        for places in layout.maps.values()
        for part in places.parts
    }


def committed_checksums(plan: RecordingPlan, layout: Layout) -> np.ndarray:
    """Return the checksums of the segments that an earlier writer committed, (n, n_columns).

    What a power cut may have lost lies after the last sync; it is compared with its checksums, and
    the first segment that differs is the first one to be written again.
    """
    first = np.array([0])
    done = int(layout.done.read(0, 1, first)[0, 0])
    good = int(layout.synced.read(0, 1, first)[0, 0])
    stored = layout.checksums.read(0, done, np.arange(len(layout.columns)))
    while good < done and np.array_equal(checksums_in_file(plan, layout, good), stored[good]):
        good += 1
    return stored[:good]
