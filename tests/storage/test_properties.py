"""Random plans, orders of writing and points of interruption: the arrays are always equal."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.storage import PredictionPlan, RecordingWriter, open_recording
from tests.storage.example import Example, site, small, stream
from tests.storage.maps import Maps, map_site


@st.composite
def examples(draw: st.DrawFn) -> Example:
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))
    n = sum(lengths)
    cuts = draw(st.lists(st.integers(1, max(1, n - 1)), max_size=8))
    edges = sorted({0, n, *(c for c in cuts if c < n)})
    rows = list(zip(edges[:-1], edges[1:], strict=True))
    sites = [
        site(
            f"m{i}/output",
            draw(st.integers(1, 40)),
            draw(st.sampled_from(["float16", "float32", "float64"])),
            per=draw(st.sampled_from(["position", "position", "call"])),
        )
        for i in range(draw(st.integers(1, 3)))
    ]
    maps = []
    if draw(st.booleans(), label="attention"):
        ends = np.cumsum(lengths).tolist()
        edges = sorted({*edges, *ends})
        rows = list(zip(edges[:-1], edges[1:], strict=True))
        for i in range(draw(st.integers(1, 2))):
            form = draw(st.sampled_from(["full", "full", "top-p", "stats"]))
            described = map_site(
                f"m{i}/attention",
                draw(st.integers(1, 3)),
                draw(st.sampled_from(["float16", "float32", "uint8"])),
                draw(st.sampled_from(["causal", "document", "window:3"])),
                form,
                0.9 if form == "top-p" else None,
            )
            maps.append(Maps.random(described, lengths, lengths, i))
    predictions = st.builds(
        PredictionPlan, st.just("text"), st.sampled_from(["next", "same"]), st.integers(1, 3)
    )
    return small(
        streams=[stream(lengths, kind=draw(st.sampled_from(["characters", "words", "numbers"])))],
        sites=sites,
        segments={"text": np.array(draw(st.permutations(rows)))},
        predictions=draw(st.none() | predictions),
        seed=draw(st.integers(0, 99)),
        maps=tuple(maps),
    )


@given(example=examples(), data=st.data())
@settings(max_examples=40)
def test_any_plan_in_any_order_with_any_interruptions(example, data):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "run.h5"
        writer = RecordingWriter.create(path, example.plan())
        for counter in (writer._layout.done, writer._layout.synced):
            assert counter.offsets[0, 0] % 8 == 0  # written whole or not at all
        while writer.done_segments < example.n_segments:
            done = writer.done_segments
            group = data.draw(st.integers(1, example.n_segments - done), label="group")
            order = data.draw(st.permutations(range(done, done + group)), label="order")
            for index in order:
                example.write_segment(writer, index)
            if data.draw(st.booleans(), label="again"):
                example.write_segment(writer, order[0])
            if data.draw(st.booleans(), label="commit"):
                writer.commit(done + data.draw(st.integers(0, group), label="committed"))
            if data.draw(st.booleans(), label="interrupt"):
                done = writer.done_segments
                writer.close()
                writer = RecordingWriter.resume(path, example.plan())
                assert writer.done_segments == done
            elif writer.done_segments == done:
                writer.commit(done + group)
        writer.complete()
        writer.close()
        with open_recording(path) as recording:
            example.check(recording)
            assert recording.verify().ok
