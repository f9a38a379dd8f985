"""`interp dynamics`: from a recording or a model to a table, JSON and a file beside it."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import interp
from interp.cli.main import app
from interp.errors import InterpError
from interp.models.characters import PRINTABLE, CharacterAdapter
from probes.reloading import load_model_of
from probes.results import read_results

TEXTS = {
    f"shop{i}.py": f"def price{i}(tea):\n    return {i}  # for 'members'\n" * 6 for i in range(4)
}
SITES = ["**/hidden", "**/cell", "**/*_gate"]
FACTORY = """
import torch
from torch import nn
from interp.models.characters import PRINTABLE, CharacterAdapter

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(len(PRINTABLE), 4)
        self.body = nn.{kind}(4, 6, 2, batch_first=True)
        self.head = nn.Linear(6, len(PRINTABLE))

    def forward(self, ids, state=None):
        hidden, state = self.body(self.embedding(ids), state)
        return self.head(hidden), state

def net():
    return CharacterAdapter(Net())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("dynamics")
    for kind in ("LSTM", "GRU"):
        (path / f"own_{kind.lower()}_nets.py").write_text(FACTORY.format(kind=kind))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(path))
        interp.record("py:own_lstm_nets:net", TEXTS, path / "run.h5", sites=SITES, top_k=0)
        yield path


def _run(*arguments):
    done = CliRunner().invoke(app, ["dynamics", *map(str, arguments)])
    if isinstance(done.exception, InterpError):
        raise done.exception
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.stdout


def _json(*arguments):
    return json.loads(_run(*arguments, "--json"))


def _kept(path, name):
    with interp.open(path) as recording:
        return [r for r in read_results(recording, "dynamics") if r["name"] == name]


def test_saturation_is_printed_and_kept_beside_the_recording(folder):
    run = folder / "run.h5"
    table = _run("saturation", run, "--skip", 3)
    assert "4 documents" in table and "body/l1/forget_gate" in table
    found = _json("saturation", run, "--skip", 3)
    assert [gate["n_units"] for gate in found["gates"]] == [6] * 6  # i, f, o of two layers
    (kept,) = _kept(run, "saturation")  # asked twice, kept once
    assert kept["result"] == found and kept["parameters"]["skip"] == 3
    _run("saturation", run, "--sites", "**/forget_gate", "--no-save")
    assert len(_kept(run, "saturation")) == 1


def test_timescales_of_every_layer(folder):
    found = _json("timescales", folder / "run.h5", "--max-lag", 50)
    assert [layer["layer"] for layer in found["layers"]] == ["body/l0", "body/l1"]
    assert _kept(folder / "run.h5", "timescales")[0]["result"] == found
    assert "Spearman" in _run("timescales", folder / "run.h5", "--max-lag", 50)


def test_a_recordings_model_is_found_again_and_checked(folder):
    run = folder / "run.h5"
    gates = _json("weights", run, "--layer", "body/l1")
    assert {gate["layer"] for gate in gates} == {"body/l1"} and len(gates) == 4
    (kept,) = _kept(run, "weights")
    assert kept["parameters"]["model"] == "py:own_lstm_nets:net"
    assert "spectral radius" in _run("weights", "py:own_gru_nets:net")
    with pytest.raises(InterpError, match="is not the model of .*weights have the hash"):
        _run("weights", run, "--model", "py:own_gru_nets:net")
    with pytest.raises(InterpError, match="zooo:code-lstm.*nearest: zoo:code-lstm"):
        _run("weights", "zooo:code-lstm")
    with pytest.raises(InterpError, match="no-such.h5"):
        _run("weights", folder / "no-such.h5")
    with pytest.raises(InterpError, match="--random-init goes with a model"):
        _run("weights", run, "--random-init")


def test_a_model_given_as_an_object_has_to_be_named(folder, tmp_path):
    adapter = CharacterAdapter(torch.nn.Identity(), PRINTABLE)
    with interp.open(folder / "run.h5") as recording:
        recording.provenance["model"]["spec"] = "object:Net"
        with pytest.raises(InterpError, match="cannot be loaded from its name.*--model"):
            load_model_of(recording)
        with pytest.raises(InterpError, match="is not the model of"):
            load_model_of(recording, adapter)


