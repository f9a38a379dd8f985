"""The commands around a recording: what they print, and one clear message with status 2."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import interp
from interp.cli.main import main

ROOT = Path(__file__).parents[2]

FACTORY = """
import torch
from interp.models.characters import build

def tiny():
    return build({"kind": "lstm", "n_layers": 2, "n_hidden": 8, "n_embedding": 4})

def attentive():
    return build({
        "kind": "transformer", "n_layers": 2, "n_heads": 2, "n_embedding": 8, "context_length": 32
    })

def poisoned():
    adapter = tiny()
    with torch.no_grad():
        adapter.module.lstm.weight_hh_l1[3, 2] = float("nan")
    return adapter

def bare():
    return torch.nn.LSTM(3, 4)

def loud():
    # The cell state grows by one a step, so float16 overflows only far into the text.
    adapter = tiny()
    with torch.no_grad():
        for name, parameter in adapter.module.lstm.named_parameters():
            parameter.zero_()
        bias = adapter.module.lstm.bias_ih_l0
        bias[:24] = 100.0
    adapter.module.scaled = Scaled()
    return Scaling(adapter)

class Scaled(torch.nn.Module):
    def forward(self, x):
        return x * 1000

class Scaling:
    def __init__(self, adapter):
        self.__dict__.update(vars(adapter))
        self._adapter = adapter
        self.predicts, self.carries_state = "next", True
        self.encode, self.decode = adapter.encode, adapter.decode

    def forward(self, ids, lengths, state):
        logits, state = self._adapter.forward(ids, lengths, state)
        self.module.scaled(state[1][0][:, None, :].expand(-1, ids.shape[1], -1))
        return logits, state
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with model factories and a corpus; one torch thread."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.delitem(sys.modules, "factories", raising=False)
    (tmp_path / "factories.py").write_text(FACTORY)
    (tmp_path / "corpus.txt").write_text("def f(x):\n    return 'quoted' + x\n" * 8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    sys.modules.pop("factories", None)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line in this process; return status, standard output, standard error."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["interp", *map(str, words)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


def refused(result):
    """Return the message of a refusal, which is one line with status 2 and no traceback."""
    status, out, err = result
    assert status == 2
    assert out == ""
    message = err.strip().splitlines()[-1]
    assert message.startswith("interp: ")
    assert "Traceback" not in err
    return message


RECORD = ("record", "py:factories:tiny", "corpus.txt", "-o", "run.h5")


def test_record_leaves_a_complete_recording_and_a_summary(folder, run):
    status, out, err = run(*RECORD, "--sites", "lstm/*/cell,**/hidden", "--window", "16")
    assert status == 0
    assert "1 document, 272 positions, 4 sites with 32 units" in out
    assert "mean loss" in out
    assert "272 positions, 4 sites with 32 units: " in err and "about" in err
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


def test_info_says_what_is_in_the_file(folder, run):
    run(*RECORD)
    status, out, _ = run("info", "run.h5", "--verify")
    assert status == 0
    for expected in ("complete", "272 positions", "lstm/l1/hidden", "checksums agree"):
        assert expected in out
    status, out, _ = run("info", "run.h5", "--json")
    described = json.loads(out)
    assert described["complete"] is True
    assert [site["name"] for site in described["sites"]] == ["lstm/l0/hidden", "lstm/l1/hidden"]
    assert described["provenance"]["model"]["spec"] == "py:factories:tiny"


def test_info_of_what_is_no_recording(folder, run):
    with h5py.File("other.h5", "w") as file:
        file["x"] = np.zeros(3)
    run(*RECORD)
    Path("cut.h5").write_bytes(Path("run.h5").read_bytes()[:3000])
    for name in ("missing.h5", "other.h5", "corpus.txt", "cut.h5"):
        assert name in refused(run("info", name))


def test_verify_finds_a_changed_byte(folder, run):
    run(*RECORD, "--sites", "lstm/l0/hidden")
    with h5py.File("run.h5", "r") as file:
        offset = file["activations/lstm/l0/hidden"].id.get_chunk_info(0).byte_offset
    raw = bytearray(Path("run.h5").read_bytes())
    raw[offset + 40] ^= 1
    Path("run.h5").write_bytes(raw)
    message = refused(run("info", "run.h5", "--verify"))
    assert "lstm/l0/hidden" in message


def test_sites_lists_names_and_units(folder, run):
    status, out, _ = run("sites", "py:factories:tiny")
    assert status == 0
    for expected in ("lstm/l0/input_gate", "head/output", "98"):
        assert expected in out
    status, out, _ = run("sites", "py:factories:tiny", "--json", "--sites", "**/cell")
    listed = json.loads(out)
    assert [site["name"] for site in listed] == ["lstm/l0/cell", "lstm/l1/cell"]
    assert {site["n_units"] for site in listed} == {8}


def test_sites_of_a_bare_module(folder, run):
    assert "lstm/l0/cell" in run("sites", "py:factories:bare")[1]
    status, out, _ = run("sites", "py:factories:bare", "--input-shape", "5x2x3", "--json")
    assert status == 0 and json.loads(out)[0]["n_units"] == 4
    assert "1x20x8" in refused(run("sites", "py:factories:bare", "--input-shape", "a"))
    assert "--input-shape" in refused(run("sites", "py:factories:bare", "--input-shape", "1x2x9"))


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


def test_info_imports_no_torch(folder, run):
    run(*RECORD)
    code = "import sys; sys.argv = ['interp', 'info', 'run.h5']\n"
    code += "from interp.cli.main import main\nmain()\n"
    code += "assert not {'torch', 'pandas', 'dash'} & set(sys.modules), 'heavy import'"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)


