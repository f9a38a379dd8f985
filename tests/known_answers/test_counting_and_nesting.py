"""T2 and T3: which net counts, and which knows how deep it is, found by our own functions."""

import numpy as np
import pytest

import interp
import probes
from interp.training.counting import counted
from interp.training.dyck import depths, nested

CELL, HIDDEN = "lstm/l0/cell", "gru/l0/hidden"


def _words(path, model, words, site, **options):
    documents = {f"word{i}.txt": word for i, word in enumerate(words)}
    interp.record(model, documents, path, sites=[site], dtype="float32", **options)
    return interp.open(path)


@pytest.mark.parametrize(
    ("model", "site", "counts"), [("counting-lstm", CELL, True), ("counting-gru", HIDDEN, False)]
)
def test_t2_an_lstm_counts_in_a_cell_and_a_gru_does_not(tmp_path, model, site, counts):
    lengths = [100, *range(60, 100, 4)]
    words = [counted(n) for n in lengths]
    difference = np.concatenate([[*range(1, n + 1), *range(n - 1, -1, -1), 0] for n in lengths])
    with _words(tmp_path / "run.h5", f"zoo:{model}", words, site) as recording:
        labels = {"count": difference.astype(float)}
        best = probes.rank(recording, labels, by="r", n_swaps=0, n_resamples=50)[0].best
        longest = np.asarray(recording[site][: len(words[0]) - 1], np.float64)
    spread = np.ptp(longest, axis=0)
    r = np.abs([np.corrcoef(unit, difference[: len(longest)])[0, 1] for unit in longest.T])
    if counts:
        assert abs(best.r) > 0.99 and r.max() > 0.99 and spread[r.argmax()] > 50
    else:
        assert abs(best.r) < 0.95 and r.max() < 0.95 and spread.max() <= 2


def _top_of_stack(word):
    """Return which bracket is open innermost after each symbol, "-" for none."""
    stack, tops = ["-"], []
    for symbol in word:
        if symbol in "([":
            stack.append(symbol)
        else:
            stack.pop()
        tops.append(stack[-1])
    return tops


def test_t3_a_net_of_brackets_knows_depth_and_the_innermost_bracket(tmp_path):
    rng = np.random.default_rng(3)
    words = [nested(rng) for _ in range(80)]
    depth = np.concatenate([depths(word) for word in words]).astype(float)
    tops = np.concatenate([_top_of_stack(word) for word in words])
    trained = _words(tmp_path / "run.h5", "zoo:dyck", words, CELL)
    fresh = _words(tmp_path / "fresh.h5", "zoo:dyck", words, CELL, random_init=True)
    with trained as recording, fresh as random:
        report = probes.evaluate(
            recording, "depth", CELL, values=depth, random_init=random, control=False
        )
        best = probes.rank(recording, {"depth": depth}, by="r", n_swaps=0, n_resamples=50)[0].best
        top = probes.evaluate(
            recording, "top", CELL, values=tops, random_init=random, control=False,
            description=False,
        )  # fmt: skip
    assert report.metric == "r_squared" and report.score > 0.97
    assert report.baselines["random_init"]["r_squared"] < 0.5
    assert abs(best.r) > 0.85
    assert top.metric == "accuracy" and top.score > 0.97
    assert top.baselines["random_init"]["accuracy"] < top.score - 0.05
