"""Plans that contradict themselves, and runs that take up another plan than their own."""

from __future__ import annotations

import hashlib
import tracemalloc

import numpy as np
import pytest

from interp.errors import InterpError, RecordingError, SiteError, StorageError
from interp.storage import (
    PredictionPlan,
    RecordingPlan,
    RecordingWriter,
    StreamPlan,
)
from interp.storage.packed import pack
from tests.storage.example import cut, default_sites, site, small, stream
from tests.storage.refusing import message


def change_stream(**changes: object) -> StreamPlan:
    plan = stream([9, 4, 1, 12])
    given = {
        "name": plan.name,
        "document_names": plan.document_names,
        "document_start": plan.document_start,
        "texts": plan.texts,
        "token_ids": plan.token_ids,
        "vocabulary": plan.vocabulary,
    }
    return StreamPlan(**{**given, **changes})


def test_resuming_something_else_says_what_differs(tmp_path):
    path = tmp_path / "run.h5"
    example = small()
    with RecordingWriter.create(path, example.plan()) as writer:
        example.write_segment(writer, 0)
        writer.commit(1)
    sites = {s.name: s for s in default_sites()}
    fewer = {name: s for name, s in sites.items() if name != "lstm/l0/cell"}
    wider = sites | {"lstm/l0/cell": site("lstm/l0/cell", 5, "float64")}
    new = sites | {"x/output": site("x/output", 5)}
    texts = list(example.streams[0].texts)
    texts[1] = "zzzz"
    names = ["a", *example.streams[0].document_names[1:]]
    cases = [
        ({"provenance": {"model": {"spec": "zoo:x", "weights": "xyz"}}}, "weights was 'abc', now"),
        ({"schedule": {"batch_size": 8, "window": 7}}, "batch_size was 4, now 8"),
        ({"sites": fewer}, "it records lstm/l0/cell, which is not asked for"),
        ({"sites": new}, "x/output is asked for, but not in the recording"),
        ({"sites": wider}, "in lstm/l0/cell: dtype was 'float32', now 'float64'."),
        ({"sites": dict(reversed(sites.items()))}, "another order"),
        ({"segments": cut(26, 6)}, "the segments differ"),
        ({"predictions": PredictionPlan("text", "next", 4)}, "the predictions differ"),
        ({"predictions": None}, "the predictions differ"),
        ({"streams": [stream([9, 4, 13])]}, "4 documents, now there are 3"),
        ({"streams": [stream([9, 5, 1, 11])]}, "had 4 positions, now 5"),
        ({"streams": [change_stream(texts=texts)]}, "the text of document 1"),
        ({"streams": [change_stream(document_names=names)]}, "document 0 was 'dir/doc 0.py'"),
        ({"streams": [change_stream(token_ids=None)]}, "tokens, spans or vocabulary"),
    ]
    for changes, expected in cases:
        plan = example.plan(**changes)
        text = message(RecordingError, lambda plan=plan: RecordingWriter.resume(path, plan))
        assert expected in text, (changes, text)
        assert "cannot be resumed" in text
    later = example.plan(provenance={"model": {"spec": "zoo:x", "weights": "abc"}, "date": 1})
    with RecordingWriter.resume(path, later) as writer:
        assert writer.done_segments == 1
    missing = lambda: RecordingWriter.resume(tmp_path / "no.h5", example.plan())  # noqa: E731
    assert "There is no recording" in message(RecordingError, missing)


