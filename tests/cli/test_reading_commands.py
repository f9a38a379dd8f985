"""`interp info`, `sites` and `export`: what they print, and one clear message with status 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cli.commands import RECORD, ROOT, refused


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
