"""What a head does in a window of a document, in numbers."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard import create_app
from dashboard.head_numbers import METRICS, WindowNumbers
from dashboard.sources import open_sources
from tests.dashboard.attention_source import even, first, previous


def causal(n: int) -> np.ndarray:
    return np.stack([np.zeros(n, int), np.arange(1, n + 1)], 1)


def measured(weights, queries=None, keys=None, key_range="causal", is_cross=False):
    """Numbers of a map, or of a window of a causal one."""
    queries, keys = queries or (0, len(weights)), keys or (0, weights.shape[1])
    seen = causal(queries[1])[queries[0] :] if isinstance(key_range, str) else key_range
    return WindowNumbers(seen, queries, keys, is_cross).of(weights)


def test_a_head_that_looks_back_once():
    found = measured(previous(10))
    # The first row sees itself alone, so it can show none of this.
    assert found["previous"] == pytest.approx(0.75)
    assert found["self"] == pytest.approx(0.25)
    assert found["distance"] == pytest.approx(0.75)
    assert found["confidence"] == pytest.approx(0.75)
    nats = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    expected = np.mean([nats / np.log(visible) for visible in range(2, 11)])
    assert found["relative_entropy"] == pytest.approx(expected)


def test_even_attention_has_full_entropy_and_one_key_none():
    assert measured(even(50))["relative_entropy"] == pytest.approx(1)
    assert measured(first(50))["relative_entropy"] == 0
    assert measured(first(50))["first"] == 1


def test_a_window_counts_positions_of_the_document():
    whole = previous(20)
    inside = measured(whole[8:16, 6:16], (8, 16), (6, 16))
    assert inside["previous"] == inside["distance"] == pytest.approx(0.75)
    # The first query's own key is all that it has in sight: the one before is cut away.
    cut = measured(whole[8:16, 8:16], (8, 16), (8, 16))
    assert cut["previous"] == pytest.approx(0.75)
    assert cut["distance"] == pytest.approx(0.75)
    # A whole row is one of what is left: even attention stays even.
    assert measured(even(20)[8:, 8:], (8, 20), (8, 20))["relative_entropy"] == pytest.approx(1)


def test_between_streams_no_key_is_the_position_before():
    full = np.tile([0, 6], (6, 1))
    found = measured(previous(6), key_range=full, is_cross=True)
    assert all(np.isnan(found[name]) for name in ("previous", "self", "distance"))
    assert found["confidence"] > 0.7 and 0 < found["relative_entropy"] < 0.5


def test_keys_that_are_no_run_of_positions_have_no_distance():
    weights = np.zeros((4, 16), np.float32)
    weights[:, [1, 2, 9, 10]] = 0.25
    found = measured(weights, key_range=None)
    assert found["relative_entropy"] == pytest.approx(1) and found["confidence"] == 0.25
    others = set(METRICS) - {"relative_entropy", "confidence"}
    assert all(np.isnan(found[name]) for name in others)


def test_nothing_in_sight_is_no_number():
    for key_range in ("causal", None):
        found = measured(np.zeros((3, 3), np.float32), key_range=key_range)
        assert list(found) == list(METRICS) and all(np.isnan(v) for v in found.values())


def test_over_a_whole_document_they_are_those_of_interp_heads(tmp_path):
    import interp
    from probes.heads.scores import score_heads
    from tests.storage.example import by_document, small
    from tests.storage.maps import Maps, map_site

    maps = Maps.random(map_site(n_heads=2), [13], [13])
    path = tmp_path / "run.h5"
    small((13,), segments={"text": by_document([13], 100)}, maps=(maps,)).record(path)
    with interp.open(path) as recording:
        scores = score_heads(recording, METRICS, n_resamples=2).scores
    expected = {(score.head, score.metric): score.value for score in scores}
    client = create_app(open_sources([path])).server.test_client()
    path = "/api/run/heads_in_numbers?document=0"
    rows = client.get(path, headers={"Host": "127.0.0.1"}).json["heads"]
    for row in rows:
        for metric in METRICS:
            wanted = expected[f"{row['site']}:{row['head']}", metric]
            assert row[metric] == pytest.approx(wanted, abs=1e-5), metric
