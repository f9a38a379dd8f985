"""Rollout and flow on values that can be worked out, and against a linear program."""

import numpy as np
import pytest
from scipy.optimize import linprog

from interp.errors import InterpError
from probes.heads.flow import attention_flow
from probes.heads.rollout import attention_rollout, residual_map


def _random(n_layers, n, seed=0, causal=False):
    maps = np.random.default_rng(seed).random((n_layers, 3, n, n))
    maps = np.tril(maps) if causal else maps
    return maps / maps.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(("n_layers", "n"), [(6, 8), (2, 3), (1, 5)])
def test_rollout_of_uniform_attention(n_layers, n):
    found = attention_rollout([np.full((4, n, n), 1 / n)] * n_layers)
    assert found.shape == (n_layers, n, n)
    expected = 0.5**n_layers + (1 - 0.5**n_layers) / n
    assert np.allclose(np.diag(found[-1]), expected, rtol=1e-14)
    if (n_layers, n) == (6, 8):
        assert found[-1][0, 0] == pytest.approx(0.138671875, abs=1e-15)


def test_rollout_is_the_product_of_the_layers_and_stays_causal():
    maps = _random(3, 6, causal=True)
    found = attention_rollout(maps)
    steps = [0.5 * np.eye(6) + 0.5 * layer.mean(axis=0) for layer in maps]
    assert np.allclose(found[-1], steps[2] @ steps[1] @ steps[0])
    assert np.allclose(found.sum(axis=2), 1) and not np.triu(found[-1], 1).any()
    assert np.allclose(attention_rollout(maps, residual=1.0)[-1], np.eye(6))


def test_a_row_without_weight_stays_with_itself():
    assert np.array_equal(residual_map(np.zeros((2, 3, 3))), np.eye(3))


def _by_linear_program(maps, source, output):
    """The maximum flow as a linear program over the edges."""
    steps = [residual_map(layer) for layer in maps]
    n, n_layers = len(steps[0]), len(steps)
    edges = [
        (layer * n + key, (layer + 1) * n + query, steps[layer][query, key])
        for layer in range(n_layers)
        for query in range(n)
        for key in range(n)
    ]
    source, sink = source, n_layers * n + output
    balance = np.zeros(((n_layers + 1) * n, len(edges)))
    for e, (start, end, _) in enumerate(edges):
        balance[start, e] -= 1
        balance[end, e] += 1
    inner = [node for node in range(len(balance)) if node not in (source, sink)]
    solved = linprog(
        -balance[sink], A_eq=balance[inner], b_eq=np.zeros(len(inner)),
        bounds=[(0, capacity) for _, _, capacity in edges],
    )  # fmt: skip
    return -solved.fun


@pytest.mark.parametrize("causal", [False, True])
def test_flow_equals_the_linear_program(causal):
    maps = _random(3, 4, seed=2, causal=causal)
    found = attention_flow(maps)
    for output in range(4):
        for source in range(4):
            expected = _by_linear_program(maps, source, output)
            assert found[output, source] == pytest.approx(expected, abs=1e-5)
    assert not causal or not np.triu(found, 1).any()


def test_flow_through_one_layer_is_its_map():
    maps = _random(1, 5)
    assert np.allclose(attention_flow(maps), residual_map(maps[0]), atol=1e-6)
    assert np.allclose(attention_flow(maps, outputs=[3]), residual_map(maps[0])[3:4], atol=1e-6)


def test_flow_refuses_long_documents_and_says_what_to_do():
    with pytest.raises(InterpError, match="limit is 1,000,000,000.*take the rollout"):
        attention_flow([np.full((1, 256, 256), 1 / 256)] * 4)
    with pytest.raises(InterpError, match="positions from 0 to 3"):
        attention_flow(_random(1, 4), outputs=[4])


@pytest.mark.parametrize("wrong", [np.zeros((2, 3, 4)), -np.ones((3, 3)), np.full((3, 3), np.nan)])
def test_what_is_no_map_of_one_stream_is_refused(wrong):
    with pytest.raises(InterpError):
        attention_rollout([wrong])
