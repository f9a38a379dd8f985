"""A recording of an encoder-decoder: alignment of its heads, and what they have no measure of."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import interp
from interp.cli.main import app
from interp.errors import InterpError
from interp.storage import AttentionPlan
from probes.heads.reading import align_heads, layer_maps
from probes.heads.scores import score_heads
from probes.results import read_results
from tests.storage.example import Example, by_document, stream
from tests.storage.maps import Maps, map_site, ranges_for

SOURCE, TARGET = [6, 8, 5, 7], [5, 7, 4, 6]


def _walking(n_queries, n_keys):
    """Head 0 takes one key per step and ends at the first; head 1 rests on one key."""
    maps = np.full((2, n_queries, n_keys), 0.1 / (n_keys - 1))
    steps = np.arange(n_queries)
    maps[0, steps, np.r_[steps[:-1], 0]] = 0.9
    maps[1, :, 2] = 0.9
    return maps.astype("f4")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    cross = map_site("d/attention", 2, "float32", "document", stream="target", key_stream="source")
    own = map_site("e/attention", 2, "float32", "document", stream="source", key_stream="source")
    pairs = list(zip(TARGET, SOURCE, strict=True))
    maps = (
        Maps.random(own, SOURCE, SOURCE),
        Maps(AttentionPlan(cross, ranges_for("document", TARGET, SOURCE)), [
            _walking(*pair) for pair in pairs
        ]),
    )  # fmt: skip
    streams = [stream(SOURCE, name="source"), stream(TARGET, seed=1, name="target")]
    segments = {"source": by_document(SOURCE, 99), "target": by_document(TARGET, 99)}
    example = Example(streams, [], segments, None, maps=maps)
    return example.record(tmp_path_factory.mktemp("cross") / "run.h5")


def test_a_head_that_walks_is_aligned_and_one_that_rests_is_not(path):
    with interp.open(path) as recording:
        found = align_heads(recording)
        whole = align_heads(recording, skip_last=False)
    assert list(found) == ["d/attention:0", "d/attention:1"]
    walking, resting = found.values()
    assert (walking.strict_steps, walking.strict_documents) == (1, 1)
    assert walking.spearman == pytest.approx(1)
    assert (walking.n_steps, walking.n_documents) == (sum(TARGET) - 2 * 4, 4)
    assert (resting.strict_steps, resting.strict_documents) == (0, 0)
    assert np.isnan(resting.spearman) and resting.diagonal > 1
    assert whole["d/attention:0"].strict_documents == 0  # the last step goes back


def test_measures_of_distance_belong_to_one_stream(path):
    with interp.open(path) as recording:
        table = score_heads(recording)
        assert list(layer_maps(recording, 0)) == ["e/attention"]
        with pytest.raises(InterpError, match="attend across streams"):
            layer_maps(recording, 0, ["d/attention"])
    cross = table.score("d/attention:1", "confidence")
    assert cross.value == pytest.approx(0.9) and cross.n_rows == sum(TARGET)
    assert "different streams" in table.score("d/attention:1", "previous").reason
    assert table.score("e/attention:1", "next").value is not None


def test_the_command_prints_and_keeps_the_alignment(path):
    found = CliRunner().invoke(app, ["heads", str(path), "--alignment"])
    assert found.exit_code == 0
    row = next(x for x in found.stdout.splitlines() if x.startswith("d/attention:0"))
    assert row.split()[1] == "1.000" and "4 documents, 14 steps" in found.stdout
    with interp.open(path) as recording:
        kept = read_results(recording, "heads")[0]
    assert kept["name"] == "alignment"
    printed = CliRunner().invoke(app, ["heads", str(path), "--alignment", "--json", "--no-save"])
    assert json.loads(printed.stdout) == kept["result"]["heads"]
