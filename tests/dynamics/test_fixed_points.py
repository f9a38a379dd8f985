"""Fixed points: equations that SciPy solves, the flip-flop net, and nets that have none."""

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import nn

from interp.errors import InterpError
from interp.models.loading import load
from probes.dynamics import Stack, find_fixed_points, recurrent_layers
from tests.dynamics.nets import make


def _stack(net):
    return Stack(list(recurrent_layers(net).values()))


def _one_unit(weight, nonlinearity="tanh", bias=0.0):
    net = nn.RNN(1, 1, nonlinearity=nonlinearity).double().eval()
    with torch.no_grad():
        net.weight_hh_l0.fill_(weight)
        net.weight_ih_l0.fill_(1.0)
        net.bias_ih_l0.fill_(bias)
        net.bias_hh_l0.zero_()
    return net


def test_a_bistable_unit_has_two_stable_points_and_a_saddle_between():
    stack = _stack(_one_unit(2.0))
    found = find_fixed_points(stack, np.linspace(-1, 1, 41)[:, None])
    root = scipy.optimize.brentq(lambda h: np.tanh(2 * h) - h, 0.1, 1, xtol=1e-14)
    assert sorted(p.state[0] for p in found.stable) == pytest.approx([-root, root], abs=1e-9)
    (saddle,) = found.saddles
    assert saddle.state[0] == pytest.approx(0, abs=1e-9) and saddle.n_unstable == 1
    assert saddle.eigenvalues[0].real == pytest.approx(2)
    assert found.stable[0].eigenvalues[0].real == pytest.approx(2 * (1 - root**2), abs=1e-8)
    assert sum(p.n_starts for p in found.points) == found.n_starts == 41 and found.n_slow == 0


def test_a_constant_input_moves_the_points():
    stack = _stack(_one_unit(2.0))
    found = find_fixed_points(stack, np.linspace(-1, 1, 41)[:, None], [1.0])
    root = scipy.optimize.brentq(lambda h: np.tanh(2 * h + 1) - h, 0, 1, xtol=1e-14)
    assert [p.state[0] for p in found.points] == pytest.approx([root], abs=1e-9)


@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh"])
def test_points_of_stacks_stay_where_they_are_in_the_module(kind):
    net = make(kind)
    stack = _stack(net)
    visited = torch.rand(64, stack.n_state, dtype=torch.float64) - 0.5
    found = find_fixed_points(stack, visited)
    assert found.points
    for point in found.points:
        state = torch.as_tensor(point.state)[None]
        moved = stack.step(torch.zeros(1, 3, dtype=torch.float64), state)
        assert float((moved - state).abs().max()) < 1e-6
    # From where the net itself comes to rest, if it does, a stable point is not far.
    state = visited
    for _ in range(3_000):
        state = stack.step(torch.zeros(len(state), 3, dtype=torch.float64), state)
    again = stack.step(torch.zeros(len(state), 3, dtype=torch.float64), state)
    resting = state[(again - state).abs().max(dim=1).values < 1e-10]
    stable = torch.as_tensor(np.array([p.state for p in found.stable])).reshape(-1, stack.n_state)
    for end in resting:
        assert float((stable - end).norm(dim=1).min()) < 1e-3


def test_the_flip_flop_net_remembers_three_bits_in_eight_points():
    from interp.training.flip_flop import pulses_and_bits

    model = load("zoo:flip-flop").module
    pulses, _ = pulses_and_bits(np.random.default_rng(0), 8, 100)
    with torch.no_grad():
        visited = model.gru(torch.as_tensor(pulses).float())[0].reshape(-1, 16)
    found = find_fixed_points(
        _stack(model), visited, read_out=lambda hidden: model.head(hidden.float())
    )
    assert len(found.stable) == 8
    assert {point.code for point in found.stable} == {
        (a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)
    }
    assert all(np.abs(np.abs(point.output) - 1).max() < 0.2 for point in found.stable)
    assert found.saddles and all(point.n_unstable >= 1 for point in found.saddles)


def test_a_net_that_never_rests_has_slow_points_only():
    found = find_fixed_points(_stack(_one_unit(1.0, "relu", bias=1.0)), [[0.0], [5.0]])
    assert not found.points and found.n_slow == 2
    assert found.slowest_speed == pytest.approx(0.5)  # h' = h + 1 moves by 1 everywhere
    assert found.warnings and found.to_dict()["n_stable"] == 0


def test_refusals():
    stack = _stack(make("lstm"))
    with pytest.raises(InterpError, match=r"states of 20 numbers.*\(4, 5\)"):
        find_fixed_points(stack, np.zeros((4, 5)))
    with pytest.raises(InterpError, match="reads 3 inputs"):
        find_fixed_points(stack, np.zeros((4, 20)), [1.0])
    with pytest.raises(InterpError, match="NaN"):
        find_fixed_points(stack, np.full((4, 20), np.nan))
    with pytest.raises(InterpError, match="up to 512.*jacobian"):
        find_fixed_points(_stack(nn.LSTM(3, 300)), np.zeros((1, 600)))
