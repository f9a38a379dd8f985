"""AUROC against scikit-learn, and ranking on planted units."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from interp.errors import InterpError
from probes.auroc import bootstrap_auroc, compute_auroc, order_keys
from probes.ranking import rank_units


def test_keys_sort_like_the_values():
    values = np.array([-np.inf, -65504, -1, -6e-8, -0.0, 0.0, 6e-8, 1, 65504, np.inf], np.float16)
    keys = order_keys(values)
    assert (np.diff(keys.astype(int)) >= 0).all()
    assert keys[4] == keys[5]


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(10, 400), st.booleans())
def test_equals_scikit_learn_with_ties(seed, n, coarse):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 3)).round(0 if coarse else 6).astype(np.float16)
    labels = rng.random(n) < 0.3
    labels[:2] = [True, False]
    expected = [roc_auc_score(labels, values[:, u].astype(float)) for u in range(3)]
    np.testing.assert_allclose(compute_auroc(values, labels), expected, atol=1e-12)


def test_bootstrap_resamples_documents():
    # One value and label per document: a resample of one class only has no area.
    areas = bootstrap_auroc(np.array([0.0, 1.0]), np.array([False, True]), np.array([0, 1, 2]))
    assert set(np.unique(areas[~np.isnan(areas)])) == {1.0}
    assert np.isnan(areas).mean() == pytest.approx(0.5, abs=0.1)


def test_bootstrap_equals_an_explicit_resample():
    rng = np.random.default_rng(1)
    starts = np.array([0, 30, 70, 100])
    values, labels = rng.normal(size=100).round(1), rng.random(100) < 0.5
    ours = bootstrap_auroc(values, labels, starts, n_resamples=5, seed=3)
    draws = np.random.default_rng(3)
    for area in ours:
        chosen = draws.integers(0, 3, 3)
        rows = np.concatenate([np.arange(starts[d], starts[d + 1]) for d in chosen])
        assert area == pytest.approx(roc_auc_score(labels[rows], values[rows]), abs=1e-12)


class InMemory(dict):
    """Just enough of a recording: arrays by site, and where documents start."""

    def __init__(self, arrays, starts):
        super().__init__(arrays)
        self.streams = {"text": SimpleNamespace(document_start=starts)}

    def unit(self, site, unit):
        return self[site][:, unit]


def test_planted_units_are_ranked_with_their_sign():
    rng = np.random.default_rng(0)
    n, starts = 2_000, np.arange(0, 2_001, 100)
    labels = np.repeat(rng.random(n // 10) < 0.4, 10)
    values = rng.normal(size=(n, 4)).astype(np.float16)
    values[:, 2] = labels * -3 + rng.normal(size=n) * 0.5
    best = rank_units(InMemory({"lstm/l0/cell": values}, starts), ["lstm/l0/cell"], labels)
    assert best[0].unit == "lstm/l0/cell:2" and best[0].sign == -1
    assert best[0].auroc > 0.99 and best[0].interval[0] > 0.98
    assert best[0].n_documents == 10
    assert all(abs(score.auroc - 0.5) < 0.1 for score in best[1:])


def test_too_few_documents_are_refused():
    values = np.zeros((10, 1), np.float16)
    with pytest.raises(InterpError, match="at least 4 documents"):
        rank_units(InMemory({"a": values}, np.array([0, 5, 10])), ["a"], np.zeros(10, bool))