def test_jacobians_along_the_recorded_text(folder):
    found = _json("jacobian", folder / "run.h5", "--positions", 4, "--skip", 5, "--lyapunov", 2)
    assert [layer["n_state"] for layer in found] == [12, 12]
    assert len(found[0]["places"]) == 4 and len(found[0]["lyapunov"]) == 2
    assert found[0]["step_error"] < 1e-5
    assert "Lyapunov" in _run("jacobian", folder / "run.h5", "--positions", 2, "--skip", 5)


def test_gradients_by_lag_of_the_recorded_text(folder):
    arguments = ["--lags", 30, "--windows", 6, "--truncate", 10, "--clip", 0.1]
    found = _json("gradients", folder / "run.h5", *arguments)
    assert [layer["layer"] for layer in found["layers"]] == ["body/l0", "body/l1"]
    first = found["layers"][0]
    assert len(first["mean"]) == 31 and len(first["truncated"]["10"]) == 31
    assert found["n_windows"] == 6 and found["n_documents"] == 4
    assert len(found["clip_factor"]) == 6 and max(found["clip_factor"]) <= 1
    table = _run("gradients", folder / "run.h5", *arguments)
    assert "truncated at 10" in table and "factor per step" in table


def test_gradients_of_a_window_are_those_of_the_whole_document(folder):
    """The state carried into a window is the one that the document led to."""
    from probes.dynamics import gradient_by_lag, texts

    with interp.open(folder / "run.h5") as recording:
        adapter = load_model_of(recording).adapter
        ids = recording.stream().token_ids[: len(TEXTS["shop0.py"])]
    (window,) = texts.windows(adapter, [ids], 21, 1, seed=3)
    start = next(i for i in range(200) if np.array_equal(ids[i : i + 21], window.ids[0]))
    assert start > 0
    found = gradient_by_lag(
        adapter.module, [window], texts.losses, forward=texts.forward(adapter), n_lags=20,
        fit=(1, 20),
    ).layers[0]  # fmt: skip
    whole = torch.as_tensor(np.asarray(ids[: start + 22], np.int64))[None]
    embedded = adapter.module.embedding(whole[:, :-1]).detach().requires_grad_()
    logits = adapter.module.head(adapter.module.body(embedded)[0])
    loss = torch.nn.functional.cross_entropy(logits[0, -1:], whole[0, -1:])
    expected = torch.autograd.grad(loss, embedded)[0][0].flip(0)[:21].norm(dim=-1)
    np.testing.assert_allclose(found.mean, expected.numpy(), rtol=1e-4, atol=1e-9)


def test_figures_show_what_was_found(folder, tmp_path):
    from probes.dynamics import figures, measure_saturation, measure_timescales

    with interp.open(folder / "run.h5") as recording:
        saturation = measure_saturation(recording)
        timescales = measure_timescales(recording, max_lag=10)
    scatter = figures.saturation_scatter(saturation)
    panels = [trace for trace in scatter.data if trace.mode == "markers"]
    np.testing.assert_array_equal(panels[1].x, saturation.gates[1].right)
    np.testing.assert_array_equal(panels[1].y, saturation.gates[1].left)
    assert panels[0].text[2] == "body/l0/input_gate:2"
    (lower, _) = figures.timescale_scatter(timescales).data
    assert np.isfinite(lower.y).all() and max(lower.y) <= 10
    output = tmp_path / "gradients.html"
    arguments = ["--lags", 30, "--windows", 2, "--truncate", 10, "--clip", 1, "--no-save"]
    _run("gradients", folder / "run.h5", *arguments, "--figure", output)
    assert "l1, truncated at 10" in output.read_text(encoding="utf-8")
    with pytest.raises(InterpError, match=r"written as \.html, not '.png'"):
        _run("saturation", folder / "run.h5", "--figure", tmp_path / "a.png")


