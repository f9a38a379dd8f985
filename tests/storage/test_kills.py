"""A killed writer loses nothing that was committed.

The writes of a small run are logged where they leave Python, and every prefix of the log is
replayed: each has to open, and to resume to equal arrays. Then real processes are killed.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp.errors import RecordingError
from interp.storage import RecordingWriter, open_recording
from tests.storage.example import Example, by_document, cut, site, small
from tests.storage.maps import Maps, map_site


class Log:
    """Positioned writes and renamings in their order, and the file as it was before the first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes: list[tuple[int, int, bytes]] = []
        self.before: bytes | None = None
        self._patch = monkeypatch

    def record(self, path: Path, example: Example, per_commit: int) -> None:
        pwrite, replace = os.pwrite, os.replace

        def log_write(fd: int, data: Any, offset: int) -> int:
            self.writes.append((os.fstat(fd).st_ino, offset, bytes(data)))
            return pwrite(fd, data, offset)

        def log_replace(source: Path, target: Path) -> None:
            if self.before is None:
                self.before = Path(source).read_bytes()
                self.writes.clear()  # laying out has a test of its own
            else:
                # The file that takes the place, and its size.
                size = Path(source).stat().st_size
                self.writes.append((Path(source).stat().st_ino, size, b""))
            replace(source, target)

        with self._patch.context() as patch:
            patch.setattr(os, "pwrite", log_write)
            patch.setattr(os, "replace", log_replace)
            with RecordingWriter.create(path, example.plan()) as writer:
                example.finish(writer, per_commit)

    def replay(self, path: Path, n_writes: int, torn: int | None = None) -> None:
        """Write the file as it is after some writes, the last of which may be torn."""
        assert self.before is not None
        leftover = path.with_name(path.name + ".new")
        leftover.unlink(missing_ok=True)
        main = self.writes[0][0]
        contents = {main: bytearray(self.before)}
        for i, (file, offset, data) in enumerate(self.writes[:n_writes]):
            part = data[:torn] if torn is not None and i == n_writes - 1 else data
            there = contents.setdefault(file, bytearray())
            there.extend(bytes(max(0, offset + len(part) - len(there))))
            there[offset : offset + len(part)] = part
            if not data:
                del contents[main]
                main = file
        path.write_bytes(contents.pop(main))
        for draft in contents.values():
            leftover.write_bytes(draft)


def check_resumes(path: Path, example: Example) -> int:
    """Open a file as a kill left it, check what it says is done, and finish it."""
    with open_recording(path) as recording:
        done = recording.done_segments
        assert recording.verify().ok
        for name, values in example.values.items():
            if recording.sites[name].per == "position":
                found = recording[name]
                for start, stop in example.segments["text"][:done]:
                    expected = values[start:stop].astype(found.dtype)
                    np.testing.assert_array_equal(found[start:stop], expected)
    with RecordingWriter.resume(path, example.plan()) as writer:
        assert writer.done_segments == done
        example.finish(writer, 2)
    with open_recording(path) as recording:
        example.check(recording)
        assert recording.verify().ok
    return done


def tiny() -> Example:
    return small((9, 4, 1, 12), 7, segments={"text": cut(26, 7, shuffle=True)})


def tiny_maps(form: str) -> Example:
    lengths = [5, 3]
    mass = 0.9 if form == "top-p" else None
    return small(
        tuple(lengths),
        sites=[site("lstm/l0/hidden", 3)],
        segments={"text": by_document(lengths, 3, shuffle=True)},
        predictions=None,
        maps=(Maps.random(map_site(n_heads=2, form=form, mass=mass), lengths, lengths),),
    )


def test_every_prefix_of_the_writes_opens_and_resumes(tmp_path, monkeypatch):
    example, log, path = tiny(), Log(monkeypatch), tmp_path / "run.h5"
    log.record(path, example, per_commit=2)
    final = path.read_bytes()
    log.replay(path, len(log.writes))
    assert path.read_bytes() == final  # nothing but the logged writes has changed the file
    done = []
    for n_writes in range(len(log.writes) + 1):
        log.replay(path, n_writes)
        done.append(check_resumes(path, example))
    assert done == sorted(done)
    assert set(done) == {0, 2, 4}


@pytest.mark.parametrize("form", ["full", "top-p"])
def test_every_prefix_of_a_recording_with_attention(tmp_path, monkeypatch, form):
    example, log, path = tiny_maps(form), Log(monkeypatch), tmp_path / "run.h5"
    log.record(path, example, per_commit=2)
    final = path.read_bytes()
    log.replay(path, len(log.writes))
    assert path.read_bytes() == final
    done = []
    for n_writes in range(len(log.writes) + 1):
        log.replay(path, n_writes)
        done.append(check_resumes(path, example))
        assert not path.with_name("run.h5.new").exists()
    assert done == sorted(done)
    assert set(done) == {0, 2, 3}


