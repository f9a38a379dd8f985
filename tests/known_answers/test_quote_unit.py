"""T7: the small code LSTM has a unit for quoted strings, and uses one of the best."""

import numpy as np
import pytest
from scipy.stats import rankdata

import probes
from probes.cause import ablate
from probes.documents import Rows, split_documents
from tests.known_answers.conftest import CELL


@pytest.fixture(scope="module")
def ranking(code_recording):
    return probes.rank(code_recording, "quoted_string", CELL, n_best=5, curve=(32,))[0]


def test_t7_one_unit_tells_quoted_strings(ranking):
    assert ranking.best.auroc > 0.95 and ranking.best.interval[0] > 0.9
    assert ranking.p_value < 0.01 and ranking.null_95 < 0.75
    assert ranking.n_documents >= 15
    assert ranking.curve[-1].score > 0.95


def test_t7_clamping_one_of_the_best_costs_at_closing_quotes(ranking, code_recording):
    best = [score.unit for score in ranking.scores]
    found = ablate(code_recording, best, "quoted_string", n_positions=16_000, n_random=15,
                   n_matched=0)  # fmt: skip
    causal = max(found, key=lambda ablation: ablation.effects["end"].effect)
    end = causal.effects["end"]
    assert end.ratio > 20 and end.effect > end.random.highest and end.interval[0] > 0.1
    assert abs(causal.effects["elsewhere"].effect) < 0.1


def test_t7_no_unit_tells_labels_that_are_shifted_in_their_documents_as_well(code_recording):
    """The other null: a circular shift of 300 characters at least, with the best of all units."""
    starts = np.asarray(code_recording.stream().document_start)
    rows = Rows.of(starts, split_documents(len(starts) - 1)[0])
    labels = np.asarray(code_recording.annotations["quoted_string"][:], bool)[rows.index]
    pieces = np.split(labels, rows.starts[1:-1])
    rng, thin = np.random.default_rng(0), rows.thinned(1 << 14)
    tracks = np.stack([labels[thin], *(
        np.concatenate([np.roll(p, rng.integers(300, len(p) - 299)) for p in pieces])[thin]
        for _ in range(200)
    )])  # fmt: skip
    ranks = rankdata(code_recording[CELL][rows.index[thin]].astype(np.float32), axis=0)
    areas = np.stack([(rank @ tracks.T) / tracks.sum(1) for rank in ranks.T])
    n_inside = tracks.sum(1)
    areas = (areas - (n_inside + 1) / 2) / (len(thin) - n_inside)
    best = np.abs(areas - 0.5).max(axis=0)
    assert (1 + (best[1:] >= best[0]).sum()) / len(best) < 0.01