@pytest.mark.parametrize("ending", ["csv", "npz", "safetensors"])
def test_export_writes_a_selection(folder, run, ending):
    run(*RECORD)
    output = f"unit.{ending}"
    status, out, _ = run("export", "run.h5", "lstm/l0/hidden:3@doc0:0-9", "-o", output)
    assert status == 0 and "10 rows" in out
    assert Path(output).stat().st_size > 0
    assert output in refused(run("export", "run.h5", "lstm/l0/hidden:3", "-o", output))
    assert "lstm/l0/hidden" in refused(run("export", "run.h5", "lstm/l0/hiden:3", "-o", "x.csv"))


def test_attention_from_record_to_export(folder, run):
    arguments = ["corpus.txt", "-o", "maps.h5", "-s", "**/attention,**/query"]
    record = ["record", "py:factories:attentive", *arguments, "--attention-dtype", "uint8"]
    status, out, err = run(*record)
    assert status == 0
    assert "grow with the square of a document's length, here a position sees up to 32 keys" in err
    assert "2 attention sites with 4 heads: full maps as uint8, each weight within 0.002" in out

    status, out, _ = run("info", "maps.h5", "--verify", "--json")
    (first, second) = json.loads(out)["attention_sites"]
    assert (first["form"], first["keys"], first["n_heads"]) == ("full", "causal", 2)
    status, out, _ = run("info", "maps.h5")
    assert "of 32 positions, 16 apart" in out and second["name"].split("/")[0] in out

    head = f"{first['name']}:1@doc0:40-49"
    status, out, _ = run("export", "maps.h5", head, "-o", "head.npz")
    assert status == 0 and "10 queries" in out
    weights = np.load("head.npz")["weights_0"]
    assert weights.shape == (1, 10, 272)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=0.06)
    refusal = refused(run("export", "maps.h5", f"{first['name']}:2", "-o", "x.npz"))
    assert "head 2" in refusal and "2 heads (0-1)" in refusal

    record[-2:] = ["--attention", "stats", "--overwrite"]
    assert run(*record)[0] == 0
    assert "did you mean 'full'" in refused(run(*record[:-2], "ful", "--overwrite"))
    status, out, _ = run("export", "maps.h5", f"{first['name']}@doc0", "-o", "statistics.csv")
    assert Path("statistics.csv").read_text().splitlines()[0].endswith("induction_mass")
