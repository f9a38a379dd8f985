"""Missing, foreign, cut off and damaged files: one clear message each."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import interp
from interp.errors import InterpError, RecordingError
from interp.storage import (
    open_recording,
)
from tests.storage.example import small
from tests.storage.flips import FOUND, REFUSED, SAME, example, flipped, metadata
from tests.storage.refusing import message


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return small().record(tmp_path_factory.mktemp("good") / "run.h5")


def test_missing(tmp_path, path):
    assert "There is no recording" in message(RecordingError, lambda: interp.open("nope.h5"))
    for name in ("x" * 400, "a\0b"):
        assert "There is no recording" in message(RecordingError, lambda n=name: interp.open(n))
    near = message(RecordingError, lambda: interp.open(path.parent / "rum.h5"))
    assert "there is: run.h5" in near
    for name in ("a", "b", "c", "d", "e", "run"):
        (tmp_path / f"{name}.h5").touch()
    near = message(RecordingError, lambda: interp.open(tmp_path / "runn.h5"))
    assert "there is: run.h5, " in near


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


def test_flipped_bits_of_the_metadata_never_end_the_process(tmp_path):
    # Every 499th of those that `python -m tests.storage.flips` tries.
    path = example().record(tmp_path / "run.h5")
    flips = [(at, bit) for at in metadata(path) for bit in range(8)][::499]
    found = {said for _, said in flipped(path, flips)}
    assert found <= {SAME, REFUSED, FOUND}
    assert REFUSED in found


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
