"""What attention adds to a plan: its size, and what no file could follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from interp.errors import StorageError
from interp.storage import schema
from interp.storage.attention_layout import distinct_ranges, parts_of
from interp.storage.attention_site import TOP_P, AttentionPlan

if TYPE_CHECKING:
    from interp.storage.plan import RecordingPlan


def attention_bytes(plan: RecordingPlan) -> int:
    """Return what all attention sites of a plan take in the file.

    Of sparse maps as much as is expected; that is known at the end only.
    """
    owners, numbers = distinct_ranges(plan.attention)
    weights = [plan.ranges_of(owner).n_weights for owner in owners]
    total = sum(owner.key_ranges.nbytes for owner in owners)
    total += sum(owner.key_order.nbytes for owner in owners if owner.key_order is not None)
    for number, item in zip(numbers, plan.attention.values(), strict=True):
        assert item.site.n_heads is not None
        kept = item.site.n_heads * weights[number]
        if item.site.form == TOP_P:
            kept = int(kept * item.expected_share)
        n_rows = plan.stream[item.site.stream].n_positions
        n_keys = _longest(plan, item)
        total += sum(
            int(np.prod(shape)) * dtype.itemsize
            for _, shape, dtype in parts_of(item, n_rows, kept, n_keys)
        )
    return total


def is_sparse(plan: RecordingPlan) -> bool:
    """Whether a plan has maps whose size is known at the end only."""
    return any(item.site.form == TOP_P for item in plan.attention.values())


def check_attention(plan: RecordingPlan, name: str, item: AttentionPlan) -> None:
    """Refuse an attention site that no file of this plan could hold."""
    site = item.site
    schema.check_site_name(name, site.name)
    if name in plan.sites:
        raise StorageError(f"{name!r} cannot be both a matrix and a site of attention.")
    key_stream = site.key_stream or site.stream
    for stream in (site.stream, key_stream):
        if stream not in plan.stream:
            raise StorageError(f"Site {name!r} belongs to {stream!r}, which is no stream.")
    queries, keys = plan.stream[site.stream], plan.stream[key_stream]
    if queries.n_documents != keys.n_documents:
        raise StorageError(
            f"Site {name!r}: its queries are in {queries.n_documents:,} documents, its keys in "
            f"{keys.n_documents:,}."
        )
    if len(item.key_ranges) != queries.n_positions:
        raise StorageError(
            f"Site {name!r} has {len(item.key_ranges):,} key ranges for {queries.n_positions:,} "
            "positions."
        )
    room = np.repeat(np.diff(keys.document_start), np.diff(queries.document_start))
    if np.any(item.key_ranges[:, 1] > room):
        raise StorageError(f"Site {name!r}: a key range ends behind its document.")
    if item.key_order is not None:
        _check_order(name, item.key_order, keys.document_start)
    rows = plan.segments[site.stream]
    start, stop = rows[rows[:, 0] < rows[:, 1]].T
    last = np.searchsorted(queries.document_start, stop - 1, side="right")
    if np.any(np.searchsorted(queries.document_start, start, side="right") != last):
        raise StorageError(f"Site {name!r} is of attention, so a segment is of one document.")


def _check_order(name: str, order: np.ndarray, start: np.ndarray) -> None:
    """Refuse an order that does not name each key of each document once."""
    document = np.repeat(np.arange(len(start) - 1), np.diff(start))
    if len(order) == len(document):
        at = order.astype(np.int64) + start[document]
        within = at < start[document + 1]
        if within.all() and np.array_equal(np.sort(at), np.arange(len(at))):
            return
    raise StorageError(f"Site {name!r}: an order of keys names each of a document once.")


def _longest(plan: RecordingPlan, item: AttentionPlan) -> int:
    stream = plan.stream[item.site.key_stream or item.site.stream]
    return int(np.diff(stream.document_start).max())
