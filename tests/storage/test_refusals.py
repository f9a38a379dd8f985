"""Values and disks that cannot be: one clear message each, and a file that can be resumed."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections import namedtuple

import numpy as np
import pytest

from interp.errors import StorageError
from interp.storage import (
    RecordingWriter,
    open_recording,
    rawio,
)
from tests.storage.example import site, small
from tests.storage.refusing import message


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


def test_no_call_is_larger_than_macos_takes(tmp_path, monkeypatch):
    sizes = []
    pwrite, pread = os.pwrite, os.pread
    monkeypatch.setattr(rawio, "_CALL_BYTES", 64)
    monkeypatch.setattr(os, "pwrite", lambda *a: sizes.append(len(a[1])) or pwrite(*a))
    path = small().record(tmp_path / "run.h5")
    monkeypatch.setattr(os, "pread", lambda *a: sizes.append(a[1]) or pread(*a))
    with open_recording(path) as recording:
        small().check(recording)
    assert max(sizes) == 64


def test_the_drive_writes_its_cache_where_the_system_can_ask_for_it(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda fd, command: asked.append(command))
    small().record(tmp_path / "run.h5")
    assert set(asked) == {51}

    def refuse(fd: int, command: int) -> None:
        raise OSError(errno.ENOTSUP, "not on this file system")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with open_recording(small().record(tmp_path / "other.h5")) as recording:
        small().check(recording)


def test_a_disk_that_is_too_small(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**5))
    text = message(
        StorageError, lambda: RecordingWriter.create(tmp_path / "run.h5", small().plan())
    )
    assert "only 100 kB are free" in text
    assert list(tmp_path.iterdir()) == []
