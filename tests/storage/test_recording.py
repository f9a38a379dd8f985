"""What is written is what is read: by row, by unit, by many threads, while it is written."""

from __future__ import annotations

import threading
from pathlib import Path

import h5py
import numpy as np
import pytest

import interp
from interp.errors import SelectionError, SiteError
from interp.storage import AnnotationPlan, RecordingWriter, open_recording
from tests.storage.example import Example, cut, default_sites, small


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
