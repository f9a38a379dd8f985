"""What every source must do, tried on each of them."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.parts import part_text, split_into_parts
from dashboard.sources import MemorySource, Source, open_sources
from interp.errors import RecordingError
from interp.sites import SiteDescription

TEXTS = [("a.py", "x = 'é'\n"), ("b", ""), ("c.txt", "漢字\U0001f600 no newline")]
N = sum(len(text) for _, text in TEXTS)
RNG = np.random.default_rng(0)
HIDDEN = RNG.standard_normal((N, 5)).astype(np.float16)
GATE = RNG.random((N, 5)).astype(np.float16)
MASK = np.arange(N) % 3 == 0
LOSS = RNG.random(N).astype(np.float32)
IDS = np.tile(np.arange(2), (N, 1))
PROBABILITY = np.tile(np.array([0.75, 0.25], np.float32), (N, 1))
WORDS = ["a", "\n"]
SITES = {"rnn/l0/hidden": HIDDEN, "rnn/l0/update_gate": GATE}


def memory_source(tmp_path) -> MemorySource:
    return MemorySource(
        TEXTS,
        SITES,
        annotations={"third": MASK},
        loss=LOSS,
        predictions=([WORDS] * N, PROBABILITY),
        provenance={"seed": 3},
        name="run",
    )


def recording_source(tmp_path):
    from interp.storage import (
        AnnotationPlan,
        PredictionPlan,
        RecordingPlan,
        RecordingWriter,
        StreamPlan,
    )

    starts = np.concatenate([[0], np.cumsum([len(text) for _, text in TEXTS])])
    stream = StreamPlan(
        "text",
        [name for name, _ in TEXTS],
        starts,
        texts=[text for _, text in TEXTS],
        token_ids=np.zeros(N, np.int64),
        vocabulary=WORDS,
    )
    sites = {
        name: SiteDescription(name, "rnn", name.rpartition("/")[2], 5, "float16") for name in SITES
    }
    plan = RecordingPlan(
        streams=[stream],
        sites=sites,
        predictions=PredictionPlan("text", "next", 2),
        segments=np.array([[0, N]]),
        provenance={"seed": 3},
        schedule={},
        annotations=[AnnotationPlan("third", MASK)],
    )
    path = tmp_path / "run.h5"
    writer = RecordingWriter.create(path, plan)
    for name, values in SITES.items():
        writer.write(name, 0, values)
    writer.write_predictions(0, IDS, PROBABILITY, LOSS)
    writer.commit(1)
    writer.complete()
    writer.close()
    return open_sources([path])[0]


@pytest.fixture(params=[memory_source, recording_source])
def any_source(request, tmp_path):
    source = request.param(tmp_path)
    yield source
    source.close()


def test_it_is_a_source(any_source):
    assert isinstance(any_source, Source)
    assert any_source.name == "run"
    assert len(any_source.fingerprint) == 16
    assert any_source.summary()["is_complete"] is True
    assert any_source.summary()["size_bytes"] > 0
    assert any_source.provenance()["seed"] == 3


def test_sites_and_streams_are_described(any_source):
    assert list(any_source.sites) == list(SITES)
    site = any_source.sites["rnn/l0/update_gate"]
    assert (site.signal, site.group, site.n_units) == ("update_gate", "rnn/l0", 5)
    assert site.is_one_sided and not any_source.sites["rnn/l0/hidden"].is_one_sided
    stream = any_source.streams["text"]
    assert stream.n_positions == N
    assert stream.document_names == [name for name, _ in TEXTS]
    assert stream.has_text and stream.is_per_character


def test_texts_come_back(any_source):
    assert [any_source.text("text", i) for i in range(3)] == [text for _, text in TEXTS]
    assert any_source.spans("text", 0) is None
    whole = part_text(any_source, "text", split_into_parts(any_source.streams["text"])[0])
    assert whole.text == "".join(text for _, text in TEXTS)
    assert whole.documents == [(0, 0, 0), (1, 8, 8), (2, 8, 8)]


def test_values_come_back(any_source):
    for name, values in SITES.items():
        np.testing.assert_array_equal(any_source.window(name, 2, 9), values[2:9])
        np.testing.assert_array_equal(any_source.unit(name, 4, 0, N), values[:, 4])
        assert any_source.unit(name, 0, 5, 5).shape == (0,)


def test_annotations_losses_and_predictions_come_back(any_source):
    assert any_source.annotations["third"].kind == "binary"
    np.testing.assert_array_equal(any_source.annotation("third", 1, 8), MASK[1:8])
    np.testing.assert_allclose(any_source.loss("text", 0, N), LOSS)
    rows = any_source.predictions("text", 3, 5)
    assert rows.tokens == [WORDS, WORDS]
    assert rows.target == "next"
    np.testing.assert_allclose(rows.probability, PROBABILITY[3:5])


def test_a_missing_recording_is_one_clear_message(tmp_path):
    with pytest.raises(RecordingError, match="nothing.h5"):
        open_sources([tmp_path / "nothing.h5"])


def test_tokens_with_spans():
    # "né" as three tokens: n, and the two bytes of é.
    spans = [np.array([[0, 1], [1, 2], [1, 2]])]
    source = MemorySource([("a", "né!")], {"m/output": np.zeros((3, 2))}, spans=spans)
    stream = source.streams["text"]
    assert stream.n_positions == 3 and not stream.is_per_character
    whole = part_text(source, "text", split_into_parts(stream)[0])
    assert whole.text == "né!"
    assert whole.spans.tolist() == [[0, 1], [1, 2], [1, 2]]


def test_wrong_lengths_are_refused():
    with pytest.raises(ValueError, match="2 rows for 3 positions"):
        MemorySource([("a", "abc")], {"m/output": np.zeros((2, 2))})
