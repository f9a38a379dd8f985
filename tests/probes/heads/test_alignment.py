"""Alignment on maps whose order is known; a flat one must not pass for aligned."""

import numpy as np
import pytest

from interp.errors import InterpError
from probes.heads.alignment import (
    alignment_error_rate,
    argmax_links,
    diagonal_distance,
    expected_position,
    score_alignment,
    step_correlation,
    strict_steps,
)


def _pointing(at, n_keys=8, sharp=0.9):
    found = np.full((len(at), n_keys), (1 - sharp) / (n_keys - 1))
    found[np.arange(len(at)), at] = sharp
    return found


def test_a_diagonal_is_aligned():
    score = score_alignment([np.eye(n) for n in (4, 6, 8)])
    assert (score.strict_steps, score.strict_documents, score.spearman) == (1, 1, 1)
    assert score.diagonal == 0 and (score.n_steps, score.n_documents) == (3 + 5 + 7, 3)


def test_a_decoder_that_looks_at_one_place_is_not_aligned():
    """'Never goes back' would say 1 of it."""
    rng = np.random.default_rng(0)
    documents = [_pointing([2] * 6) + rng.random((6, 8)) * 1e-3 for _ in range(20)]
    score = score_alignment(documents)
    assert score.strict_steps == 0 and score.strict_documents == 0
    assert abs(score.spearman) < 0.3 and score.diagonal > 1.5
    assert np.isnan(step_correlation(_pointing([2] * 6)))


def test_a_skipped_letter_and_a_repeated_one():
    knight = _pointing([1, 1, 5], 6)
    assert strict_steps(knight).tolist() == [False, True]
    assert score_alignment([knight, np.eye(4)]).strict_documents == 0.5
    assert np.allclose(diagonal_distance(knight), [1, 1.5, 0])
    assert step_correlation(_pointing([5, 3, 1])) == pytest.approx(-1)
    assert np.allclose(expected_position(np.eye(3)), [0, 1, 2])


def test_documents_of_one_step_say_nothing():
    assert score_alignment([np.eye(3), np.eye(1)]).n_documents == 1
    with pytest.raises(InterpError, match="two steps"):
        score_alignment([np.eye(1)])
    with pytest.raises(InterpError, match="n_steps, n_keys"):
        strict_steps(np.zeros((2, 2, 2)))


def test_alignment_error_rate_by_hand():
    sure, possible = {(0, 0), (1, 1)}, {(2, 1)}
    assert alignment_error_rate(sure, sure, possible) == 0
    assert alignment_error_rate({(0, 0), (2, 1)}, sure, possible) == pytest.approx(1 - 3 / 4)
    assert alignment_error_rate({(5, 5)}, sure) == 1
    assert np.isnan(alignment_error_rate([], []))
    assert argmax_links(_pointing([1, 3])) == {(0, 1), (1, 3)}
    assert argmax_links(_pointing([1, 3], sharp=0.4), threshold=0.5) == set()


def test_a_step_without_weight_looks_nowhere():
    """As when every source position is masked, or too small for uint8."""
    gap, diagonal = np.eye(6), np.eye(6)
    gap[3], diagonal[5] = 0, np.nan
    score = score_alignment([gap, diagonal])
    assert (score.strict_steps, score.strict_documents) == (1, 1)
    assert score.spearman == pytest.approx(1)
    assert score.diagonal == 0 and score.n_steps == 4 + 4
