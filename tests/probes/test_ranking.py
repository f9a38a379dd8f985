"""Ranking on planted units, and what it refuses."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import interp
import probes
from interp.cli.main import app
from interp.errors import InterpError
from probes.documents import Rows, split_documents, swap_tracks
from probes.results import read_results
from tests.probes.planted import PLANTED, SITE, planted_values, slow_labels, write_recording

N, STARTS = 8_000, np.arange(0, 8_001, 200)
LABELS = slow_labels(N)
UNIT = {name: f"{SITE}:{unit}" for name, unit in PLANTED.items()}


@pytest.fixture(scope="module", params=["float16", "float32"])
def recording(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("planted") / "run.h5"
    write_recording(path, planted_values(LABELS, dtype=request.param), STARTS)
    with interp.open(path) as found:
        yield found


def test_planted_units_are_ranked_as_they_must_be(recording):
    ranking = probes.rank(recording, {"planted": LABELS}, n_best=20, curve=(1, 2, 4))[0]
    order = [score.unit for score in ranking.scores]
    assert order[:3] == [UNIT["inverted"], UNIT["informative"], UNIT["shifted"]]
    assert UNIT["with NaN"] not in order and len(order) == 15
    assert order[-1] == UNIT["constant"] and ranking.scores[-1].auroc == 0.5
    first, second, third = ranking.scores[:3]
    assert (first.sign, second.sign) == (-1, 1)
    assert first.auroc > 0.99 and first.interval[0] > 0.98 and first.r < -0.9
    assert 0.85 < second.auroc < 0.97 and third.auroc < second.auroc - 0.1
    assert second.interval[0] < second.auroc < second.interval[1]
    assert first.average_precision > 0.99
    assert ranking.p_value < 0.01 and 0.5 < ranking.null_95 < 0.7
    assert ranking.scores[3].p_value > 0.05
    assert first.n_documents == 20 and first.n_positions == 4_000
    assert [point.n_units for point in ranking.curve] == [1, 2, 4]
    assert ranking.curve[1].score >= ranking.curve[0].score > 0.99
    assert any("1 of 16 units hold NaN" in warning for warning in ranking.warnings)


@pytest.mark.parametrize(
    "by", ["auroc", "average_precision", "r", "spearman", "mutual_information"]
)
def test_every_measure_finds_the_best_planted_unit(recording, by):
    ranking = probes.rank(recording, {"planted": LABELS}, by=by, n_best=2, n_swaps=0)[0]
    assert ranking.best.unit == UNIT["inverted"] and ranking.best.sign == -1


def test_numbers_are_ranked_by_rank_correlation(recording):
    target = np.cumsum(LABELS) % 7 + LABELS * 10.0
    ranking = probes.rank(recording, {"number": target}, n_best=3, curve=(1, 2))[0]
    assert ranking.best.unit == UNIT["inverted"] and ranking.best.spearman < -0.7
    low, high = ranking.best.interval
    assert low < ranking.best.spearman < high and ranking.best.auroc is None
    assert ranking.curve[1].score > 0.5 and ranking.p_value < 0.01


def test_categories_become_concepts_with_q_values(recording):
    words = np.where(np.arange(N) % 9 == 0, "ninth", np.where(LABELS, "in", "out"))
    rankings = probes.rank(recording, {"kind": words}, n_best=1)
    assert [r.concept for r in rankings] == ["kind=in", "kind=ninth", "kind=out"]
    assert rankings[0].q_value < 0.05 and rankings[1].q_value > 0.05
    assert all(r.q_value >= r.p_value for r in rankings)
    assert len(probes.rank(recording, {"kind": words}, n_swaps=0)) == 3


def test_the_same_seed_gives_the_same_finding(recording):
    first, second = (
        probes.rank(recording, {"planted": LABELS}, seed=3)[0].to_dict() for _ in range(2)
    )
    assert first == second


def test_positions_without_a_label_are_refused_or_left_out(recording):
    labels = LABELS.astype(float)
    labels[5:50] = np.nan
    with pytest.raises(InterpError, match="no label .NaN. at 45 of 8,000 positions, the first is"):
        probes.rank(recording, {"gaps": labels})
    ranking = probes.rank(recording, {"gaps": labels}, skip_missing=True)[0]
    assert ranking.best.unit == UNIT["inverted"]
    assert any("have no label" in warning for warning in ranking.warnings)


@pytest.mark.parametrize(
    ("concepts", "options", "message"),
    [
        ({"short": LABELS[:-1]}, {}, r"short have shape \(7999,\), but stream 'text' has 8,000"),
        ({"flat": np.ones(N, bool)}, {}, "flat is the same .inside. at all 8,000 positions"),
        ({"none": np.full(N, np.nan)}, {"skip_missing": True}, "none has no label at any"),
        (["strnig"], {}, "No concept named 'strnig'; nearest: string"),
        (["string"], {}, "has no text"),
        ({"planted": LABELS}, {"sites": "lstm/*/cel"}, "cel"),
        ({"planted": LABELS}, {"by": "iou"}, "ordered by auroc"),
        ({"number": np.arange(N)}, {"by": "average_precision"}, "is a number"),
        ({"half": np.arange(N) < 100}, {}, "documents are all outside for half"),
    ],
)
def test_what_cannot_be_ranked_is_said_once(recording, concepts, options, message):
    with pytest.raises(InterpError, match=message):
        probes.rank(recording, concepts, **options)


def test_few_documents_are_refused_or_said(tmp_path):
    values = planted_values(LABELS[:900])
    few = write_recording(tmp_path / "few.h5", values, [0, 300, 600, 900])
    with interp.open(few) as recording, pytest.raises(InterpError, match="at least 4 documents"):
        probes.rank(recording, {"planted": LABELS[:900]})
    some = write_recording(tmp_path / "some.h5", values, np.arange(0, 901, 100))
    with interp.open(some) as recording:
        ranking = probes.rank(recording, {"planted": LABELS[:900]})[0]
    assert "only 5 test documents" in ranking.warnings[0]


def test_an_incomplete_recording_is_refused(tmp_path):
    path = write_recording(tmp_path / "run.h5", planted_values(LABELS), STARTS, complete=False)
    done = CliRunner().invoke(app, ["rank", str(path), "--concept", "string"])
    assert isinstance(done.exception, InterpError) and "incomplete" in str(done.exception)


def test_the_command_prints_rows_and_keeps_the_finding(tmp_path):
    path = write_recording(tmp_path / "run.h5", planted_values(LABELS), STARTS)
    with interp.open(path) as recording:
        recording.write_annotation("planted", LABELS, kind="binary")
    command = ["rank", str(path), "--concept", "planted", "--sites", "lstm/*", "--best", "3"]
    rows = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert [row["unit"] for row in rows][:2] == [UNIT["inverted"], UNIT["informative"]]
    promised = {"unit", "sign", "selection_auroc", "auroc", "interval", "n_documents", "base_rate"}
    assert promised <= set(rows[0])
    table = CliRunner().invoke(app, command).stdout
    assert UNIT["inverted"] in table and "off" in table and "swapped labels" in table
    with interp.open(path) as recording:
        results = read_results(recording, "rank")
        assert len(results) == 1  # asked twice, with the same parameters
        assert results[0]["result"]["scores"][0]["unit"] == UNIT["inverted"]
        assert results[0]["fingerprint"] == recording.fingerprint


def test_results_of_another_recording_are_not_shown(tmp_path):
    path = write_recording(tmp_path / "run.h5", planted_values(LABELS), STARTS)
    with interp.open(path) as recording:
        probes.results.write_result(recording, "rank", "a/b", {}, {"score": np.float64(1)})
        assert read_results(recording)[0]["name"] == "a/b"
    path.unlink()
    write_recording(path, planted_values(LABELS, seed=1), STARTS)
    with interp.open(path) as recording:
        assert read_results(recording) == []


def test_rows_keep_documents_and_thin_evenly():
    starts = np.array([0, 10, 10, 30])
    valid = np.ones(30, bool)
    valid[3:6] = False
    rows = Rows.of(starts, np.array([0, 1, 2]), valid)
    assert rows.n_documents == 2 and rows.starts.tolist() == [0, 7, 27]
    assert rows.runs.tolist() == [[0, 3], [6, 30]]
    part = rows.part(rows.thinned(9))
    assert len(part) == 9 and part.n_documents == 2
    assert set(part.index) <= set(rows.index)


def test_swapped_tracks_keep_their_order():
    starts, values = np.array([0, 3, 8]), np.arange(8)
    swapped = swap_tracks(starts, values, np.arange(8), 20)
    assert {tuple(track) for track in swapped} == {
        tuple(range(8)), (3, 4, 5, 0, 1, 2, 0, 1)
    }  # fmt: skip


def test_halves_share_no_document():
    first, second = split_documents(11, 4)
    assert sorted([*first, *second]) == list(range(11)) and len(first) == 5


def test_swapped_tracks_make_a_wider_null_than_shuffled_positions(tmp_path):
    """Slow units meet slow labels by chance: shuffling positions would call them findings."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(N, 16))
    for t in range(1, N):
        steps[t] += 0.98 * steps[t - 1]
    labels = slow_labels(N, 0.02, seed=3)
    with interp.open(write_recording(tmp_path / "r.h5", steps.astype("f4"), STARTS)) as recording:
        ranking = probes.rank(recording, {"slow": labels})[0]
    rows = Rows.of(STARTS, split_documents(40)[0]).index
    shuffled = [
        np.abs(probes.compute_auroc(steps[rows], rng.permutation(labels[rows])) - 0.5).max()
        for _ in range(50)
    ]
    assert ranking.null_95 - 0.5 > 2 * np.quantile(shuffled, 0.95)
    assert ranking.p_value > 0.05


