"""Measures of a recording equal those of the same maps in memory, whatever was kept of them."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import interp
from interp.cli.main import app
from interp.errors import InterpError
from interp.extraction.stopping import Interrupted
from interp.models.characters import build
from probes.heads import recorded
from probes.heads.commands import heads_of_recording
from probes.heads.reading import align_heads, layer_maps
from probes.heads.recorded import STATISTICS, RecordedMaps, blocks_of
from probes.heads.rollout import attention_rollout
from probes.heads.scores import score_heads
from probes.heads.sources import ArrayMaps
from probes.results import read_results
from tests.extraction.test_resuming import stop_after
from tests.probes.heads.maps import at, causal, earlier, uniform
from tests.probes.heads.recordings import write_heads

RNG = np.random.default_rng(5)
TOKENS = [RNG.integers(0, 12, n) for n in (30, 41, 18, 25)]


def _maps(tokens, seed):
    n = len(tokens)
    flat = uniform(causal(n), n)
    mixed = np.random.default_rng(seed).random((n, n)) ** 6 * (flat > 0)
    mixed /= mixed.sum(axis=1, keepdims=True)
    return np.stack([at(earlier(tokens, 1), flat), mixed]).astype("f4")


MAPS = {f"h.{layer}/attention": [_maps(t, layer) for t in TOKENS] for layer in range(2)}
IDS = np.split(np.roll(np.concatenate(TOKENS), -1), np.cumsum([len(t) for t in TOKENS])[:-1])
IN_MEMORY = score_heads(ArrayMaps(MAPS, TOKENS, predicted=IDS, separators=np.array([11])))


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    return {
        form: write_heads(folder / f"{form}.h5", MAPS, TOKENS, form)
        for form in ("full", "top-p", "stats")
    }


def _table(path, **options):
    with interp.open(path) as recording:
        return score_heads(RecordedMaps(recording, **options))


def _same(found, expected, tolerance=1e-6):
    assert (found.head, found.metric) == (expected.head, expected.metric)
    if expected.value is None:
        assert found.value is None and found.reason == expected.reason
    else:
        assert found.value == pytest.approx(expected.value, abs=tolerance), found.metric
        assert found.interval == pytest.approx(expected.interval, abs=tolerance, nan_ok=True)
        assert (found.baseline, found.offset) == (expected.baseline, expected.offset)
        assert (found.n_rows, found.n_documents) == (expected.n_rows, expected.n_documents)


@pytest.mark.parametrize("most", [1 << 22, 90])
def test_a_full_recording_gives_what_the_maps_give(paths, most, monkeypatch):
    """Also when a document is read in blocks of a few rows."""
    monkeypatch.setattr(recorded, "MOST_WEIGHTS", most)
    found = _table(paths["full"])
    assert len(found.scores) == len(IN_MEMORY.scores)
    for one, other in zip(found.scores, IN_MEMORY.scores, strict=True):
        _same(one, other)


@pytest.mark.parametrize("form", ["stats", "top-p"])
def test_kept_statistics_give_the_same_figures(paths, form):
    table = _table(paths[form])
    for name in (*STATISTICS, "relative_entropy"):
        for head in table.heads:
            _same(table.score(head, name), IN_MEMORY.score(head, name), 1e-5)


def test_what_statistics_cannot_tell_says_so(paths):
    table = _table(paths["stats"])
    assert "only statistics" in table.score("h.0/attention:0", "copying").reason
    assert "only statistics" in table.score("h.0/attention:0", "best_offset").reason


def test_sparse_maps_bound_the_rest_from_below(paths):
    table = _table(paths["top-p"])
    for name in ("copying", "separator"):
        found, whole = (
            table.score("h.0/attention:1", name),
            IN_MEMORY.score("h.0/attention:1", name),
        )
        assert whole.value - 0.1 < found.value <= whole.value + 1e-6
        assert found.n_rows == whole.n_rows
    assert any("lower bounds" in warning for warning in table.warnings)


def test_uint8_is_near_and_tells_of_rows_it_lost(tmp_path):
    path = write_heads(tmp_path / "run.h5", MAPS, TOKENS, dtype="uint8")
    table = _table(path)
    found, whole = (
        table.score("h.0/attention:0", "induction"),
        IN_MEMORY.score("h.0/attention:0", "induction"),
    )
    assert found.value == pytest.approx(whole.value, abs=0.01)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_a_head_with_equal_weights_never_stands_out(tmp_path, dtype):
    """In uint8 1/300 rounds up to 1/255, and rows sum to 1.18: no row is more than uniform."""
    tokens = [RNG.integers(0, 12, 300) for _ in range(3)]
    flat = {"h.0/attention": [uniform(causal(300), 300)[None].astype("f4") for _ in tokens]}
    table = _table(write_heads(tmp_path / "run.h5", flat, tokens, dtype=dtype))
    assert not [score.metric for score in table.scores if score.stands_out]
    assert table.score("h.0/attention:0", "relative_entropy").value <= 1 + 1e-6
    assert any("rounded up in storage" in w for w in table.warnings) == (dtype == "uint8")


def test_separators_are_named_or_looked_for(paths):
    table = _table(paths["full"], separators=["w3 "])
    assert table.score("h.0/attention:1", "separator").n_rows > 0
    with pytest.raises(InterpError, match="No token named 'w99 '"):
        _table(paths["full"], separators=["w99 "])


def test_sites_are_chosen_by_pattern_and_recordings_without_attention_refused(paths, tmp_path):
    assert len(_table(paths["full"], sites=["h.1/*"]).heads) == 2
    with pytest.raises(InterpError, match="matches no site"):
        _table(paths["full"], sites=["k.*"])
    from tests.probes.planted import write_recording

    plain = write_recording(tmp_path / "plain.h5", np.zeros((4, 2), "f2"), [0, 4])
    with pytest.raises(InterpError, match="holds no attention; record it with"):
        _table(plain)


def test_an_incomplete_recording_is_refused(tmp_path):
    adapter = build({"kind": "transformer", "n_layers": 1, "n_heads": 2, "n_embedding": 16})
    path = tmp_path / "a.h5"
    with pytest.raises(Interrupted):
        interp.record(
            stop_after(adapter, 4), {"a": "x = 1\n" * 5, "b": "y = 2\n" * 6, "c": "z\n" * 7}, path,
            sites=["**/attention"], batch_size=1, commit_interval_s=0.0,
        )  # fmt: skip
    with interp.open(path) as recording:
        assert not recording.is_complete and recording.done_segments > 0
        for measure in (score_heads, align_heads):
            with pytest.raises(InterpError, match="is incomplete .* Resume it first"):
                measure(recording)


def test_layers_of_a_recording_roll_out(paths):
    with interp.open(paths["full"]) as recording:
        layers = layer_maps(recording, 1)
        assert list(layers) == list(MAPS)
        assert np.allclose(layers["h.1/attention"], MAPS["h.1/attention"][1].mean(0))
        rolled = attention_rollout(list(layers.values()))
        assert rolled.shape == (2, 41, 41) and np.allclose(rolled.sum(-1), 1)
        with pytest.raises(InterpError, match="no alignment"):
            align_heads(recording)


def test_results_are_kept_beside_the_recording(paths):
    table = heads_of_recording(paths["full"], ["induction"], seed=3)
    with interp.open(paths["full"]) as recording:
        kept = [r for r in read_results(recording, "heads") if r["parameters"]["seed"] == 3]
    assert kept[0]["name"] == "scores" and kept[0]["parameters"]["sites"] == list(MAPS)
    assert kept[0]["result"]["scores"][0]["value"] == pytest.approx(table.scores[0].value)


@pytest.mark.parametrize("most", [1, 7, 50, 10_000])
def test_blocks_cover_every_row_once(most):
    ranges = causal(20)
    blocks = list(blocks_of(ranges, most))
    assert [row for first, stop in blocks for row in range(first, stop)] == list(range(20))
    for first, stop in blocks:
        assert stop - first == 1 or (stop - first) * stop <= most
    assert list(blocks_of(ranges[:0], most)) == []


def _run(*arguments):
    found = CliRunner().invoke(app, ["heads", *map(str, arguments)])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.output


def test_the_command_prints_a_table_sorted_by_a_measure(paths):
    text = _run(paths["full"], "--no-save")
    lines = text.splitlines()
    assert any(line.startswith("equal weights") for line in lines)
    assert "4 of 4 heads, sorted by induction" in text
    assert "next: no query sees the key at +1." in text
    body = [line for line in lines if line.startswith("h.")]
    assert body[0].startswith(("h.0/attention:0", "h.1/attention:0")) and "1.000*" in body[0]
    sharp = _run(paths["full"], "--metric", "confidence", "--best", 1, "--no-save")
    assert sharp.splitlines()[1].startswith(IN_MEMORY.of("confidence")[0].head)
    assert "best fixed offset" not in sharp and "1 of 4 heads" in sharp


def test_the_command_gives_json(paths):
    found = CliRunner().invoke(
        app, ["heads", str(paths["full"]), "--metric", "previous", "--json", "--no-save"]
    )
    scores = json.loads(found.stdout)["scores"]
    assert len(scores) == 4 and {s["metric"] for s in scores} == {"previous"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zoo:induction"], "add --induction"),
        (["FULL", "--metric", "entropi"], "nearest: entropy"),
        (["FULL", "--sort", "copyin"], "nearest: copying"),
        (["FULL", "--alignment"], "no alignment"),
        (["FULL", "--alignment", "--induction"], "Ask for --induction"),
    ],
)
def test_mistakes_are_one_clear_message(paths, arguments, message):
    given = [str(paths["full"]) if a == "FULL" else a for a in arguments]
    with pytest.raises(InterpError, match=message):
        _run(*given, "--no-save")
