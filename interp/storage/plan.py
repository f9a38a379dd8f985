"""What a recording will hold, said in full before the first value is written.

The file is laid out once from a plan and never grows, which is what makes a killed run harmless;
the same plan, made again, is what a resumed run is checked against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from interp.errors import StorageError
from interp.sites import SiteDescription
from interp.storage import digests, schema
from interp.storage.annotating import AnnotationPlan
from interp.storage.attention_layout import parts_of
from interp.storage.attention_plan import attention_bytes, check_attention
from interp.storage.attention_site import AttentionPlan
from interp.storage.key_ranges import KeyRanges
from interp.storage.prediction_plan import PredictionPlan
from interp.storage.stream_plan import StreamPlan


@dataclass(frozen=True, eq=False)
class RecordingPlan:
    """Everything a recording will hold but the values themselves.

    Parameters
    ----------
    streams : sequence of StreamPlan
    sites : mapping of str to SiteDescription
        In model order; `dtype` is the storage type, one of float16, float32, float64.
    predictions : PredictionPlan, optional
    segments : array of int, shape (n_segments, 2), or mapping of stream name to such arrays
        Rows [start, stop) of each segment, in the order of writing. Together they cover every
        position of a stream exactly once. With several streams each has an array of equal length,
        in which a segment may be empty.
    provenance : dict
        Where the values come from, as JSON. The entry ``"model"`` must not change on resuming.
    schedule : dict
        How the segments came about, as JSON. Must not change on resuming.
    annotations : sequence of AnnotationPlan
        What is known about the positions beforehand.
    nonfinite : {"refuse", "store"}
        What to do with NaN and infinities that the model itself produced.
    attention : mapping of str to AttentionPlan
        Attention sites, in model order. Each segment of their streams must lie in one document.
    """

    streams: Sequence[StreamPlan]
    sites: Mapping[str, SiteDescription]
    predictions: PredictionPlan | None = None
    segments: Any = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=dict)
    annotations: Sequence[AnnotationPlan] = ()
    nonfinite: str = "refuse"
    attention: Mapping[str, AttentionPlan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", self._segments_by_stream())
        self._check()

    @cached_property
    def stream(self) -> dict[str, StreamPlan]:
        """The streams by name."""
        return {stream.name: stream for stream in self.streams}

    @property
    def n_segments(self) -> int:
        """Number of segments, the same for every stream."""
        return len(next(iter(self.segments.values())))

    def n_rows(self, site: SiteDescription) -> int:
        """Return the rows of a site: positions, or documents when it has no position axis."""
        stream = self.stream[site.stream]
        return stream.n_positions if site.per == "position" else stream.n_documents

    def positions_before(self, segment_index: int) -> int:
        """Return the positions, of all streams, of the segments before one."""
        firsts = (rows[:segment_index] for rows in self.segments.values())
        return sum(int(np.diff(rows, axis=1).sum()) for rows in firsts)

    @cached_property
    def n_columns(self) -> int:
        """Number of things that each segment fills: one checksum each."""
        maps = sum(len(list(parts_of(item, 1, 1, 1))) for item in self.attention.values())
        return len(self.sites) + (3 if self.predictions is not None else 0) + maps

    def ranges_of(self, item: AttentionPlan) -> KeyRanges:
        """Return the key ranges of an attention site, with its documents."""
        return KeyRanges.of(item.key_ranges, self.stream[item.site.stream].document_start)

    def predicted_ids_dtype(self) -> np.dtype:
        """Return the type of the stored ids of predictions."""
        assert self.predictions is not None
        vocabulary = self.stream[self.predictions.stream].vocabulary
        if not vocabulary:
            return np.dtype("<u4")
        # Models are often built with some more outputs than there are words.
        return schema.index_dtype(len(vocabulary) + 1024)

    @cached_property
    def n_bytes(self) -> int:
        """Size of the file, to within some padding and the file's own bookkeeping."""
        total = 0
        for name, site in self.sites.items():
            rows, units = schema.chunk_shape(self.n_rows(site), site.n_units)
            cells = -(-self.n_rows(site) // rows) * rows * -(-site.n_units // units) * units
            total += cells * schema.storage_dtype(site.dtype, name).itemsize
        for stream in self.streams:
            total += sum(len(text.encode("utf-8", "replace")) for text in stream.texts or ())
            total += 0 if stream.token_ids is None else len(stream.token_ids) * 4
            total += 0 if stream.spans is None else len(stream.spans) * 8
            total += 0 if stream.rectangles is None else len(stream.rectangles) * 16
            total += stream.n_documents * 48
        pictures = {id(s.images): s.images for s in self.streams if s.images is not None}
        total += sum(image.size for images in pictures.values() for image in images)
        if self.predictions is not None:
            row = self.predictions.top_k * (self.predicted_ids_dtype().itemsize + 2) + 4
            total += self.stream[self.predictions.stream].n_positions * row
        total += attention_bytes(self)
        return total + self.n_segments * (16 + 4 * self.n_columns) + 65536

    def part_digests(self) -> dict[str, str]:
        """Return hashes of all parts; all but the provenance must stay the same on resuming."""
        parts = {f"stream {stream.name}": stream.digest() for stream in self.streams}
        parts["annotations"] = digests.of_json([plan.digest() for plan in self.annotations])
        parts["sites"] = digests.of_sites(self.sites.values())
        asked = self.predictions
        parts["predictions"] = digests.of_json(asked and [asked.stream, asked.target, asked.top_k])
        if self.attention:
            parts["attention"] = digests.of_attention(self.attention.values())
        parts["segments"] = digests.of_segments(self.segments)
        parts["schedule"] = digests.of_json(dict(self.schedule))
        parts["model"] = digests.of_json(self.provenance.get("model"))
        parts["provenance"] = digests.of_json(dict(self.provenance))
        return parts

    def _segments_by_stream(self) -> dict[str, np.ndarray]:
        given = self.segments
        if given is None:
            given = {s.name: [[0, s.n_positions]] for s in self.streams}
        elif not isinstance(given, Mapping):
            if len(self.streams) != 1:
                raise StorageError("With several streams, segments are given for each by name.")
            given = {self.streams[0].name: given}
        return {name: np.asarray(rows, "<i8").reshape(-1, 2) for name, rows in given.items()}

    def _check(self) -> None:
        """Refuse a plan that no file could follow."""
        if not self.sites and not self.attention:
            raise StorageError("There is no site to record.")
        if len(self.stream) != len(self.streams) or set(self.stream) != set(self.segments):
            raise StorageError("Every stream needs a name of its own, and segments.")
        if len({len(rows) for rows in self.segments.values()}) != 1:
            raise StorageError("All streams are written in the same number of segments.")
        for name, rows in self.segments.items():
            _check_cover(name, rows, self.stream[name].n_positions)
        for name, site in self.sites.items():
            self._check_site(name, site)
        for name, item in self.attention.items():
            check_attention(self, name, item)
        if self.predictions is not None and self.predictions.stream not in self.stream:
            raise StorageError(
                f"Predictions are about {self.predictions.stream!r}: no such stream."
            )
        self._check_annotations()
        if self.nonfinite not in ("refuse", "store"):
            raise StorageError(f"nonfinite is 'refuse' or 'store', not {self.nonfinite!r}.")

    def _check_annotations(self) -> None:
        names = [plan.name for plan in self.annotations]
        for plan in self.annotations:
            if plan.stream not in self.stream:
                raise StorageError(f"Annotation {plan.name!r}: there is no stream {plan.stream!r}.")
            if names.count(plan.name) > 1:
                raise StorageError(f"There are two annotations named {plan.name!r}.")

    def _check_site(self, name: str, site: SiteDescription) -> None:
        schema.storage_dtype(site.dtype, name)
        schema.check_site_name(name, site.name)
        if site.stream not in self.stream:
            raise StorageError(f"Site {name!r} belongs to {site.stream!r}, which is no stream.")
        if site.n_units < 1:
            raise StorageError(f"Site {name!r} has no units.")
        parents = [name.rsplit("/", i)[0] for i in range(1, name.count("/") + 1)]
        if taken := [parent for parent in parents if parent in self.sites]:
            raise StorageError(f"Sites {taken[0]!r} and {name!r} cannot be in one file.")
        if site.per not in ("position", "call"):
            raise StorageError(f"Site {name!r} is per 'position' or 'call', not {site.per!r}.")
        if site.per == "call" and np.any(np.diff(self.stream[site.stream].document_start) == 0):
            raise StorageError(f"Site {name!r} is per document, but a document is empty.")


def _check_cover(name: str, rows: np.ndarray, n_positions: int) -> None:
    """Refuse segments that miss a position of the stream or hold one twice."""
    filled = rows[rows[:, 0] != rows[:, 1]]
    ordered = filled[np.argsort(filled[:, 0], kind="stable")]
    edges = np.concatenate([[0], ordered[:, 1]])
    if len(filled) == 0 or np.any(edges[:-1] != ordered[:, 0]) or edges[-1] != n_positions:
        raise StorageError(
            f"The segments of stream {name!r} do not cover its {n_positions:,} positions once each."
        )
