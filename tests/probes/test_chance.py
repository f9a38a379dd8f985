"""What chance reaches, and how wide an interval is, where documents or positions are few."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import interp
import probes
from probes.documents import Rows, draw_documents, split_documents, swap_places, swap_tracks
from probes.intervals import area_intervals, bootstrap_auroc, telling_documents
from probes.metrics import ValueCounts, correlations
from tests.probes.planted import SITE, slow_labels, write_recording

N, N_DOCUMENTS = 200_000, 40
STARTS = np.linspace(0, N, N_DOCUMENTS + 1).astype(np.int64)


def rank_noise(path, labels, starts, n_units=16, dtype="float16", seed=0, **options):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(starts[-1], n_units)).astype(dtype)
    write_recording(path, values, starts)
    with interp.open(path) as recording:
        options = {"n_best": 1, "n_resamples": 50} | options
        return probes.rank(recording, {"label": labels}, **options)[0], values


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_two_selection_documents_prove_nothing(tmp_path, dtype):
    # Half of the swaps of two documents are none at all: a p below one half is impossible.
    for seed in range(8):
        labels = slow_labels(2_000, 0.02, seed)
        ranking, _ = rank_noise(
            tmp_path / f"{seed}.h5", labels, np.arange(0, 2_001, 500), 4, dtype, seed
        )
        assert ranking.p_value > 0.4


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_null_of_a_rare_concept_counts_all_its_positions(tmp_path, dtype):
    labels = np.zeros(N, bool)
    labels[np.random.default_rng(3).choice(N, 30, replace=False)] = True
    ranking, values = rank_noise(tmp_path / "run.h5", labels, STARTS, dtype=dtype, n_swaps=40)
    rows = Rows.of(STARTS, split_documents(N_DOCUMENTS)[0])
    swapped = swap_tracks(rows.starts, labels[rows.index], np.arange(len(rows)), 40, 0)
    areas = probes.compute_auroc(values[rows.index], swapped.T)
    null = np.abs(areas - 0.5).max(axis=0)
    real = np.abs(probes.compute_auroc(values[rows.index], labels[rows.index]) - 0.5).max()
    assert ranking.null_95 == pytest.approx(np.quantile(null, 0.95) + 0.5, abs=1e-9)
    assert ranking.p_value == pytest.approx((1 + (null >= real).sum()) / 41)


def test_one_position_is_no_evidence(tmp_path):
    labels = np.zeros(N, bool)
    labels[[STARTS[half[0]] + 77 for half in split_documents(N_DOCUMENTS)]] = True
    found = []
    for seed in range(6):
        ranking, _ = rank_noise(tmp_path / f"{seed}.h5", labels, STARTS, seed=seed)
        found.append(ranking.p_value)
        assert np.isnan(ranking.best.interval).all()  # one document says nothing of others
        assert any("only 1 of 20 test documents" in warning for warning in ranking.warnings)
    assert np.median(found) > 0.2


def test_a_planted_unit_of_a_rare_concept_is_found(tmp_path):
    labels = np.zeros(N, bool)
    labels[np.random.default_rng(3).choice(N, 40, replace=False)] = True
    values = np.random.default_rng(4).normal(size=(N, 8))
    values[:, 5] += 6 * labels
    path = tmp_path / "run.h5"
    write_recording(path, values.astype("float16"), STARTS)
    with interp.open(path) as recording:
        ranking = probes.rank(recording, {"label": labels}, curve=(1, 4), n_resamples=50)[0]
    assert ranking.best.unit == f"{SITE}:5" and ranking.p_value < 0.01 and ranking.null_95 < 0.8
    assert ranking.curve[0].score > 0.99  # of 20,000 evenly spaced positions, 4 had the label


def test_places_of_swaps_are_those_of_the_tracks():
    starts = np.array([0, 5, 12, 14, 30])
    inside = np.random.default_rng(1).random(30) < 0.2
    swapped = swap_tracks(starts, inside, np.arange(30), 25, 7)
    places, group = swap_places(starts, inside, 25, 7)
    for track, first, stop in zip([inside, *swapped], group[:-1], group[1:], strict=True):
        assert np.array_equal(np.sort(places[first:stop]), np.flatnonzero(track))


def test_intervals_of_a_rare_concept_are_of_all_its_positions(tmp_path):
    labels = np.zeros(600_000, bool)
    starts = np.linspace(0, len(labels), N_DOCUMENTS + 1).astype(np.int64)
    labels[np.random.default_rng(5).choice(len(labels), 40, replace=False)] = True
    ranking, values = rank_noise(tmp_path / "run.h5", labels, starts, n_units=1, n_swaps=0)
    rows = Rows.of(starts, split_documents(N_DOCUMENTS)[1])
    values, labels = values[rows.index, 0], labels[rows.index]
    expected = area_intervals(values, labels, rows.starts, 50, 0, ranking.best.sign)
    assert ranking.best.interval == pytest.approx(expected[0])
    assert ranking.best.average_precision_interval == pytest.approx(expected[1])
    assert ranking.best.interval[0] < ranking.best.auroc < ranking.best.interval[1]


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_counted_together_changes_no_resample(sign):
    rng = np.random.default_rng(0)
    starts = np.array([0, 100, 260, 420, 600])
    values, labels = rng.normal(size=600).round(1), rng.random(600) < 0.02
    areas, precisions = bootstrap_auroc(values, labels, starts, 20, 1, sign)
    document = np.repeat(np.arange(4), np.diff(starts))
    for weights, area, precision in zip(draw_documents(4, 20, 1), areas, precisions, strict=True):
        of_row = weights[document]
        if of_row[labels].sum():
            assert area == pytest.approx(roc_auc_score(labels, sign * values, sample_weight=of_row))
            assert precision == pytest.approx(
                average_precision_score(labels, sign * values, sample_weight=of_row)
            )


def test_positions_that_stand_for_several_count_as_several():
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=60).round(1), rng.random(60) < 0.4
    areas, precisions = bootstrap_auroc(values, labels, np.array([0, 60]), 1, stands_for=(3.0, 2.0))
    weights = np.where(labels, 2, 3)
    assert areas[0] == pytest.approx(roc_auc_score(labels, values, sample_weight=weights))
    expected = average_precision_score(labels, values, sample_weight=weights)
    assert precisions[0] == pytest.approx(expected)


def _documents(rng, n, share):
    """Return values, labels and starts of documents, of which a share has the concept."""
    sizes = rng.integers(60, 200, n)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    document = np.repeat(np.arange(n), sizes)
    labels = (np.cumsum(rng.random(starts[-1]) < 0.1) % 2 == 1) & (rng.random(n) < share)[document]
    shift, gain = rng.normal(size=n) * 0.7, 1.2 + rng.normal(size=n) * 0.6
    values = gain[document] * labels + shift[document] + rng.normal(size=starts[-1])
    return values.astype("float16"), labels, starts


@pytest.mark.parametrize("share", [0.15, 0.9])
def test_intervals_hold_the_truth_though_few_documents_have_the_concept(share):
    rng = np.random.default_rng(5)
    values, labels, _ = _documents(rng, 5_000, share)
    truth, held = ValueCounts.of(values, labels).auroc(), []
    while len(held) < 150:
        values, labels, starts = _documents(rng, 20, share)
        if telling_documents(labels, starts) > 1:
            low, high = area_intervals(values, labels, starts, 300, len(held))[0]
            held.append(low <= truth <= high)
    assert np.mean(held) > 0.84


def test_a_constant_unit_has_no_correlation_whatever_its_value():
    labels = np.random.default_rng(0).random(1_445) < 0.3
    for value in np.random.default_rng(1).normal(size=50) * 100:
        column = np.full(len(labels), value)
        assert np.isnan(ValueCounts.of(column, labels).point_biserial())
        assert np.isnan(correlations(column, np.arange(len(labels)) * 1.0)[0])
