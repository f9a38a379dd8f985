"""`interp record`: what it prints and leaves, and one clear message with status 2."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import interp
from tests.cli.commands import RECORD, ROOT, refused


def test_record_leaves_a_complete_recording_and_a_summary(folder, run):
    status, out, err = run(*RECORD, "--sites", "lstm/*/cell,**/hidden", "--window", "16")
    assert status == 0
    assert "1 document, 272 positions, 4 sites with 32 units" in out
    assert "mean loss" in out
    assert "272 positions, 4 sites with 32 units: " in err
    with interp.open("run.h5") as recording:
        assert recording.is_complete
        assert recording.streams["text"].documents[0].name == "corpus.txt"
        command = recording.provenance["command"]
        assert command.startswith("interp record py:factories:tiny corpus.txt -o run.h5")
        assert str(folder) not in json.dumps(recording.provenance)


def test_record_prints_json_on_request(folder, run):
    status, out, _ = run(*RECORD, "--json", "--quiet", "--top-k", "0")
    assert status == 0
    summary = json.loads(out)
    assert summary["n_positions"] == 272
    assert summary["mean_loss"] is None


def test_weights_are_loaded_into_a_factory(folder, run):
    from interp.models import load

    torch.manual_seed(5)
    shapes = load("py:factories:tiny").module.state_dict()
    state = {name: torch.randn_like(values) for name, values in shapes.items()}
    save_file(state, "w.safetensors")
    torch.save(state, "w.pt")
    hashes = set()
    for name in ("w.safetensors", "w.pt"):
        status, _, _ = run(*RECORD, "--weights", name, "--overwrite")
        assert status == 0
        with interp.open("run.h5") as recording:
            hashes.add(recording.provenance["model"]["weights_hash"])
    assert len(hashes) == 1


def test_lines_jsonl_and_directories(folder, run):
    (folder / "data.jsonl").write_text('{"body": "one"}\n{"body": "three"}\n')
    (folder / "src").mkdir()
    (folder / "src" / "a.py").write_text("x = 1\n")
    (folder / "src" / "b.md").write_text("text\n")
    for words, n_documents, n_positions in [
        (["corpus.txt", "--lines"], 16, 256),
        (["data.jsonl", "--field", "body"], 2, 8),
        (["src", "--glob", "**/*.py"], 1, 6),
        (["src", "corpus.txt"], 3, 283),
    ]:
        status, out, err = run(
            "record", "py:factories:tiny", *words, "-o", "run.h5", "--json", "--overwrite"
        )
        assert status == 0, err
        summary = json.loads(out)
        assert (summary["n_documents"], summary["n_positions"]) == (n_documents, n_positions)


TINY = "py:factories:tiny"


BAD_INPUT = [
    ([TINY, "corpsu.txt"], "No file or directory corpsu.txt; nearest in .: corpus.txt"),
    ([TINY, "empty.txt"], "The corpus is empty: empty.txt holds"),
    ([TINY, "binary.txt"], "binary.txt is not a text file (byte 0x00 at offset 3)"),
    ([TINY, "corpus.txt", "--sites", "lstm/l0/cel"], "'lstm/l0/cel'; nearest: lstm/l0/cell"),
    ([TINY, "corpus.txt", "--sites", "gru/*"], "'gru/*'"),
    (["py:factories:poisoned", "corpus.txt"], "lstm.weight_hh_l1"),
    (["py:factories:tinny", "corpus.txt"], "'tinny'; nearest: tiny"),
    (["py:nowhere:tiny", "corpus.txt"], "importing nowhere failed"),
    (["py:factories:bare", "corpus.txt"], "bare module"),
    (["zoo:nothing", "corpus.txt"], "nothing"),
    ([TINY, "corpus.txt", "--device", "gpu9"], "Device 'gpu9' cannot be used"),
    ([TINY, "corpus.txt", "--weights", "missing.pt"], "missing.pt"),
    ([TINY, "corpus.txt", "--weights", "other.pt"], "other.pt"),
    ([TINY, "corpus.txt", "--weights", "shape.pt"], "lstm.weight_hh_l0"),
    ([TINY, "corpus.txt", "--weights", "corpus.txt"], "corpus.txt"),
    ([TINY, "corpus.txt", "--resume", "--overwrite"], "not both"),
    ([TINY, "corpus.txt", "-o", "nowhere/run.h5"], "no folder nowhere"),
]


@pytest.mark.parametrize(("words", "message"), BAD_INPUT)
def test_bad_input_is_one_message_and_leaves_nothing(folder, run, words, message):
    from interp.models import load

    (folder / "empty.txt").touch()
    (folder / "binary.txt").write_bytes(b"abc\0def")
    torch.save({"other.weight": torch.zeros(2)}, "other.pt")
    state = load("py:factories:tiny").module.state_dict()
    torch.save({**state, "lstm.weight_hh_l0": torch.zeros(3, 3)}, "shape.pt")
    before = sorted(os.listdir())
    output = [] if "-o" in words else ["-o", "run.h5"]
    assert message in refused(run("record", *words, *output))
    assert sorted(os.listdir()) == before


def test_pickled_code_in_weights_is_not_run(folder, run):
    class Evil:
        def __reduce__(self):
            return os.mkdir, ("owned",)

    torch.save({"a": Evil()}, "evil.pt")
    assert "evil.pt" in refused(run(*RECORD, "--weights", "evil.pt"))
    assert not Path("owned").exists()


def test_existing_output_needs_a_decision(folder, run):
    assert run(*RECORD)[0] == 0
    message = refused(run(*RECORD))
    assert "run.h5 exists" in message and "--resume" in message and "--overwrite" in message
    assert run(*RECORD, "--resume")[0] == 0
    assert run(*RECORD, "--overwrite")[0] == 0


def test_overflow_in_mid_run_tells_what_and_where(folder, run):
    (folder / "long.txt").write_text("x" * 300)
    words = ["record", "py:factories:loud", "long.txt", "-o", "run.h5", "--window", "10"]
    message = refused(run(*words, "--sites", "scaled/output"))
    assert "scaled/output:" in message and "of long.txt" in message
    assert "--dtype float32" in message
    assert "run.h5 keeps the 60 positions" in message
    assert run("info", "run.h5")[0] == 0


def test_full_disk_is_refused_before_the_run(folder, run, monkeypatch):
    usage = type("Usage", (), {"free": 1000, "total": 1000, "used": 0})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    message = refused(run(*RECORD))
    assert "disk" in message.lower()
    assert not Path("run.h5").exists()


def test_disk_that_fills_in_mid_run_keeps_what_was_done(folder, run, monkeypatch):
    from interp.errors import StorageError
    from interp.storage import RecordingWriter

    write, left = RecordingWriter.write, iter(range(9))

    def filling(self, *arguments):
        if next(left, None) is None:
            raise StorageError("The disk is full.")
        return write(self, *arguments)

    monkeypatch.setattr(RecordingWriter, "write", filling)
    message = refused(run(*RECORD, "--window", "16"))
    assert "The disk is full." in message and "run.h5 keeps the 64 positions" in message
    monkeypatch.setattr(RecordingWriter, "write", write)
    status, out, _ = run(*RECORD, "--window", "16", "--resume")
    assert status == 0 and "64 positions were there already" in out


def test_second_writer_is_refused(folder, run):
    from interp.storage.rawio import open_locked

    assert run(*RECORD)[0] == 0
    lock = open_locked(Path("run.h5"), "run.h5")
    try:
        for way in ("--resume", "--overwrite"):
            assert "another process" in refused(run(*RECORD, way))
    finally:
        os.close(lock)


def test_resume_with_another_corpus_is_refused(folder, run):
    assert run(*RECORD)[0] == 0
    (folder / "corpus.txt").write_text("other")
    assert "corpus differs" in refused(run(*RECORD, "--resume"))


def test_ctrl_c_leaves_a_file_that_resumes(folder):
    (folder / "long.txt").write_text("x = 'y'\n" * 40_000)
    words = [sys.executable, "-m", "interp.cli.main", "record", "py:factories:tiny", "long.txt"]
    words += ["-o", "run.h5", "--window", "32", "--dtype", "float32"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not Path("run.h5").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    message = err.strip().splitlines()[-1]
    assert message.startswith("interp: Stopped. run.h5 holds ") and "--resume" in message
    assert "Traceback" not in err
    with interp.open("run.h5") as recording:
        assert not recording.is_complete
