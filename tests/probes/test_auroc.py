"""AUROC and the other measures against scikit-learn and SciPy, on data with ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, mutual_info_score, roc_auc_score

from probes.auroc import compute_auroc, mid_ranks, order_keys
from probes.intervals import (
    benjamini_hochberg,
    bootstrap_auroc,
    bootstrap_correlation,
    percentile_interval,
)
from probes.metrics import ValueCounts, correlations, numeric_information, quantile_bins

TYPES = ["float16", "float32", "float64"]


def test_keys_sort_like_the_values():
    values = np.array([-np.inf, -65504, -1, -6e-8, -0.0, 0.0, 6e-8, 1, 65504, np.inf], np.float16)
    keys = order_keys(values)
    assert (np.diff(keys.astype(int)) >= 0).all()
    assert keys[4] == keys[5]


@given(st.integers(0, 10_000), st.integers(10, 300), st.booleans(), st.sampled_from(TYPES))
@settings(max_examples=40)
def test_auroc_equals_scikit_learn_with_ties(seed, n, coarse, dtype):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 3)).round(0 if coarse else 6).astype(dtype)
    labels = rng.random((n, 4)) < 0.3
    labels[0], labels[1] = True, False
    expected = [
        [roc_auc_score(labels[:, k], values[:, u].astype(float)) for k in range(4)]
        for u in range(3)
    ]
    np.testing.assert_allclose(compute_auroc(values, labels), expected, atol=1e-12)
    np.testing.assert_allclose(compute_auroc(values, labels[:, 0]), np.array(expected)[:, 0])


@given(st.integers(0, 10_000), st.integers(20, 300), st.sampled_from(TYPES))
@settings(max_examples=40)
def test_other_measures_equal_the_libraries(seed, n, dtype):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=n).round(1).astype(dtype)
    labels = rng.random(n) < 0.4
    labels[:2], values[:2] = [True, False], [1, 2]
    counts, wide = ValueCounts.of(values, labels), values.astype(float)
    assert counts.auroc() == pytest.approx(roc_auc_score(labels, wide), abs=1e-9)
    for sign in (1, -1):
        expected = average_precision_score(labels, sign * wide)
        assert counts.average_precision(sign) == pytest.approx(expected, abs=1e-9)
    assert counts.point_biserial() == pytest.approx(
        stats.pointbiserialr(labels, wide).statistic, abs=1e-9
    )
    assert counts.spearman() == pytest.approx(stats.spearmanr(labels, wide).statistic, abs=1e-9)
    expected = mutual_info_score(labels, quantile_bins(values))
    assert counts.mutual_information() == pytest.approx(expected, abs=1e-9)
    np.testing.assert_array_equal(mid_ranks(values), stats.rankdata(wide))


def test_measures_of_a_number_equal_the_libraries():
    rng = np.random.default_rng(0)
    values, target = rng.normal(size=(2, 400)).round(1)
    target += values
    r, rho = correlations(values, target)
    assert r == pytest.approx(stats.pearsonr(values, target).statistic, abs=1e-9)
    assert rho == pytest.approx(stats.spearmanr(values, target).statistic, abs=1e-9)
    expected = mutual_info_score(quantile_bins(values), quantile_bins(target))
    assert numeric_information(values, target) == pytest.approx(expected, abs=1e-9)


def test_bins_hold_equal_shares_and_keep_ties_together():
    bins = quantile_bins(np.arange(160), 16)
    assert (np.bincount(bins) == 10).all()
    assert len(set(quantile_bins(np.array([0, 1, 1, 1, 1, 2]), 4)[1:5])) == 1
    assert quantile_bins(np.zeros(5)).max() < 16


def test_a_unit_with_nan_has_no_area_and_a_constant_one_says_nothing():
    labels = np.array([True, False] * 10)
    values = np.stack([np.where(np.arange(20) == 3, np.nan, labels), np.full(20, 7.0)], axis=1)
    for dtype in TYPES:
        areas = compute_auroc(values.astype(dtype), labels)
        assert np.isnan(areas[0]) and areas[1] == 0.5


def test_labels_that_do_not_vary_are_refused():
    with pytest.raises(ValueError, match="inside and outside"):
        compute_auroc(np.zeros((4, 1)), np.zeros(4, bool))
    with pytest.raises(ValueError, match="3 labels for 4"):
        compute_auroc(np.zeros((4, 1)), np.array([True, False, True]))


def test_bootstrap_resamples_documents():
    # One value and label per document: a resample of one class only has no area.
    areas, _ = bootstrap_auroc(np.array([0.0, 1.0]), np.array([False, True]), np.array([0, 1, 2]))
    assert set(np.unique(areas[~np.isnan(areas)])) == {1.0}
    assert np.isnan(areas).mean() == pytest.approx(0.5, abs=0.1)
    assert percentile_interval(np.full(3, np.nan), 3) == pytest.approx(
        (np.nan, np.nan), nan_ok=True
    )


def test_intervals_hold_the_truth_as_often_as_they_say_with_few_documents():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        means = rng.normal(size=8)  # one number per document; the figure is their mean
        resampled = means[rng.integers(0, 8, (500, 8))].mean(axis=1)
        low, high = percentile_interval(resampled, 8)
        held += low <= 0 <= high
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize("sign", [1, -1])
def test_bootstrap_equals_an_explicit_resample(sign):
    rng = np.random.default_rng(1)
    starts = np.array([0, 30, 70, 100])
    values, labels = rng.normal(size=100).round(1), rng.random(100) < 0.5
    areas, precisions = bootstrap_auroc(values, labels, starts, 5, 3, sign)
    correlation = bootstrap_correlation(values, labels * 1.0, starts, 5, 3)
    draws = np.random.default_rng(3)
    for i in range(5):
        chosen = draws.integers(0, 3, 3)
        rows = np.concatenate([np.arange(starts[d], starts[d + 1]) for d in chosen])
        x, y = sign * values[rows], labels[rows]
        assert areas[i] == pytest.approx(roc_auc_score(y, x), abs=1e-12)
        assert precisions[i] == pytest.approx(average_precision_score(y, x), abs=1e-12)
        assert correlation[i] == pytest.approx(np.corrcoef(sign * x, y)[0, 1], abs=1e-9)


def test_benjamini_hochberg_equals_scipy():
    p = np.array([0.01, 0.5, 0.02, 0.9, 0.02])
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))


@pytest.mark.parametrize("labels", [[0, 1, np.nan, 0], [0, 1, 2, 0]])
def test_labels_that_are_not_yes_or_no_are_no_yes(labels):
    values, labels = np.arange(4.0), np.array(labels)
    for measure in (
        lambda: compute_auroc(values, labels),
        lambda: ValueCounts.of(values, labels),
        lambda: bootstrap_auroc(values, labels, np.array([0, 2, 4])),
    ):
        with pytest.raises(ValueError, match="1 are not, such as"):
            measure()
    assert compute_auroc(values, np.array([0.0, 1, 1, 0])) == 0.5
