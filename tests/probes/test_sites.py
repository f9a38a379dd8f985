"""Sites that hold the same values under two names are asked once."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import interp
import probes
from interp.cli.main import app
from probes.sites import choose_sites
from tests.probes.planted import slow_labels, write_recording

N, STARTS = 2_000, np.arange(0, 2_001, 100)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(0)
    low, top = rng.normal(size=(2, N, 6)).astype(np.float16)
    top[:, 2] += 3 * slow_labels(N)
    almost = top.copy()
    almost[1_990, 3] += 1  # in the last of the positions that are compared
    arrays = {
        "embedding/output": low + 1, "dropout/output": low + 1, "lstm/l0/hidden": low,
        "lstm/l1/hidden": top, "lstm/l1/cell": top, "lstm/output": top, "norm/output": almost,
    }  # fmt: skip
    return write_recording(tmp_path_factory.mktemp("copies") / "run.h5", arrays, STARTS)


@pytest.mark.parametrize(
    ("patterns", "copies"),
    [
        ("lstm/*", {"lstm/output": "lstm/l1/hidden"}),
        (None, {"dropout/output": "embedding/output", "lstm/output": "lstm/l1/hidden"}),
        ("**/output", {"dropout/output": "embedding/output"}),
        (["lstm/*", "lstm/output"], {}),
        (["lstm/output", "lstm/l1/hidden"], {}),
        (["lstm/l0/*", "lstm/out*"], {}),
        (["dropout/output", "embedding/*"], {"embedding/output": "dropout/output"}),
    ],
)
def test_an_output_is_left_out_beside_the_site_whose_values_it_has(path, patterns, copies):
    with interp.open(path) as recording:
        found = choose_sites(recording, patterns, "text")
        assert found.copies == copies
        assert not set(found.names) & set(copies)
        assert "norm/output" in found.names or patterns not in (None, "**/output")


def test_the_same_unit_stands_once_in_a_ranking_and_the_table_says_so(path):
    labels = slow_labels(N)
    with interp.open(path) as recording:
        recording.write_annotation("slow", labels, kind="binary", overwrite=True)
        ranking = probes.rank(recording, "slow", ["lstm/*/hidden", "lstm/o*"], n_swaps=0)[0]
        assert ranking.best.unit == "lstm/l1/hidden:2" and ranking.n_units == 12
        assert ranking.copies == {"lstm/output": "lstm/l1/hidden"}
        named = probes.rank(recording, "slow", ["lstm/l1/hidden", "lstm/output"], n_swaps=0)[0]
        assert {s.unit for s in named.scores[:2]} == {"lstm/l1/hidden:2", "lstm/output:2"}
    table = CliRunner().invoke(app, ["rank", str(path), "--concept", "slow"]).stdout
    assert "lstm/output holds the values of lstm/l1/hidden and was left out; name it" in table


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_output_of_a_recurrent_net_is_known_as_its_top_layer(tmp_path, bidirectional):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(5, 3)
            self.lstm = torch.nn.LSTM(3, 4, 2, batch_first=True, bidirectional=bidirectional)

        def forward(self, ids):
            return self.lstm(self.embedding(ids))[0]

    torch.manual_seed(0)
    ids = [torch.randint(0, 5, (1, n)) for n in (9, 12, 7)]
    interp.record(
        Net().eval(), ids, tmp_path / "run.h5", sites=["lstm/*"], top_k=0,
        forward=lambda model, batch: model(batch), progress=False,
    )  # fmt: skip
    with interp.open(tmp_path / "run.h5") as recording:
        stream = next(iter(recording.streams))
        top = "lstm/l1/hidden" + (" and lstm/l1_reverse/hidden" if bidirectional else "")
        assert choose_sites(recording, "lstm/*", stream).copies == {"lstm/output": top}
        lower = ["lstm/l0/hidden", "lstm/o*"]  # the top layer is not among them
        assert choose_sites(recording, lower, stream).copies == {}


def test_a_search_by_positions_says_what_it_left_out(path):
    with interp.open(path) as recording:
        found = probes.search_units(recording, [(100, 140), (600, 640)], "lstm/*")
    assert found.copies == {"lstm/output": "lstm/l1/hidden"}
    assert not any(unit.site == "lstm/output" for unit in found)
    arguments = ["rank", str(path), "--positions", "doc1:0-40,doc6:0-40", "--sites", "lstm/*"]
    said = "lstm/output holds the values of lstm/l1/hidden and was left out; name it to have it."
    assert said in CliRunner().invoke(app, arguments).stdout
    as_json = CliRunner().invoke(app, [*arguments, "--json"]).stdout
    assert json.loads(as_json)["copies"] == {"lstm/output": "lstm/l1/hidden"}


def test_what_a_recording_does_not_hold_is_looked_up_in_the_recording(path, tmp_path):
    with interp.open(path) as recording, pytest.raises(interp.InterpError) as error:
        choose_sites(recording, "lstm/l7/hidden", "text")
    assert "nearest: lstm/l1/hidden" in str(error.value)
    assert "`interp info RUN`" in str(error.value) and "MODEL" not in str(error.value)
    maps = tmp_path / "maps.h5"
    interp.record("zoo:induction", {"a": "ABCABC"}, maps, sites=["**/attention"])
    with interp.open(maps) as recording, pytest.raises(interp.InterpError, match="no units.*heads"):
        choose_sites(recording, None, "text")
