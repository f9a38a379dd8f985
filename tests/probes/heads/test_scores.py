"""Heads that do one thing score 1 on it, a uniform head scores chance, whatever the document."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.errors import InterpError
from probes.heads.scores import check_metrics, score_heads
from probes.heads.site_tally import ALL_METRICS
from probes.heads.sources import ArrayMaps
from tests.probes.heads.maps import at, causal, earlier, uniform

RNG = np.random.default_rng(0)
N_DOCUMENTS, N = 20, 40
TOKENS = [RNG.integers(0, 12, N + d % 3) for d in range(N_DOCUMENTS)]
HEADS = ("previous", "induction", "duplicate", "first", "uniform", "self")


def _maps(tokens):
    flat = uniform(causal(len(tokens)), len(tokens))
    rows = range(len(tokens))
    return np.stack([
        at([[t - 1] if t else [] for t in rows], flat),
        at(earlier(tokens, 1), flat),
        at(earlier(tokens), flat),
        at([[0] for _ in rows], flat),
        flat,
        np.eye(len(tokens)),
    ])  # fmt: skip


@pytest.fixture(scope="module")
def table():
    return score_heads(ArrayMaps({"a/attention": [_maps(t) for t in TOKENS]}, TOKENS))


@pytest.mark.parametrize("name", ["previous", "induction", "duplicate", "first", "self"])
def test_a_perfect_head_scores_one_and_a_uniform_head_scores_chance(table, name):
    """Where a fixed mask over the square would give .952 and .476."""
    perfect = table.score(f"a/attention:{HEADS.index(name)}", name)
    assert perfect.value == pytest.approx(1, abs=1e-12)
    assert perfect.interval == pytest.approx((1, 1)) and perfect.stands_out
    flat = table.score("a/attention:4", name)
    assert flat.value == pytest.approx(flat.chance, abs=1e-12)
    assert not flat.stands_out
    assert table.of(name)[0].head == perfect.head


def test_what_stands_behind_a_number_is_counted(table):
    by_hand = sum(len(keys) > 0 for tokens in TOKENS for keys in earlier(tokens, 1))
    score = table.score("a/attention:0", "induction")
    assert (score.n_rows, score.n_documents) == (by_hand, N_DOCUMENTS)
    assert table.score("a/attention:0", "previous").n_rows == sum(len(t) - 1 for t in TOKENS)


def test_shapes_of_a_uniform_and_of_a_sharp_head(table):
    rows = [t for tokens in TOKENS for t in range(1, len(tokens))]
    flat = {name: table.score("a/attention:4", name) for name in table.metrics}
    assert flat["entropy"].value == pytest.approx(np.mean([np.log(t + 1) for t in rows]))
    assert flat["entropy"].value == pytest.approx(flat["entropy"].chance)
    assert flat["relative_entropy"].value == pytest.approx(1)
    assert flat["confidence"].value == pytest.approx(np.mean([1 / (t + 1) for t in rows]))
    assert flat["distance"].value == pytest.approx(np.mean([t / 2 for t in rows]))
    assert flat["distance"].value == pytest.approx(flat["distance"].chance)
    sharp = {name: table.score("a/attention:0", name).value for name in table.metrics}
    assert sharp["entropy"] == 0 and sharp["confidence"] == 1 and sharp["distance"] == 1


def test_no_value_where_no_row_can_show_it_and_the_reason_is_said(table):
    following = table.score("a/attention:0", "next")
    assert following.value is None and "no query sees the key at +1" in following.reason
    assert "separator" in table.score("a/attention:0", "separator").reason
    assert "prediction" in table.score("a/attention:0", "copying").reason
    unseen = score_heads(ArrayMaps({"a/attention": [_maps(t) for t in TOKENS]}))
    assert "token ids" in unseen.score("a/attention:1", "induction").reason


def test_a_heads_own_best_offset_is_chosen_on_other_documents(table):
    own = table.score("a/attention:0", "best_offset")
    assert own.offset == -1 and own.value == pytest.approx(1)
    assert table.score("a/attention:5", "best_offset").offset == 0
    single = score_heads(ArrayMaps({"a/attention": [_maps(TOKENS[0])]}), ["best_offset"])
    assert "one document" in single.scores[0].reason


def test_the_offset_baseline_sees_through_blocks_at_one_distance():
    """Tiled blocks: attending 9 back is a perfect 'induction head', and the baseline says so."""
    rng, tokens = np.random.default_rng(1), []
    for _ in range(16):
        tokens.append(np.tile(rng.permutation(64)[:10], 4))
    maps = [at([[t - 9] if t >= 10 else [] for t in range(40)], _maps(x)[4])[None] for x in tokens]
    score = score_heads(ArrayMaps({"a/attention": maps}, tokens), ["induction"]).scores[0]
    assert score.offset == -9 and score.baseline == pytest.approx(1)
    assert score.value == pytest.approx(1) and not score.stands_out
    # Twelve tokens at random distances: the best offset reaches little more than chance.
    free = score_heads(ArrayMaps({"a/attention": [_maps(t) for t in TOKENS]}, TOKENS))
    assert free.score("a/attention:1", "induction").baseline < 0.2


def test_copying_is_attention_to_the_token_that_is_then_predicted():
    predicted = [np.roll(t, -1) for t in TOKENS]
    flat = [uniform(causal(len(t)), len(t)) for t in TOKENS]
    maps = [
        at([[s for s in range(t + 1) if x[s] == y[t]] for t in range(len(x))], f)[None]
        for x, y, f in zip(TOKENS, predicted, flat, strict=True)
    ]
    table = score_heads(ArrayMaps({"a/attention": maps}, TOKENS, predicted=predicted), ["copying"])
    assert table.scores[0].value == pytest.approx(1) and table.scores[0].chance < 0.3


def test_bidirectional_maps_see_the_next_key_and_separators():
    tokens = [np.r_[98, RNG.integers(0, 9, 8), 99] for _ in range(3)]
    following = np.eye(10, k=1)
    following[-1, 0] = 1
    last = np.zeros((10, 10))
    last[:, -1] = 1
    table = score_heads(
        ArrayMaps(
            {"a/attention": [np.stack([following, last])] * 3}, tokens, "full",
            separators=np.array([99]),
        )
    )  # fmt: skip
    assert table.score("a/attention:0", "next").value == 1
    assert table.score("a/attention:1", "separator").value == 1
    assert table.score("a/attention:1", "separator").chance == pytest.approx(0.1)


def test_cross_attention_has_no_distances():
    maps = [RNG.dirichlet(np.ones(7), size=(2, 5)) for _ in range(3)]
    tokens, keys = [RNG.integers(0, 4, 5)] * 3, [RNG.integers(0, 4, 7)] * 3
    table = score_heads(ArrayMaps({"a/attention": maps}, tokens, "full", keys))
    for name in ("previous", "distance", "duplicate", "induction", "best_offset"):
        assert "different streams" in table.score("a/attention:0", name).reason, name
    assert table.score("a/attention:0", "entropy").n_rows == 15
    assert table.score("a/attention:0", "first").baseline is None


def test_masked_rows_and_what_storage_lost_are_told():
    maps = np.tile(_maps(TOKENS[0]), (2, 1, 1, 1))
    maps[0, 0, 5] = 0  # all keys masked
    maps[1, 1, 7] = np.nan
    maps[1, 2, 9] *= 0.5
    table = score_heads(ArrayMaps({"a/attention": list(maps)}, [TOKENS[0]] * 2))
    text = " ".join(table.warnings)
    assert "2 of 480 rows hold no weight" in text and "1 of 480 rows lost more than 5%" in text
    assert table.score("a/attention:0", "previous").value == pytest.approx(1)
    assert table.score("a/attention:0", "previous").n_rows == 2 * (N - 1) - 1


def test_the_callers_maps_stay_as_they_are():
    maps = _maps(TOKENS[0])
    before = maps.copy()
    score_heads(ArrayMaps({"a/attention": [maps]}, TOKENS[:1]))
    assert np.array_equal(maps, before)


def test_a_measure_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(InterpError, match="nearest: induction"):
        check_metrics(["inductions"])
    with pytest.raises(InterpError, match="must be"):
        score_heads(ArrayMaps({"a/attention": [np.zeros((3, 3))]}))
    with pytest.raises(InterpError, match="causal map is square"):
        score_heads(ArrayMaps({"a/attention": [np.zeros((1, 2, 3))]}))


def _window(n, width):
    return np.stack([np.maximum(np.arange(n) - width + 1, 0), np.arange(1, n + 1)], axis=1)


@given(
    n=st.integers(1, 12), width=st.integers(1, 12), n_tokens=st.integers(1, 4), seed=st.integers(0)
)
@settings(max_examples=60, deadline=None)
def test_every_measure_equals_its_definition(n, width, n_tokens, seed):
    """Against plain loops over rows and keys, in sliding windows."""
    rng = np.random.default_rng(seed)
    tokens, predicted = rng.integers(0, n_tokens, (2, n))
    key_range = _window(n, width)
    weights = rng.random((n, n)) * (uniform(key_range, n) > 0)
    weights /= weights.sum(axis=1, keepdims=True)
    table = score_heads(
        ArrayMaps({"a/attention": [weights[None]]}, [tokens], [key_range], predicted=[predicted],
                  separators=np.array([0])),
        n_resamples=2,
    )  # fmt: skip
    rules = {
        "previous": lambda t, s: s == t - 1,
        "self": lambda t, s: s == t,
        "next": lambda t, s: s == t + 1,
        "first": lambda t, s: s == 0,
        "separator": lambda t, s: tokens[s] == 0,
        "duplicate": lambda t, s: s < t and tokens[s] == tokens[t],
        "induction": lambda t, s: 1 <= s < t and tokens[s - 1] == tokens[t],
        "copying": lambda t, s: tokens[s] == predicted[t],
    }
    for name, rule in rules.items():
        masses, chances = [], []
        for t, (first, stop) in enumerate(key_range):
            hits = [s for s in range(first, stop) if rule(t, s)]
            choice = stop - first > 1 or name in ("previous", "duplicate", "induction")
            if hits and choice:
                masses.append(weights[t, hits].sum())
                chances.append(len(hits) / (stop - first))
        score = table.score("a/attention:0", name)
        assert score.n_rows == len(masses), name
        if masses:
            assert score.value == pytest.approx(np.mean(masses)), name
            assert score.chance == pytest.approx(np.mean(chances)), name
    assert set(table.metrics) == set(ALL_METRICS)


def test_equal_weights_are_of_the_rows_that_the_value_is_of():
    """A row that sees nothing is left out of the value, and of what it is compared with."""
    n = 12
    flat = uniform(causal(n), n)
    flat[4:9] = 0
    tokens = np.arange(n) % 3
    table = score_heads(ArrayMaps({"a/attention": [flat[None]] * 3}, [tokens] * 3))
    for metric in ("entropy", "confidence", "distance", "previous", "duplicate", "induction"):
        score = table.score("a/attention:0", metric)
        assert score.value == pytest.approx(score.chance, abs=1e-12), metric
        assert not score.stands_out