def test_work_reports_its_progress_and_can_be_stopped(recording):
    seen = []
    probes.rank(recording, {"planted": LABELS}, progress=lambda done, n: seen.append((done, n)))
    assert seen == [(16, 16)]

    def stop(done, n):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probes.rank(recording, {"planted": LABELS}, progress=stop)


def test_labels_of_a_table_may_be_missing(recording):
    """None and NaN of a pandas column are no category, and no yes."""
    words = np.where(LABELS, "in", "out").astype(object)
    words[::7], words[1::7] = None, float("nan")
    with pytest.raises(InterpError, match="has no label"):
        probes.rank(recording, {"kind": words}, n_swaps=0)
    options = {"n_swaps": 0, "skip_missing": True, "n_best": 1}
    rankings = probes.rank(recording, {"kind": words}, **options)
    assert [ranking.concept for ranking in rankings] == ["kind=in", "kind=out"]
    answers = LABELS.astype(object)
    answers[::7] = None
    ranking = probes.rank(recording, {"kind": answers}, **options)[0]
    assert ranking.best.auroc > 0.9 and ranking.left_out == {"no label": len(answers[::7])}


def test_the_side_of_a_unit_is_that_of_what_units_are_ordered_by(tmp_path):
    """Its lowest values are all inside, but most of the inside is high: AP and AUROC disagree."""
    rng = np.random.default_rng(0)
    labels = slow_labels(N, 0.2, 1) & slow_labels(N, 0.2, 2) & slow_labels(N, 0.2, 3)
    values = rng.normal(size=(N, 2))
    low = labels & (rng.random(N) < 0.3)
    values[:, 1] += np.where(low, -9, 1.1 * labels)
    path = write_recording(tmp_path / "run.h5", values.astype("float32"), STARTS)
    with interp.open(path) as recording:
        best = probes.rank(recording, {"x": labels}, by="average_precision", n_swaps=0)[0].best
    assert best.unit.endswith(":1") and best.sign == -1
    assert best.average_precision > 0.35 and 0.4 < best.auroc < 0.5  # on that side
