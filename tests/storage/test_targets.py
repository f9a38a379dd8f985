"""Where a recording is written: files that are there, links, other writers and readers."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

import interp
from interp.errors import RecordingError, StorageError
from interp.storage import (
    RecordingWriter,
    open_recording,
)
from interp.storage.export import export
from tests.storage.example import small
from tests.storage.refusing import message


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return small().record(tmp_path_factory.mktemp("good") / "run.h5")


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
    assert "no folder" in message(RecordingError, lambda: create(nowhere, plan))
    too_long = tmp_path / ("x" * 300 + ".h5")
    assert "too long" in message(RecordingError, lambda: create(too_long, plan))
    link = tmp_path / "link.h5"
    link.symlink_to(tmp_path / "gone" / "run.h5")
    assert "There is no folder" in message(RecordingError, lambda: create(link, plan))
    assert sorted(tmp_path.iterdir()) == [link]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_recording_is_never_overwritten(tmp_path, overwrite):
    # As root, renaming over /dev/null would succeed.
    os.mkfifo(tmp_path / "pipe")
    text = tmp_path / "corpus.txt"
    text.write_text("def f(x):\n    return x\n")
    for path in (tmp_path / "pipe", text):
        create = lambda path=path: RecordingWriter.create(path, small().plan(), overwrite)  # noqa: E731
        assert ("pipe" if path.name == "pipe" else "") in message(RecordingError, create)
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    assert text.read_text().startswith("def f(x)")
    with interp.open(small().record(tmp_path / "run.h5")) as recording:
        os.mkfifo(tmp_path / "out.csv")
        wanted = "lstm/l0/cell:0", tmp_path / "out.csv"
        refused = lambda: export(recording, *wanted, overwrite=overwrite)  # noqa: E731
        assert "out.csv" in message(StorageError, refused)
    assert stat.S_ISFIFO(os.stat(tmp_path / "out.csv").st_mode)


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
