"""What a file holds of one segment, for a writer that takes up where another ended."""

from __future__ import annotations

import numpy as np

from interp.storage.attention_writing import checksum_in_file
from interp.storage.digests import checksum
from interp.storage.layout import Layout, segment_rows
from interp.storage.plan import RecordingPlan


def rows_of(plan: RecordingPlan, layout: Layout, site: str, segment_index: int) -> tuple[int, int]:
    """Return the first and one-past-last row of a site that a segment fills."""
    description = plan.sites[site]
    segment = layout.segments[description.stream][segment_index]
    return segment_rows(description, segment, plan.stream[description.stream].document_start)


def checksums_in_file(plan: RecordingPlan, layout: Layout, segment_index: int) -> np.ndarray:
    """Return the checksums of what the file holds for one segment, in the order of columns."""
    found: list[int] = []
    parts = {
        places.column(part): (places, part)
        for places in layout.maps.values()
        for part in places.parts
    }
    for name, matrix in layout.columns.items():
        if name in plan.sites:
            start, stop = rows_of(plan, layout, name, segment_index)
        elif name in parts:
            places, part = parts[name]
            start, stop = layout.segments[places.site.stream][segment_index].tolist()
            found.append(
                checksum_in_file(places, part, layout.columns, segment_index, (start, stop))
            )
            continue
        else:
            assert plan.predictions is not None
            start, stop = layout.segments[plan.predictions.stream][segment_index].tolist()
        found.append(checksum(matrix.read(start, stop, np.arange(matrix.shape[1]))))
    return np.array(found, "<u4")


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
