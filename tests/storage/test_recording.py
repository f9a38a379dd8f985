"""What is written is what is read: by row, by unit, by document, by NumPy's own rules."""

from __future__ import annotations

import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import interp
from interp.errors import SelectionError, SiteError
from interp.storage import AnnotationPlan, RecordingWriter, open_recording
from tests.storage.example import Example, cut, default_sites, site, small, stream


@pytest.fixture(scope="module")
def example() -> Example:
    return small((700, 3, 900, 40), 111)


@pytest.fixture(scope="module")
def path(example: Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.record(tmp_path_factory.mktemp("recording") / "run.h5")


@pytest.fixture(scope="module")
def recording(path: Path):
    with interp.open(path) as opened:
        yield opened


def test_values_come_back(example, recording):
    example.check(recording)
    assert recording.verify().ok


def test_hdf5_alone_reads_the_same(example, path):
    with h5py.File(path) as file:
        for s in example.sites:
            expected = example.values[s.name].astype(s.dtype)
            np.testing.assert_array_equal(file["activations"][s.name][:], expected)


def test_sites_in_model_order_with_their_descriptions(example, recording):
    assert list(recording.sites.values()) == example.sites
    assert recording.sites["pool/output"].per == "call"
    assert recording["pool/output"].shape == (4, 3)
    assert "pool/output" in recording
    with pytest.raises(SiteError, match="lstm/l0/cel'; nearest: lstm/l0/cell"):
        recording["lstm/l0/cel"]


_index = st.one_of(
    st.integers(-60, 59),
    st.slices(60),
    st.lists(st.integers(-60, 59), max_size=9).map(np.array),
    st.lists(st.booleans(), min_size=60, max_size=60).map(np.array),
)
_unit_index = st.one_of(
    st.integers(-19, 18), st.slices(19), st.lists(st.integers(-19, 18), max_size=5)
)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    example = small((60,), 7, sites=[site("a/output", 19)], predictions=None)
    with open_recording(example.record(tmp_path_factory.mktemp("index") / "run.h5")) as recording:
        yield recording["a/output"], example.values["a/output"].astype("f2")


@given(rows=_index, units=_unit_index, dots=st.booleans())
def test_indexing_is_numpys(indexed, rows, units, dots):
    lazy, array = indexed
    keys = [(rows, units), rows, (slice(None), units)] + ([(rows, ...), (..., units)] * dots)
    for key in keys:
        try:
            expected = array[key]
        except IndexError:
            with pytest.raises(IndexError):
                lazy[key]
            continue
        found = lazy[key]
        assert np.shape(found) == expected.shape
        assert type(found) is type(expected)
        np.testing.assert_array_equal(found, expected)


def test_more_of_indexing(indexed):
    lazy, array = indexed
    rows, units = np.ix_([5, 1, 59], [3, 0])
    np.testing.assert_array_equal(lazy[rows, units], array[rows, units])
    np.testing.assert_array_equal(lazy[[[1, 2], [3, 4]]], array[[[1, 2], [3, 4]]])
    np.testing.assert_array_equal(np.stack(list(lazy)), array)
    np.testing.assert_array_equal(np.concatenate(list(lazy.blocks(7))), array)
    np.testing.assert_array_equal(np.asarray(lazy, dtype="f8"), array.astype("f8"))
    assert (lazy.ndim, lazy.size, lazy.nbytes, len(lazy)) == (2, 60 * 19, 60 * 19 * 2, 60)
    assert "60 × 19, float16" in repr(lazy)
    for wrong in (60, -61, (0, 19), np.ones(59, bool), 1.5, "a", (0, 0, 0), (None, 1), (..., ...)):
        with pytest.raises(IndexError):
            lazy[wrong]


def test_pickled_it_is_a_plain_array(indexed):
    from multiprocessing.reduction import ForkingPickler

    lazy, array = indexed
    sent = ForkingPickler.loads(ForkingPickler.dumps(lazy))
    np.testing.assert_array_equal(sent, array, strict=True)


def test_far_apart_rows_of_a_long_site(tmp_path):
    example = small((30_000,), 4000, sites=[site("a/output", 33)], predictions=None)
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        lazy, array = recording["a/output"], example.values["a/output"].astype("f2")
        rng = np.random.default_rng(0)
        rows = rng.integers(0, 30_000, 500)
        for key in (rows, (rows, slice(3, 30, 4)), slice(7, None, 997), slice(None, None, -501)):
            np.testing.assert_array_equal(lazy[key], array[key])
        np.testing.assert_array_equal(recording.unit("a/output", 32), array[:, 32])


def test_scikit_learn_takes_a_site_as_it_is(recording):
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    X = recording["lstm/l0/cell"]
    y = recording["lstm/l0/cell"][:, 0] > 0
    assert LogisticRegression().fit(X, y).score(X, y) > 0.9
    assert PCA(2).fit_transform(X).shape == (len(X), 2)
    train, test, *_ = train_test_split(X, y, random_state=0)
    assert len(train) + len(test) == len(X)


def test_unit_and_its_bounds(example, recording):
    expected = example.values["lstm/l0/hidden"].astype("f2")[:, 36]
    np.testing.assert_array_equal(recording.unit("lstm/l0/hidden", 36), expected)
    for wrong in (37, 700):
        message = f"unit {wrong} of lstm/l0/hidden does not exist: that site has 37 units"
        with pytest.raises(SelectionError, match=message):
            recording.unit("lstm/l0/hidden", wrong)
    message = r"unit -1 of pool/output does not exist: that site has 3 units \(0-2\)\."
    with pytest.raises(SelectionError, match=message):
        recording.unit("pool/output", -1)
    with pytest.raises(SelectionError, match="is a whole number; got a float"):
        recording.unit("pool/output", 1.5)


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_documents_tokens_and_spans(tmp_path, kind):
    plan = stream([5, 9, 1, 30], seed=3, kind=kind)
    example = small((5, 9, 1, 30), 8, streams=[plan])
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        found = recording.streams["text"]
        assert (found.n_positions, found.n_documents) == (45, 4)
        assert found.is_characters == (kind == "characters")
        assert found.vocabulary == plan.vocabulary
        np.testing.assert_array_equal(found.document_start, plan.document_start)
        np.testing.assert_array_equal(found.token_ids[:], plan.token_ids)
        words = [plan.vocabulary[i] for i in plan.token_ids]
        assert list(found.tokens) == words
        assert found.tokens[40:3:-3] == words[40:3:-3]
        assert found.tokens[-1] == words[-1]
        spans = found.spans[:]
        assert spans.shape == (45, 2)
        for document, text in zip(found.documents, plan.texts, strict=True):
            assert document.text == text
            assert document.name == plan.document_names[document.index]
            assert document.tokens == words[document.positions]
            np.testing.assert_array_equal(document.spans, spans[document.positions])
            assert [text[a:b] for a, b in document.spans] == document.tokens
        np.testing.assert_array_equal(found.document_of([0, 4, 5, 14, 15]), [0, 0, 1, 2, 3])
        np.testing.assert_array_equal(found.spans[[3, 7]], spans[[3, 7]])
        assert recording.document("doc 2.py").index == 2
        assert recording.document(-1).index == 3
        assert len(recording["lstm/l0/hidden"][recording.document(1).positions]) == 9
        with pytest.raises(SelectionError, match="Document 4 .* 4 documents"):
            recording.document(4)
        with pytest.raises(SelectionError, match="nearest: dir/doc 2.py"):
            recording.document("dir/doc2.py")


def test_a_stream_of_numbers_has_no_tokens(tmp_path):
    example = small((5, 5), 4, streams=[stream([5, 5], kind="numbers")], predictions=None)
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        found = recording.streams["text"]
        assert found.tokens is None
        assert found.spans is None
        assert found.vocabulary is None
        assert found.documents[0].text is None
        assert list(recording.to_frame("lstm/l0/cell:1@doc1").columns) == [
            "document",
            "document_name",
            "position",
            "lstm/l0/cell:1",
        ]


def test_tokens_come_from_the_text_without_a_vocabulary(tmp_path):
    from interp.storage import StreamPlan

    plan = StreamPlan("text", ["a", "b"], [0, 3, 5], ["x🙂y", "ab"])
    example = small((3, 2), 4, streams=[plan], predictions=None)
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        assert list(recording.streams["text"].tokens) == ["x", "🙂", "y", "a", "b"]
        assert recording.streams["text"].tokens[2:4] == ["y", "a"]


def test_several_streams(tmp_path):
    source, target = stream([4, 6], name="source", kind="words"), stream([7, 2], 1, name="target")
    example = Example(
        streams=[source, target],
        sites=[
            site("encoder/l0/hidden", 6, stream="source"),
            site("decoder/l0/hidden", 8, stream="target"),
            site("pool/output", 2, stream="source", per="call"),
        ],
        segments={"source": cut(10, 4), "target": np.array([[0, 0], [0, 8], [8, 9]])},
        predictions=None,
    )
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        example.check(recording)
        assert list(recording.streams) == ["source", "target"]
        assert recording.stream_of("decoder/l0/hidden").name == "target"
        assert recording.document(1, stream="target").n_positions == 2


def test_predictions(example, recording):
    predictions = recording.predictions
    assert (predictions.target, predictions.top_k) == ("next", 3)
    assert np.isnan(predictions.loss[-1])
    words = recording.streams["text"].vocabulary
    best, probability = predictions.at(5)[0]
    assert best == words[example.top_ids[5, 0]]
    assert probability == pytest.approx(example.top_probabilities[5, 0], abs=1e-3)


def test_many_threads_read_at_once(example, recording):
    expected = example.values["lstm/l0/hidden"].astype("f2")
    wrong: list[object] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(40):
            unit, document = int(rng.integers(37)), int(rng.integers(4))
            if not np.array_equal(recording.unit("lstm/l0/hidden", unit), expected[:, unit]):
                wrong.append(unit)
            plan = example.streams[0].texts[document]
            if recording.document(document).text != plan:
                wrong.append(document)
            if not np.array_equal(recording["lstm/l0/hidden"][3:9], expected[3:9]):
                wrong.append("rows")

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_repr_says_what_is_there(recording):
    text = repr(recording)
    assert "complete" in text
    assert "1,643 positions, 4 documents, one character each, vocabulary of 10" in text
    assert "lstm/l0/hidden" in text
    assert "37 units  float16" in text
    assert "one row per document" in text
    assert "top 3 of the next position" in text


def test_an_incomplete_recording_opens_and_says_what_is_done(tmp_path):
    example = small()
    path = tmp_path / "run.h5"
    with RecordingWriter.create(path, example.plan()) as writer:
        example.write_segment(writer, 0)
        example.write_segment(writer, 1)
        writer.commit(1)
        with open_recording(path) as recording:  # while it is being written
            assert not recording.is_complete
            assert (recording.done_segments, recording.n_segments) == (1, 6)
            values = recording["lstm/l0/hidden"][:]
            np.testing.assert_array_equal(
                values[:5], example.values["lstm/l0/hidden"][:5].astype("f2")
            )
            assert np.isnan(values[5:]).all()
            assert np.isnan(recording.unit("lstm/l0/cell", 1)[5:]).all()
            assert np.isnan(recording["pool/output"][:]).all()
            assert np.isnan(recording["lstm/l0/cell"][[2, 7]][1]).all()
            assert "INCOMPLETE, 1 of 6 segments" in repr(recording)
            assert recording.verify().ok
            for refused in (lambda: recording.fingerprint, recording.view):
                with pytest.raises(interp.InterpError, match="incomplete"):
                    refused()


def test_a_repacked_file_with_filters_still_reads(example, path, tmp_path):
    packed = tmp_path / "packed.h5"
    with h5py.File(path) as source, h5py.File(packed, "w") as target:
        for key, value in source.attrs.items():
            target.attrs[key] = value

        def copy(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                more = {"compression": "gzip", "shuffle": True} if item.shape else {}
                made = target.create_dataset(name, data=item[()], dtype=item.dtype, **more)
            else:
                made = target.create_group(name)
            for key, value in item.attrs.items():
                made.attrs[key] = value

        source.visititems(copy)
    with open_recording(packed) as recording:
        example.check(recording)
        assert recording.verify().ok
        np.testing.assert_array_equal(
            recording["lstm/l0/hidden"][5:50:3, [3, 1]],
            example.values["lstm/l0/hidden"].astype("f2")[5:50:3, [3, 1]],
        )


def test_the_fingerprint_is_of_the_contents(tmp_path):
    example = small()
    prints = []
    for i, changes in enumerate(
        [{}, {"provenance": {"model": None, "date": "later"}}, {"segments": cut(26, 6)}]
    ):
        path = tmp_path / f"{i}.h5"
        again = small(segments={"text": changes.get("segments", example.segments["text"])})
        with RecordingWriter.create(path, again.plan(**changes)) as writer:
            again.finish(writer)
        with open_recording(path) as recording:
            prints.append(recording.fingerprint)
    other = small(seed=1).record(tmp_path / "other.h5")
    with open_recording(other) as recording:
        prints.append(recording.fingerprint)
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    assert len(prints[0]) == 64


def test_recorded_annotations(tmp_path):
    n = 26
    annotations = (
        AnnotationPlan("upper", np.arange(n) % 2 == 0),
        AnnotationPlan("part of speech", ["noun", "verb"] * (n // 2)),
    )
    example = small(annotations=annotations)
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        assert list(recording.annotations) == ["upper", "part of speech"]
        found = recording.annotations["part of speech"]
        assert (found.kind, found.categories, found.added) == (
            "categorical",
            ["noun", "verb"],
            False,
        )
        assert recording.verify().ok


def test_site_widths_and_lengths_pad_little():
    from interp.storage.schema import chunk_shape

    for n in (1_000_000, 123_457, 8193, 20_000, 100):
        for units in (1, 3, 16, 17, 100, 101, 512, 650, 768, 1000, 1024, 4096):
            rows, width = chunk_shape(n, units)
            stored = -(-n // rows) * rows * -(-units // width) * width
            assert stored <= 1.05 * n * units or units in (17, 101), (n, units, rows, width)


def test_default_sites_are_of_every_storage_type():
    assert {s.dtype for s in default_sites()} == {"float16", "float32", "float64"}


def test_a_closed_recording_is_not_read(path):
    recording = open_recording(path)
    array = recording["lstm/l0/hidden"]
    recording.close()
    recording.close()
    with open(path.parent / "other", "wb+"), pytest.raises(interp.InterpError, match="been closed"):
        array[3]