def test_torn_writes_open_and_resume(tmp_path, monkeypatch):
    example, log, path = tiny(), Log(monkeypatch), tmp_path / "run.h5"
    log.record(path, example, per_commit=1)
    for n_writes, (_, offset, data) in enumerate(log.writes, start=1):
        if len(data) == 8:
            # The counters: within one sector, which neither kill nor power cut divides.
            assert offset // 512 == (offset + 7) // 512
            continue
        log.replay(path, n_writes, torn=len(data) // 2)
        check_resumes(path, example)


def test_every_prefix_of_laying_out_leaves_no_recording(tmp_path, monkeypatch):
    example, path = tiny(), tmp_path / "run.h5"
    writes: list[tuple[int, bytes]] = []
    pwrite = os.pwrite

    def log_write(fd: int, data: Any, offset: int) -> int:
        writes.append((offset, bytes(data)))
        return pwrite(fd, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", log_write)
        with RecordingWriter.create(path, example.plan()):
            pass
    final = path.read_bytes()
    path.unlink()
    cuts = {0, *(n for _, data in writes for n in range(0, len(data), len(data) // 16 + 1))}
    leftover = path.with_name(path.name + ".new")
    for i, n_bytes in enumerate(sorted(cuts)):
        contents = bytearray(len(final))
        for offset, data in writes:
            contents[offset : offset + min(len(data), n_bytes)] = data[:n_bytes]
        leftover.write_bytes(contents)
        with pytest.raises(RecordingError, match="There is no recording"):
            open_recording(path)
        with RecordingWriter.create(path, example.plan()) as writer:
            assert path.read_bytes() == final  # what was left over has left no trace
            assert not leftover.exists()
            if i % 8 == 0:
                example.finish(writer, 4)
        if i % 8 == 0:
            with open_recording(path) as recording:
                example.check(recording)
        path.unlink()


LONG = [250, 2, 400, 148]


def long_example() -> Example:
    window = {"n_heads": 2, "keys": "window:40"}
    sparse = map_site("b/attention", form="top-p", mass=0.9, **window)
    return small(
        tuple(LONG),
        sites=[site("lstm/l0/hidden", 600), site("lstm/l0/cell", 40, "float32")],
        segments={"text": by_document(LONG, 20, shuffle=True)},
        maps=tuple(Maps.random(s, LONG, LONG) for s in (map_site(**window), sparse)),
    )


def write_until_killed(path: Path, pipe: Connection) -> None:
    """In a process of its own: create or resume, and ask for leave before every step."""
    example = long_example()
    plan = example.plan()

    def step(what: str, index: int) -> None:
        pipe.send((what, index))
        pipe.recv()

    step("create", 0)
    resume = path.exists()
    with (RecordingWriter.resume if resume else RecordingWriter.create)(path, plan) as writer:
        for index in range(writer.done_segments, example.n_segments):
            step("write", index)
            example.write_segment(writer, index)
            if index % 2:
                step("commit", index)
                writer.commit(index + 1)
        writer.commit(example.n_segments)
        step("complete", example.n_segments)
        writer.complete()
    step("end", example.n_segments)


def test_twenty_real_kills(tmp_path):
    example, path = long_example(), tmp_path / "run.h5"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([write_until_killed.__module__, "interp.storage"])
    chance = random.Random(0)
    committed = 0
    for kill in range(20):
        ours, theirs = context.Pipe()
        child = context.Process(target=write_until_killed, args=(path, theirs))
        child.start()
        theirs.close()
        last = ("create", 0) if kill == 0 else ("write", kill * example.n_segments // 20)
        last = ("complete", example.n_segments) if kill == 19 else last
        while (step := ours.recv()) != last and step[1] <= last[1]:
            ours.send("go")
        ours.send("go")  # and is killed in the middle of this step, or just after it
        time.sleep(chance.random() * 0.002)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        ours.close()
        if not path.exists():
            assert kill == 0
            continue
        copy = tmp_path / "copy.h5"
        shutil.copyfile(path, copy)
        done = check_resumes(copy, example)
        assert done >= committed
        committed = done
    assert committed == example.n_segments
    check_resumes(path, example)


def test_what_a_power_cut_loses_is_written_again(tmp_path):
    example, path = tiny(), tmp_path / "run.h5"
    with RecordingWriter.create(path, example.plan()) as writer:
        for index in range(3):
            example.write_segment(writer, index)
        writer.commit(3)
        matrix = writer._layout.columns["lstm/l0/hidden"]
        row = int(example.segments["text"][2][0])
        os.pwrite(writer._file.fileno(), b"\xff\xff", matrix._offset(0, 0, row))
    with RecordingWriter.resume(path, example.plan()) as writer:
        assert writer.done_segments == 2
        example.finish(writer)
    with open_recording(path) as recording:
        example.check(recording)


def test_resuming_a_complete_recording_has_nothing_to_do(tmp_path):
    example = tiny()
    path = example.record(tmp_path / "run.h5")
    before = path.read_bytes()
    with RecordingWriter.resume(path, example.plan()) as writer:
        assert writer.is_complete
        assert writer.done_segments == example.n_segments
        writer.complete()
        with pytest.raises(ValueError, match="committed"):
            example.write_segment(writer, 0)
    assert path.read_bytes() == before


def test_killed_between_the_last_commit_and_the_end(tmp_path):
    example, path = tiny(), tmp_path / "run.h5"
    with RecordingWriter.create(path, example.plan()) as writer:
        for index in range(example.n_segments):
            example.write_segment(writer, index)
        writer.commit(example.n_segments)
    check_resumes(path, example)
