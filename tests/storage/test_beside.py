"""What is made from a recording: annotations, tables, exports, the view."""

from __future__ import annotations

import csv
import os
import threading

import h5py
import numpy as np
import pytest

import interp
from interp.errors import InterpError, RecordingError, SelectionError, StorageError
from interp.storage import AnnotationPlan, export, open_recording
from tests.storage.example import Example, small

N = 26
CATEGORIES = ["noun", "verb"] * (N // 2)


@pytest.fixture
def example() -> Example:
    return small(annotations=(AnnotationPlan("even", np.arange(N) % 2 == 0),))


@pytest.fixture
def recording(example, tmp_path):
    with open_recording(example.record(tmp_path / "run.h5")) as opened:
        yield opened


def test_annotations_of_every_kind(recording, tmp_path):
    numbers = np.linspace(0, 1, N)
    numbers[4] = np.nan
    recording.write_annotation("inside/a string", np.arange(N) > 9, parameters={"by": "tokenize"})
    recording.write_annotation("zeros and ones", np.arange(N) % 2, kind="binary")
    recording.write_annotation("word", CATEGORIES)
    recording.write_annotation("code", np.arange(N) % 3 - 1, categories=["x", "y"])
    recording.write_annotation("depth", np.arange(N))
    recording.write_annotation("surprise", numbers)
    with open_recording(recording.path) as other:  # another process would see the same
        found = other.annotations
        assert list(found) == [
            "even", "code", "depth", "inside/a string", "surprise", "word", "zeros and ones"
        ]  # fmt: skip
        string = found["inside/a string"]
        assert (string.kind, string.stream, string.added) == ("binary", "text", True)
        assert string.parameters == {"by": "tokenize"}
        assert string.dtype == bool
        np.testing.assert_array_equal(string[:], np.arange(N) > 9)
        np.testing.assert_array_equal(found["even"][3:6], [False, True, False])
        np.testing.assert_array_equal(found["zeros and ones"][:], np.arange(N) % 2 == 1)
        assert found["word"].categories == ["noun", "verb"]
        assert [found["word"].categories[i] for i in found["word"][:]] == CATEGORIES
        np.testing.assert_array_equal(found["code"][:], np.arange(N) % 3 - 1)
        np.testing.assert_array_equal(found["depth"][:], np.arange(N))
        np.testing.assert_array_equal(found["surprise"][:], numbers)
        assert "word" in found
        assert "word (categorical)" in repr(other)
    assert {p.name for p in (tmp_path / "run.results").iterdir()} == {
        f"annotation.{name}.h5"
        for name in (
            "inside%2Fa string",
            "zeros and ones",
            "word",
            "code",
            "depth",
            "surprise",
        )  # fmt: skip
    }


@pytest.mark.parametrize(
    ("values", "more", "said"),
    [
        (np.zeros(25, bool), {}, "has shape (25,), but stream 'text' has 26 positions"),
        (np.arange(N), {"kind": "binary"}, "values other than 0 and 1"),
        (CATEGORIES, {"kind": "numeric"}, "is numeric, but its values are"),
        (np.arange(N), {"kind": "categorical"}, "its categories are needed"),
        (np.arange(N), {"categories": ["a"]}, "no indices of its categories"),
        (CATEGORIES, {"categories": ["noun"]}, "the value 'verb', which is no category"),
        (np.zeros(N), {"kind": "colour"}, "binary, categorical, numeric, not 'colour'"),
        (np.zeros(N), {"stream": "audio"}, "No stream named 'audio'"),
    ],
)
def test_annotations_that_do_not_fit(recording, values, more, said):
    with pytest.raises(InterpError) as caught:
        recording.write_annotation("x", values, **more)
    assert said in str(caught.value)
    assert "x" not in recording.annotations
    assert not recording.annotations.directory.exists() or not any(
        recording.annotations.directory.iterdir()
    )


def test_annotations_are_not_replaced_by_chance(recording):
    recording.write_annotation("x", np.zeros(N))
    old = recording.annotations["x"]
    with pytest.raises(StorageError, match="exists already"):
        recording.write_annotation("x", np.ones(N))
    recording.write_annotation("x", np.ones(N), overwrite=True)
    assert recording.annotations["x"][0] == 1
    assert old[0] == 0
    with pytest.raises(StorageError, match="part of the recording itself"):
        recording.write_annotation("even", np.zeros(N))
    with pytest.raises(SelectionError, match="No annotation named 'evem'; nearest: even"):
        recording.annotations["evem"]


def test_annotations_of_another_recording_are_not_shown(recording, tmp_path):
    recording.write_annotation("x", np.zeros(N))
    recording.close()
    other = small(seed=7)
    other.record(tmp_path / "other.h5")
    os.replace(tmp_path / "other.h5", tmp_path / "run.h5")
    with open_recording(tmp_path / "run.h5") as replaced:
        assert "x" not in replaced.annotations
        with pytest.raises(RecordingError, match="made for another recording"):
            replaced.annotations["x"]
        replaced.write_annotation("x", np.ones(N))  # what is stale may be replaced
        assert replaced.annotations["x"][0] == 1
        bad = replaced.annotations.directory / "annotation.bad.h5"
        bad.write_bytes(b"no")
        assert list(replaced.annotations) == ["x"]


def test_table(example, recording):
    recording.write_annotation("word", CATEGORIES)
    table = recording.to_frame("lstm/l0/hidden:7,2-3@doc1:1-3,20", ["even", "word"])
    rows = [10, 11, 12, 20]
    text = "".join(example.streams[0].texts)
    assert list(table["token"]) == [text[i] for i in rows]
    assert list(table["document"]) == [1, 1, 1, 3]
    assert list(table["document_name"]) == ["dir/doc 1.py"] * 3 + ["dir/doc 3.py"]
    assert list(table["position"]) == [1, 2, 3, 6]
    assert list(table["even"]) == [True, False, True, True]
    assert list(table["word"]) == [CATEGORIES[i] for i in rows]
    values = example.values["lstm/l0/hidden"].astype("f2")
    for unit in (7, 2, 3):
        column = table[f"lstm/l0/hidden:{unit}"]
        assert column.dtype == np.float32
        np.testing.assert_array_equal(column, values[rows, unit])
    pooled = recording.to_frame("pool/output:1")
    assert list(pooled.columns) == ["document", "document_name", "pool/output:1"]
    assert len(pooled) == 4
    with pytest.raises(SelectionError, match="the rows of pool/output are not"):
        recording.to_frame("pool/output", ["even"])


SELECTION = "odd%20name.x/output:20,3-4@doc3,doc0:2-4,25"
ROWS = [*range(14, 26), 2, 3, 4, 25]


def test_csv(example, recording, tmp_path):
    recording.write_annotation("word", CATEGORIES)
    assert export(recording, SELECTION, tmp_path / "x.csv", ["word", "even"]) == len(ROWS)
    with open(tmp_path / "x.csv", newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert header == [
        "document", "document_name", "position", "token", "word", "even",
        "odd%20name.x/output:20", "odd%20name.x/output:3", "odd%20name.x/output:4",
    ]  # fmt: skip
    text = "".join(example.streams[0].texts)
    assert [line[3] for line in lines] == [text[i] for i in ROWS]
    assert [line[4] for line in lines] == [CATEGORIES[i] for i in ROWS]
    assert [line[5] for line in lines] == [str(int(i % 2 == 0)) for i in ROWS]
    values = np.array([[float(x) for x in line[6:]] for line in lines])
    np.testing.assert_array_equal(
        values, example.values["odd%20name.x/output"][ROWS][:, [20, 3, 4]]
    )
    assert export(recording, "pool/output:1@doc2", tmp_path / "pool.csv") == 1
    assert len((tmp_path / "pool.csv").read_text().splitlines()) == 2


def test_npz_and_safetensors(example, recording, tmp_path):
    from safetensors import safe_open
    from safetensors.numpy import load_file

    recording.write_annotation("word", CATEGORIES)
    for ending in ("npz", "safetensors"):
        export(recording, SELECTION, tmp_path / f"x.{ending}", ["word", "even"])
    arrays = dict(np.load(tmp_path / "x.npz"))
    tensors = load_file(tmp_path / "x.safetensors")
    expected = example.values["odd%20name.x/output"].astype("f8")[ROWS][:, [20, 3, 4]]
    text = "".join(example.streams[0].texts)
    for found in (arrays, tensors):
        np.testing.assert_array_equal(found["values"], expected, strict=True)
        np.testing.assert_array_equal(found["unit_index"], [20, 3, 4])
        np.testing.assert_array_equal(found["position"], ROWS)
        np.testing.assert_array_equal(found["document"], [3] * 12 + [0] * 3 + [3])
        np.testing.assert_array_equal(found["position_in_document"][-4:], [2, 3, 4, 11])
        np.testing.assert_array_equal(found["annotation_even"], np.array(ROWS) % 2 == 0)
        np.testing.assert_array_equal(found["annotation_word"], np.array(ROWS) % 2)
    assert str(arrays["selection"]) == SELECTION
    assert list(arrays["categories_word"]) == ["noun", "verb"]
    assert list(arrays["document_name"]) == [f"dir/doc {i}.py" for i in range(4)]
    start = tensors["token_start"].tolist()
    data = tensors["token_bytes"].tobytes()
    tokens = [data[a:b].decode() for a, b in zip(start[:-1], start[1:], strict=True)]
    assert tokens == [text[i] for i in ROWS]
    with safe_open(tmp_path / "x.safetensors", "np") as file:
        assert file.metadata()["selection"] == SELECTION
    for ending in ("npz", "safetensors"):
        assert export(recording, "pool/output", tmp_path / f"pool.{ending}") == 4


def test_exports_appear_whole_or_not_at_all(recording, tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    for wrong, said in [
        ("x.xlsx", "the ending says the format"),
        ("no/x.csv", "no folder"),
    ]:
        with pytest.raises(StorageError, match=said):
            export(recording, "pool/output", tmp_path / wrong)
    export(recording, "pool/output", path)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="exists already"):
        export(recording, "pool/output", path)
    with pytest.raises(SelectionError):
        export(recording, "pool/output:9", path, overwrite=True)

    def fails(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fails)
        with pytest.raises(StorageError, match="the disk is full"):
            export(recording, "lstm/l0/hidden", path, overwrite=True)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.h5", "x.csv"]


def test_view(example, recording, tmp_path):
    with recording.view() as view:
        assert view.path == tmp_path / "run.view.h5"
        for name, values in example.values.items():
            expected = values.astype(recording.sites[name].dtype).astype("f8")
            assert not view.is_built(name)
            seen: list[tuple[int, ...]] = []
            view.build(name, lambda *progress, seen=seen: seen.append(progress))
            for unit in range(expected.shape[1]):
                codes, scale = view.unit(name, unit)
                assert codes.dtype == np.int8
                assert codes.min() >= -127
                assert np.abs(codes).max() == 127
                assert np.abs(codes * scale - expected[:, unit]).max() <= scale * 0.5001
            assert view.is_built(name)
            assert seen[-1] == (expected.shape[1],) * 2
        with pytest.raises(SelectionError, match="unit 37 of lstm/l0/hidden"):
            view.unit("lstm/l0/hidden", 37)
        with pytest.raises(InterpError, match="nearest: lstm/l0/hidden"):
            view.unit("lstm/l0/hiden", 3)


def test_a_view_is_kept_until_the_recording_changes(recording, tmp_path):
    with recording.view() as view:
        view.build("lstm/l0/hidden")
    inode = view.path.stat().st_ino
    with recording.view() as view:
        assert view.is_built("lstm/l0/hidden")
    assert view.path.stat().st_ino == inode
    recording.close()
    small(seed=3).record(tmp_path / "other.h5")
    os.replace(tmp_path / "other.h5", tmp_path / "run.h5")
    with open_recording(tmp_path / "run.h5") as replaced, replaced.view() as view:
        assert not view.is_built("lstm/l0/hidden")
    for junk in (b"", b"junk" * 100):
        view.path.write_bytes(junk)
        with open_recording(tmp_path / "run.h5") as replaced, replaced.view() as view:
            view.unit("lstm/l0/hidden", 0)


def test_a_view_of_long_sites_is_built_in_blocks(tmp_path, monkeypatch):
    from interp.storage import view as module

    example = small((500, 1, 699), 300)
    example.values["lstm/l0/hidden"][:, 5] = 0
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        monkeypatch.setattr(module, "_BLOCK_ROWS", 256)
        with recording.view() as view:
            for unit in (0, 5, 36):
                expected = recording.unit("lstm/l0/hidden", unit).astype("f8")
                codes, scale = view.unit("lstm/l0/hidden", unit)
                assert np.abs(codes * scale - expected).max() <= scale * 0.5001


def test_two_views_and_many_threads_build_once(recording):
    views = [recording.view(), recording.view()]
    codes = []

    def read(i: int) -> None:
        codes.append(views[i % 2].unit("lstm/l0/hidden", 9)[0])

    threads = [threading.Thread(target=read, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(codes) == 8
    assert all(np.array_equal(codes[0], other) for other in codes)


def test_a_view_that_cannot_be_written_says_so(recording, monkeypatch):
    def fails(**arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("interp.storage.atomic.tempfile.mkstemp", fails)
        with pytest.raises(StorageError, match="run.view.h5 cannot be written: Permission denied"):
            recording.view()
    with recording.view() as view, monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(StorageError, match="cannot be built: The disk is full"):
            view.build("lstm/l0/hidden")
        assert not view.is_built("lstm/l0/hidden")


def test_results_name_their_recording(recording):
    path = recording.write_annotation("x", np.zeros(N))
    with h5py.File(path) as file:
        assert file.attrs["fingerprint"].decode() == recording.fingerprint
        assert file.attrs["format"] == b"interp-result"
    assert interp.open(recording.path).fingerprint == recording.fingerprint