def test_truncation_on_the_recorded_text(folder, tmp_path):
    arguments = ["--steps", 64, "--window", 8, "--documents", 3, "--clip", 0.05]
    found = _json("truncation", folder / "run.h5", *arguments)
    short, full = found["updates"]
    assert (short["window"], full["window"]) == (8, 64) and len(short["norm"]) == 8
    assert full["cosine"] == pytest.approx(1) and short["cosine"] < 1
    assert found["n_documents"] == 3
    assert "cosine to full" in _run("truncation", folder / "run.h5", *arguments)
    with pytest.raises(InterpError, match="the longest has"):
        _run("truncation", folder / "run.h5", "--steps", 4_096, "--window", 32)


def test_a_model_reads_a_corpus_and_keeps_its_result_in_a_file(folder, tmp_path):
    (tmp_path / "a.txt").write_text("All happy families are alike; each unhappy one is not.\n" * 3)
    output = tmp_path / "gradients.json"
    arguments = ["--corpus", tmp_path / "a.txt", "--lags", 25, "--windows", 1]
    found = _json("gradients", "py:own_gru_nets:net", *arguments, "-o", output)
    kept = json.loads(output.read_text())
    assert kept["result"] == found and kept["kind"] == "dynamics"
    assert kept["parameters"]["weights_hash"] and kept["fingerprint"] is None
    other = _json("gradients", "py:own_gru_nets:net", *arguments, "--random-init", "--seed", 3)
    assert other["layers"][0]["mean"] != found["layers"][0]["mean"]
    with pytest.raises(InterpError, match="Which text should the model read.*--corpus"):
        _run("gradients", "py:own_gru_nets:net")
    with pytest.raises(InterpError, match="no recurrent module of torch.*Linear"):
        _run("gradients", "zoo:induction", "--corpus", tmp_path / "a.txt")
    with pytest.raises(InterpError, match="zoo:flip-flop is a bare module"):
        _run("jacobian", "zoo:flip-flop", "--corpus", tmp_path / "a.txt")


def test_fixed_points_under_a_token(folder):
    run = folder / "run.h5"
    found = _json("fixed-points", run, "--token", "e", "--starts", 32, "--read-out", "head")
    assert found["n_state"] == 24 and found["n_stable"] >= 1
    assert len(found["points"][0]["output"]) == len(PRINTABLE)
    assert "stable" in _run("fixed-points", run, "--token", "e", "--starts", 32)
    for arguments, message in (
        ([], "under every token: give --token"),
        (["--token", "ee"], "'ee' is 2 to this model"),
        (["--token", "e", "--input", "1"], "not both"),
        (["--input", "1,x"], "numbers with commas.*'1,x'"),
        (["--input", "1,2"], "reads 4 inputs"),
        (["--token", "e", "--read-out", "haed"], "No module named 'haed'; nearest: head"),
        (["--token", "e", "--read-out", "embedding"], "embedding cannot be read"),
        (["--token", "e", "--module", "rnn"], "No recurrent module named 'rnn'"),
    ):
        with pytest.raises(InterpError, match=message):
            _run("fixed-points", run, *arguments)
    with pytest.raises(InterpError, match="name a recording"):
        _run("fixed-points", "py:own_lstm_nets:net")


def test_the_flip_flop_of_a_recording_made_from_batches(tmp_path):
    from interp.training.flip_flop import pulses_and_bits

    pulses, _ = pulses_and_bits(np.random.default_rng(0), 8, 100)
    run = tmp_path / "run.h5"
    interp.record("zoo:flip-flop", [pulses], run, sites=["gru/*"], dtype="float32")
    found = _json("fixed-points", run, "--read-out", "head")
    assert found["n_stable"] == 8
    assert len({tuple(p["code"]) for p in found["points"] if p["is_stable"]}) == 8
    assert _kept(run, "fixed_points")[0]["result"]["n_saddles"] == found["n_saddles"] > 0
    with pytest.raises(InterpError, match="zoo:flip-flop is a bare module"):
        _run("gradients", run, "--lags", 25)
    tables = _run("timescales", run, "--max-lag", 30)
    assert "gru/l0" in tables
