"""Bad input and bad luck: one clear message each, and a file that can be resumed."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest

import interp
from interp.errors import InterpError, RecordingError, SiteError, StorageError
from interp.storage import (
    PredictionPlan,
    RecordingPlan,
    RecordingWriter,
    StreamPlan,
    open_recording,
)
from tests.storage.example import cut, default_sites, site, small, stream


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return small().record(tmp_path_factory.mktemp("good") / "run.h5")


def message(error: type[InterpError], action) -> str:
    with pytest.raises(error) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_missing(tmp_path, path):
    assert "There is no recording" in message(RecordingError, lambda: interp.open("nope.h5"))
    near = message(RecordingError, lambda: interp.open(path.parent / "rum.h5"))
    assert "there is: run.h5" in near


def test_directory_empty_file_and_other_kinds(tmp_path):
    assert "is a directory" in message(RecordingError, lambda: interp.open(tmp_path))
    other = tmp_path / "other"
    other.write_bytes(b"")
    assert "is empty" in message(RecordingError, lambda: interp.open(other))
    other.write_bytes(b"def f():\n    pass\n" * 100)
    assert "not an HDF5 file" in message(RecordingError, lambda: interp.open(other))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["weights"] = np.zeros(3)
    text = message(RecordingError, lambda: interp.open(tmp_path / "w.h5"))
    assert "'format' attribute is missing (it holds weights)" in text


def test_newer_format(tmp_path, path):
    newer = shutil.copy(path, tmp_path / "newer.h5")
    with h5py.File(newer, "r+") as file:
        file.attrs["format_version"] = 99
    text = message(RecordingError, lambda: interp.open(newer))
    assert "format version 99" in text
    assert "Update interp" in text


def test_cut_off(tmp_path, path):
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 2000, 300, 96):
        (tmp_path / "cut.h5").write_bytes(whole[:size])
        text = message(RecordingError, lambda: interp.open(tmp_path / "cut.h5"))
        assert "is cut off" in text or "is damaged" in text


def test_cut_off_while_open(tmp_path, path):
    copy = Path(shutil.copy(path, tmp_path / "copy.h5"))
    with interp.open(copy) as recording:
        array = recording["lstm/l0/hidden"]
        os.truncate(copy, 3000)
        assert "ends too early" in message(RecordingError, lambda: array[:])


def test_damage_anywhere_never_ends_in_a_traceback(tmp_path, path):
    whole = path.read_bytes()
    chance = random.Random(0)
    damaged = tmp_path / "damaged.h5"
    for _ in range(60):
        contents = bytearray(whole)
        for _ in range(chance.choice([1, 1, 4])):
            contents[chance.randrange(len(contents))] ^= 1 << chance.randrange(8)
        damaged.write_bytes(contents)
        try:
            with open_recording(damaged) as recording:
                for name in recording.sites:
                    recording[name][:]
                list(recording.streams["text"].tokens or ())
                recording.predictions.loss[:]
                recording.verify()
        except InterpError:
            pass


@pytest.mark.parametrize("bit", range(8))
def test_damage_of_an_offset_in_the_superblock(tmp_path, path, bit):
    # The highest byte of an offset: HDF5 then seeks to where no file can reach.
    contents = bytearray(path.read_bytes())
    contents[51] ^= 1 << bit
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(contents)
    assert "damaged" in message(RecordingError, lambda: open_recording(damaged))


def test_verification_finds_a_changed_value(tmp_path, path):
    for name, rows in (("activations/lstm/l0/cell", "rows 5-9"), ("predictions/loss", "rows 5-9")):
        copy = shutil.copy(path, tmp_path / "copy.h5")
        with h5py.File(copy, "r+") as file:
            file[name][7] = 3.25
        with interp.open(copy) as recording:
            found = recording.verify()
            assert not found.ok
            assert rows in str(found)
            assert len(found.damages) == 1
    for name, what in (("streams/text/text", "stream text"), ("streams/text/span", "")):
        copy = shutil.copy(path, tmp_path / "copy.h5")
        with h5py.File(copy, "r+") as file:
            if name in file:
                file[name][2] = 65
        with interp.open(copy) as recording:
            assert what in str(recording.verify())


def test_an_existing_file_is_kept(path):
    before = path.read_bytes()
    create = lambda: RecordingWriter.create(path, small().plan())  # noqa: E731
    assert "exists already" in message(RecordingError, create)
    assert path.read_bytes() == before


def test_overwriting_on_purpose(tmp_path):
    path = small().record(tmp_path / "run.h5")
    other = small(seed=5)
    with interp.open(path) as old:  # a reader keeps what it opened
        with RecordingWriter.create(path, other.plan(), overwrite=True) as writer:
            other.finish(writer)
        small().check(old)
    with interp.open(path) as recording:
        other.check(recording)


def test_a_link_keeps_pointing_to_the_recording(tmp_path):
    (tmp_path / "big").mkdir()
    link = tmp_path / "run.h5"
    link.symlink_to(tmp_path / "big" / "real.h5")
    small().record(link)
    assert link.is_symlink()
    with interp.open(link) as recording:
        small().check(recording)


def test_a_target_that_cannot_be(tmp_path):
    plan = small().plan()
    create = RecordingWriter.create
    assert "is a directory" in message(RecordingError, lambda: create(tmp_path, plan))
    nowhere = tmp_path / "no" / "run.h5"
    assert "no directory" in message(RecordingError, lambda: create(nowhere, plan))


def test_a_second_writer_is_refused(tmp_path):
    example, path = small(), tmp_path / "run.h5"
    with RecordingWriter.create(path, example.plan()) as writer:
        resume = lambda: RecordingWriter.resume(path, example.plan())  # noqa: E731
        assert "being written" in message(RecordingError, resume)
        replace = lambda: RecordingWriter.create(path, example.plan(), overwrite=True)  # noqa: E731
        assert "being written" in message(RecordingError, replace)
        code = (
            "import sys; from pathlib import Path\n"
            "from interp.errors import RecordingError\n"
            "from interp.storage.rawio import open_locked\n"
            "try: open_locked(Path(sys.argv[1]), sys.argv[1])\n"
            "except RecordingError as error: print(error)\n"
        )
        root = Path(interp.__file__).parents[1]
        run = [sys.executable, "-c", code, str(path)]
        said = subprocess.run(run, capture_output=True, text=True, check=True, cwd=root).stdout
        assert "being written by another process" in said
        example.finish(writer)
    with interp.open(path) as recording:
        example.check(recording)


def test_readers_never_keep_a_writer_out(tmp_path):
    example, path = small(), tmp_path / "run.h5"
    with RecordingWriter.create(path, example.plan()) as writer:
        example.write_segment(writer, 0)
        writer.commit(1)
    with open_recording(path), RecordingWriter.resume(path, example.plan()) as writer:
        example.finish(writer)


def test_a_complete_file_may_be_opened_by_h5py_at_the_same_time(path):
    with open_recording(path), h5py.File(path, "r") as file, open_recording(path):
        assert file["activations/lstm/l0/hidden"].shape == (26, 37)


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
        ({"sites": wider}, "dtype='float64'"),
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


@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (70000.0, "float16", "is 70000, more than float16 can hold (up to 65504). Record anew"),
        (-1e30, "float16", "dtype='float32'"),
        (1e300, "float32", "dtype='float64'"),
        (np.nan, "float16", "is nan: the model itself produced it"),
        (-np.inf, "float32", "is -inf: the model itself produced it"),
    ],
)
def test_values_that_cannot_be_stored(tmp_path, value, dtype, said):
    example = small(sites=[site("lstm/l0/cell", 5, dtype)], predictions=None)
    path = tmp_path / "run.h5"
    with RecordingWriter.create(path, example.plan()) as writer:
        example.write_segment(writer, 0)
        example.write_segment(writer, 1)
        writer.commit(2)
        bad = example.values["lstm/l0/cell"][10:15].astype("f8")
        bad[3, 2] = value
        text = message(StorageError, lambda: writer.write("lstm/l0/cell", 2, bad))
    assert said in text
    assert "lstm/l0/cell:2 at position 13 (document 2, 'dir/doc 2.py', position 0 in it)" in text
    assert "2 of 6 segments are committed" in text
    with RecordingWriter.resume(path, example.plan()) as writer:
        example.finish(writer)
    with open_recording(path) as recording:
        example.check(recording)


def test_predictions_that_are_none(tmp_path):
    example = small()
    ids, chances, loss = example.top_ids[:5], example.top_probabilities[:5], example.loss[:5]
    with RecordingWriter.create(tmp_path / "run.h5", example.plan()) as writer:
        write = writer.write_predictions
        for wrong in (65536, -1):
            ids[2, 1] = wrong
            text = message(StorageError, lambda: write(0, ids, chances, loss))
            assert f"Prediction 1 at position 2: {wrong} is an id that the vocabulary's" in text
        ids[2, 1], chances[4, 0] = 0, np.nan
        text = message(StorageError, lambda: write(0, ids, chances, loss))
        assert "Prediction 0 at position 4: nan is the probability that the model itself" in text
        with pytest.raises(ValueError, match="has shape"):
            write(0, ids[:, :2], chances, loss)


def test_complex_values_are_refused(tmp_path):
    with RecordingWriter.create(tmp_path / "run.h5", small().plan()) as writer:
        values = np.zeros((5, 37), complex)
        text = message(StorageError, lambda: writer.write("lstm/l0/hidden", 0, values))
        assert "complex128" in text
        writer.write("lstm/l0/hidden", 0, np.ones((5, 37), bool))


def test_the_size_is_known_beforehand(tmp_path):
    for example in (small(), small((20_000, 1, 3000), 400)):
        plan = example.plan()
        size = example.record(tmp_path / f"{plan.n_bytes}.h5").stat().st_size
        assert size <= plan.n_bytes <= size * 1.1 + 70_000


def test_the_largest_values_fit(tmp_path):
    example = small(sites=[site("a/output", 2)], predictions=None)
    example.values["a/output"][:2] = [[65504.0, -65504.0], [65519.0, 6e-8]]
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        example.check(recording)


def test_nonfinite_values_are_stored_on_request(tmp_path):
    example = small(predictions=None)
    values = example.values["lstm/l0/hidden"]
    values[3, 1], values[7, 0], values[8, 36] = np.nan, np.inf, -np.inf
    path = example.record(tmp_path / "run.h5", nonfinite="store")
    with open_recording(path) as recording:
        example.check(recording)
        codes, scale = recording.view().unit("lstm/l0/hidden", 1)
        assert codes[3] == -128
        assert (codes[:3] != -128).all()
        assert recording.view().unit("lstm/l0/hidden", 0)[0][7] == 127
        assert recording.view().unit("lstm/l0/hidden", 36)[0][8] == -127
    overflow = example.values["lstm/l0/hidden"][:5] * 1e6
    with RecordingWriter.create(tmp_path / "o.h5", example.plan(nonfinite="store")) as writer:
        text = message(StorageError, lambda: writer.write("lstm/l0/hidden", 0, overflow))
    assert "more than float16 can hold" in text


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fills_or_fails_in_the_middle(tmp_path, monkeypatch, number):
    example, path = small(), tmp_path / "run.h5"
    pwrite = os.pwrite
    for allowed in range(0, 60, 7):
        count = 0

        def failing(fd, data, offset, allowed=allowed):
            nonlocal count
            count += 1
            if count > allowed:
                pwrite(fd, bytes(data)[: len(data) // 2], offset)
                raise OSError(number, os.strerror(number))
            return pwrite(fd, data, offset)

        with RecordingWriter.create(path, example.plan(), overwrite=True) as writer:
            with monkeypatch.context() as patch:
                patch.setattr(os, "pwrite", failing)
                text = message(StorageError, lambda writer=writer: example.finish(writer))
            expected = "Input/output error" if number == errno.EIO else "The disk is full."
            assert expected in text
            assert f"segments are committed in {path}" in text
        with RecordingWriter.resume(path, example.plan()) as writer:
            example.finish(writer)
        with open_recording(path) as recording:
            example.check(recording)


def test_writes_cut_short_by_the_system_go_on(tmp_path, monkeypatch):
    pwrite, pread = os.pwrite, os.pread
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:7], offset))
    path = small().record(tmp_path / "run.h5")
    monkeypatch.setattr(os, "pread", lambda fd, n, offset: pread(fd, min(n, 11), offset))
    with open_recording(path) as recording:
        small().check(recording)


def test_a_disk_that_is_too_small(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**5))
    text = message(
        StorageError, lambda: RecordingWriter.create(tmp_path / "run.h5", small().plan())
    )
    assert "only 100 kB are free" in text
    assert list(tmp_path.iterdir()) == []


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