def test_plans_that_contradict_themselves():
    text = stream([9, 4, 1, 12])
    sites = {s.name: s for s in default_sites()}
    rows = cut(26, 5)

    def plan(**changes: object) -> RecordingPlan:
        return RecordingPlan(**{"streams": [text], "sites": sites, "segments": rows, **changes})

    def one(**changes: object) -> dict[str, object]:
        description = site(**{"name": "a/output", "n_units": 4, **changes})
        return {"sites": {description.name: description}}

    cases = [
        ({"sites": {}}, "no site"),
        ({"segments": rows[1:]}, "do not cover its 26 positions once each"),
        ({"segments": [*rows, [3, 4]]}, "do not cover"),
        ({"segments": np.zeros((0, 2), int)}, "do not cover"),
        (one(dtype="bfloat16"), "float32 holds each of its values exactly"),
        (one(dtype="int8"), "choose one of float16, float32, float64"),
        (one(stream="audio"), "'audio', which is no stream"),
        (one(n_units=0), "no units"),
        (one(name="a/../b"), "cannot be the name of a site"),
        (one(per="step"), "per 'position' or 'call'"),
        ({"sites": {"a/b": site("a/b", 1), "a/b/c/d": site("a/b/c/d", 1)}}, "cannot be in one"),
        ({"predictions": PredictionPlan("audio", "next", 1)}, "no such stream"),
        ({"streams": [text, text]}, "segments"),
        ({"nonfinite": "drop"}, "'refuse' or 'store'"),
    ]
    for changes, expected in cases:
        assert expected in message(StorageError, lambda changes=changes: plan(**changes))
    empty = stream([3, 0, 2])
    pooled = one(per="call") | {"streams": [empty], "segments": cut(5, 5)}
    assert "a document is empty" in message(StorageError, lambda: plan(**pooled))
    assert "JSON" in message(StorageError, plan(schedule={"x": object()}).part_digests)
    for changes, expected in [
        ({"document_start": [0, 5, 3, 3, 26]}, "must rise"),
        ({"document_start": [0, 0, 0, 0, 0]}, "no positions"),
        ({"token_ids": np.zeros(3, int)}, "3 token ids, expected 26"),
        ({"token_ids": np.full(26, 10)}, "the token id 10, but its vocabulary ends at 9"),
        ({"texts": ["x"] * 4}, "has 1 characters but 9 positions"),
        ({"spans": np.full((26, 2), 99)}, "the span 99-99 of position 0 lies outside"),
        ({"name": "a/b"}, "cannot be the name of a stream"),
    ]:
        assert expected in message(StorageError, lambda changes=changes: change_stream(**changes))
    for wrong in (("text", "previous", 3), ("text", "next", 0)):
        message(StorageError, lambda wrong=wrong: PredictionPlan(*wrong))


def test_defects_of_the_caller_are_told_apart(tmp_path):
    example = small()
    with RecordingWriter.create(tmp_path / "run.h5", example.plan()) as writer:
        with pytest.raises(ValueError, match="has shape"):
            writer.write("lstm/l0/hidden", 0, np.zeros((5, 36)))
        with pytest.raises(ValueError, match="has not been written"):
            writer.commit(1)
        with pytest.raises(ValueError, match="0 of 6 segments"):
            writer.complete()
        message(RecordingError, lambda: writer.write("lstm/l0/hiden", 0, np.zeros((5, 37))))
        example.write_segment(writer, 0)
        writer.commit(1)
        with pytest.raises(ValueError, match="committed"):
            example.write_segment(writer, 0)
    assert issubclass(SiteError, InterpError)


def test_a_large_corpus_is_hashed_without_a_copy_of_it():
    n = 1 << 20
    ids = np.random.default_rng(0).integers(0, 90, n).astype(np.uint8)
    spans = np.stack([np.arange(n), np.arange(1, n + 1)], axis=1).astype(np.int32)
    plan = StreamPlan("text", ["x"], [0, n], token_ids=ids, spans=spans, vocabulary=["a"] * 90)
    tracemalloc.start()
    try:
        found = plan.digest()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
    expected = hashlib.sha256(b"text" + np.array([0, n], "<i8").tobytes())
    for strings in (["x"], None, ["a"] * 90):
        expected.update(b"-" if strings is None else b"+")
        for array in pack(strings) if strings else ():
            expected.update(array.tobytes())
    expected.update(ids.astype("<i8").tobytes() + spans.astype("<i8").tobytes())
    assert found == expected.hexdigest()
