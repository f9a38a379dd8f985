"""Recordings with known contents, for the tests of the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from interp.sites import SiteDescription
from interp.storage import (
    AnnotationPlan,
    PredictionPlan,
    Recording,
    RecordingPlan,
    RecordingWriter,
    StreamPlan,
)
from tests.storage.maps import Maps

ALPHABET = 'abc "é\n\0🙂#'


def site(name: str, n_units: int, dtype: str = "float16", **more: object) -> SiteDescription:
    parts = name.split("/")
    layer = int(parts[1][1:]) if parts[1][1:].isdigit() else None
    direction = None if layer is None else "forward"
    return SiteDescription(
        name, parts[0], parts[-1], n_units, dtype, layer=layer, direction=direction, **more
    )


def stream(
    lengths: list[int], seed: int = 0, name: str = "text", kind: str = "characters"
) -> StreamPlan:
    """Documents of the given lengths: of characters, of words with spans, or of numbers."""
    rng = np.random.default_rng(seed)
    start = np.concatenate([[0], np.cumsum(lengths)])
    names = [f"dir/doc {i}.py" for i in range(len(lengths))]
    ids = rng.integers(0, len(ALPHABET), start[-1])
    if kind == "numbers":
        return StreamPlan(name, names, start)
    if kind == "patches":
        images = [rng.integers(0, 256, (4, 6, 3)[: 2 + i % 2], np.uint8) for i in range(len(names))]
        corners = rng.integers(0, 4, (start[-1], 2))
        rectangles = np.concatenate([corners, corners + rng.integers(0, 3, corners.shape)], 1)
        return StreamPlan(name, names, start, images=images, rectangles=rectangles)
    cuts = list(zip(start[:-1], start[1:], strict=True))
    if kind == "characters":
        texts = ["".join(ALPHABET[i] for i in ids[a:b]) for a, b in cuts]
        return StreamPlan(name, names, start, texts, ids, None, list(ALPHABET))
    words = ["wörd", "if", "\0", "x" * 30]
    ids = ids % len(words)
    texts = [" ".join(words[i] for i in ids[a:b]) for a, b in cuts]
    spans = []
    for a, b in cuts:
        at = 0
        for i in ids[a:b]:
            spans.append((at, at + len(words[i])))
            at += len(words[i]) + 1
    return StreamPlan(name, names, start, texts, ids, np.array(spans).reshape(-1, 2), words)


def default_sites() -> list[SiteDescription]:
    return [
        site("lstm/l0/hidden", 37),
        site("lstm/l0/cell", 5, "float32"),
        site("odd%20name.x/output", 21, "float64"),
        site("pool/output", 3, per="call"),
    ]


@dataclass
class Example:
    """A plan, and the values that go into it."""

    streams: list[StreamPlan]
    sites: list[SiteDescription]
    segments: dict[str, np.ndarray]
    predictions: PredictionPlan | None
    seed: int = 0
    annotations: tuple[AnnotationPlan, ...] = ()
    maps: tuple[Maps, ...] = ()

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        plan = self.plan()
        self.values = {
            s.name: rng.standard_normal((plan.n_rows(s), s.n_units)).astype("f4")
            for s in self.sites
        }
        if self.predictions is not None:
            n, k = plan.stream[self.predictions.stream].n_positions, self.predictions.top_k
            self.top_ids = rng.integers(0, 4, (n, k))
            self.top_probabilities = rng.random((n, k)).astype("f4")
            self.loss = rng.random(n).astype("f4")
            self.loss[-1] = np.nan

    @property
    def n_segments(self) -> int:
        return len(next(iter(self.segments.values())))

    def plan(self, **changes: object) -> RecordingPlan:
        given = {
            "streams": self.streams,
            "sites": {s.name: s for s in self.sites},
            "predictions": self.predictions,
            "segments": self.segments,
            "provenance": {"model": {"spec": "zoo:x", "weights": "abc"}, "seed": self.seed},
            "schedule": {"batch_size": 4, "window": 7},
            "annotations": self.annotations,
            "attention": {maps.site.name: maps.plan for maps in self.maps},
        }
        return RecordingPlan(**{**given, **changes})

    def write_segment(self, writer: RecordingWriter, index: int) -> None:
        for name, values in self.values.items():
            start, stop = writer.rows(name, index)
            writer.write(name, index, values[start:stop])
        if self.predictions is not None:
            start, stop = self.segments[self.predictions.stream][index]
            rows = slice(start, stop)
            writer.write_predictions(
                index, self.top_ids[rows], self.top_probabilities[rows], self.loss[rows]
            )
        for maps in self.maps:
            stream = writer._plan.stream[maps.site.stream]
            start, stop = self.segments[maps.site.stream][index].tolist()
            last = np.searchsorted(stream.document_start, start, side="right") - 1
            document = min(int(last), stream.n_documents - 1)
            begin = int(stream.document_start[document])
            maps.write(writer, index, document, start - begin, stop - begin)

    def finish(self, writer: RecordingWriter, per_commit: int = 1) -> None:
        """Write all that is left, committing after every few segments."""
        for index in range(writer.done_segments, self.n_segments):
            self.write_segment(writer, index)
            if (index + 1) % per_commit == 0:
                writer.commit(index + 1)
        writer.commit(self.n_segments)
        writer.complete()

    def record(self, path: Path, **changes: object) -> Path:
        with RecordingWriter.create(path, self.plan(**changes)) as writer:
            self.finish(writer)
        return path

    def check(self, recording: Recording) -> None:
        """Assert that a complete recording holds exactly what was written."""
        assert recording.is_complete
        assert list(recording.sites) == [s.name for s in self.sites]
        for s in self.sites:
            expected = self.values[s.name].astype(s.dtype)
            np.testing.assert_array_equal(recording[s.name][:], expected, strict=True)
        if self.predictions is not None:
            found = recording.predictions
            assert found is not None
            np.testing.assert_array_equal(found.top_ids[:], self.top_ids)
            np.testing.assert_array_equal(
                found.top_probabilities[:], self.top_probabilities.astype("f2")
            )
            np.testing.assert_array_equal(found.loss[:], self.loss)
        assert list(recording.attention_sites) == [maps.site.name for maps in self.maps]
        for maps in self.maps:
            self._check_maps(recording, maps)

    @staticmethod
    def _check_maps(recording: Recording, maps: Maps) -> None:
        name = maps.site.name
        assert recording.attention_sites[name] == maps.site
        start = recording.streams[maps.site.stream].document_start
        for document, weights in enumerate(maps.weights):
            if maps.site.form != "stats":
                found = recording.attention(name, document)
                np.testing.assert_array_equal(found, maps.expected(document), strict=True)
            rows = slice(start[document], start[document + 1])
            for what, values in maps.statistics(document, 0, weights.shape[1]).items():
                found = recording.attention_statistics(name)[what][rows]
                np.testing.assert_array_equal(found, values, strict=True)


def cut(n_positions: int, size: int, shuffle: bool = False) -> np.ndarray:
    """Segments of `size` rows, in order or not."""
    edges = [*range(0, n_positions, size), n_positions]
    rows = np.array(list(zip(edges[:-1], edges[1:], strict=True)))
    return rows[np.random.default_rng(1).permutation(len(rows))] if shuffle else rows


def by_document(lengths: list[int], size: int, shuffle: bool = False) -> np.ndarray:
    """Segments of at most `size` rows, each in one document."""
    edges = np.concatenate([[0], np.cumsum(lengths)]).tolist()
    rows = [
        (start, min(start + size, stop))
        for begin, stop in zip(edges[:-1], edges[1:], strict=True)
        for start in range(begin, stop, size)
    ]
    found = np.array(rows)
    return found[np.random.default_rng(1).permutation(len(found))] if shuffle else found


def small(lengths: tuple[int, ...] = (9, 4, 1, 12), size: int = 5, **more: object) -> Example:
    """A small recording with sites of all types, predictions and a site without positions."""
    given = {
        "streams": [stream(list(lengths))],
        "sites": default_sites(),
        "segments": {"text": cut(sum(lengths), size)},
        "predictions": PredictionPlan("text", "next", 3),
    }
    return Example(**{**given, **more})
