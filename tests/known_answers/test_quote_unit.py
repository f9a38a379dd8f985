"""T7: the small code LSTM has a unit for quoted strings, and uses one of the best."""

import pytest

import probes
from probes.cause import ablate
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
