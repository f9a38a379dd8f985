"""Weights, steps and Jacobians: against torch's modules, autograd, NumPy, and exact values."""

import numpy as np
import pytest
import torch
from torch import nn

from interp.errors import InterpError
from probes.dynamics import (
    Stack,
    lyapunov_exponents,
    recurrent_layers,
    step_spectra,
    weight_spectra,
)
from probes.dynamics.steps import differentiate, step
from probes.dynamics.traces import run_and_trace
from tests.dynamics.nets import KINDS, Loop, Tagger, make

ONE_DIRECTION = list(KINDS)


@pytest.mark.parametrize("kind", ONE_DIRECTION)
def test_steps_follow_torch_and_their_derivatives_autograd(kind):
    net = make(kind)
    batch = torch.randn(*((6, 2) if kind == "time first" else (2, 6)), 3, dtype=torch.float64)
    layers = recurrent_layers(net)
    assert list(layers) == [f"{type(net).__name__.lower()}/l{i}" for i in range(net.num_layers)]
    for name, trace in run_and_trace(net, batch).items():
        layer, rows, steps = layers[name], torch.tensor([0, 1]), torch.tensor([1, 4])
        assert trace.step_error(rows, steps) < 1e-12
        inputs, before = trace.at(rows, steps)
        found = differentiate(layer, inputs, before)

        def one(x, s, layer=layer):
            return step(layer, x[None], s[None])[0]

        by_input, by_state = torch.func.vmap(torch.func.jacrev(one, (0, 1)))(inputs, before)
        torch.testing.assert_close(found.by_state, by_state, rtol=0, atol=1e-13)
        torch.testing.assert_close(found.by_input, by_input, rtol=0, atol=1e-13)
        torch.testing.assert_close(found.state, trace.states[rows, steps], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["lstm", "projected", "gru", "tanh"])
def test_a_stack_is_the_whole_module_and_its_eigenvalues_are_those_of_its_layers(kind):
    net = make(kind)
    layers = list(recurrent_layers(net).values())
    stack = Stack(layers)
    inputs = torch.randn(3, dtype=torch.float64)
    state = torch.randn(stack.n_state, dtype=torch.float64) / 2

    def module_step(flat):
        parts = stack.parts(flat[None])
        n = layers[0].n_hidden
        hidden = torch.stack([part[:, :n] for part in parts])
        cells = torch.stack([part[:, n:] for part in parts])
        given = (hidden, cells) if isinstance(net, nn.LSTM) else hidden
        new = net(inputs[None, None], given)[1]
        new = new if isinstance(new, tuple) else (new,)
        return torch.cat([part[i, 0] for i in range(2) for part in new])

    after, jacobian = stack.differentiate(inputs[None], state[None])
    torch.testing.assert_close(after[0], module_step(state), rtol=0, atol=1e-12)
    expected = torch.autograd.functional.jacobian(module_step, state)
    torch.testing.assert_close(jacobian[0], expected, rtol=0, atol=1e-12)
    blocks, below = [], inputs[None]
    for layer, part in zip(layers, stack.parts(state[None]), strict=True):
        here = differentiate(layer, below, part)
        blocks.append(torch.linalg.eigvals(here.by_state[0]))
        below = here.state[:, : layer.n_hidden]
    both = np.sort_complex(torch.cat(blocks).numpy().round(9))
    np.testing.assert_allclose(
        np.sort(np.abs(torch.linalg.eigvals(jacobian[0]).numpy())), np.sort(np.abs(both)), atol=1e-8
    )


def test_spectra_at_positions_of_a_users_model():
    net = Tagger(make("lstm")).double().eval()
    batches = [torch.randn(2, 30, 3, dtype=torch.float64), torch.randn(1, 9, 3).double()]
    found = step_spectra(net, batches, n_positions=5, skip=3, n_exponents=2)
    assert [s.layer for s in found] == ["encoder.rnn/l0", "encoder.rnn/l1"]
    assert all(at >= 3 and row < 3 for row, at in found[0].places) and len(found[0].places) == 5
    trace = run_and_trace(net, batches[1])["encoder.rnn/l1"]
    row, at = found[1].places[-1]
    assert row == 2
    inputs, before = trace.at(torch.tensor([0]), torch.tensor([at]))
    jacobian = differentiate(trace.layer, inputs, before).by_state[0].numpy()
    expected = np.linalg.eigvals(jacobian)
    assert found[1].spectral_radius[-1] == pytest.approx(np.abs(expected).max(), rel=1e-9)
    assert found[1].norm[-1] == pytest.approx(np.linalg.norm(jacobian, 2), rel=1e-9)
    assert found[1].step_error < 1e-12 and len(found[1].lyapunov) == 2
    body = found[1].to_dict()
    assert len(body["real"][0]) == 10
    sizes = np.hypot(body["real"], body["imaginary"])
    found[1].eigenvalues[0, :3] = [2, -1.5j, 1]
    assert found[1].to_dict()["n_above_one"][0] == 2 + (sizes[0, 3:] > 1).sum()


def test_a_reverse_direction_and_a_cell_in_a_loop_step_as_they_run():
    torch.manual_seed(0)
    both = nn.GRU(3, 5, 2, bidirectional=True, batch_first=True).double().eval()
    found = step_spectra(both, [torch.randn(1, 8, 3).double()], n_positions=3)
    assert [s.layer for s in found] == ["gru/l0", "gru/l0_reverse", "gru/l1", "gru/l1_reverse"]
    assert max(s.step_error for s in found) < 1e-12
    assert all(0 <= at < 7 for at in np.array(found[1].places)[:, 1])
    loop = Loop().double().eval()
    assert step_spectra(loop, [torch.randn(1, 8, 3).double()])[0].step_error < 1e-12


def test_a_linear_net_and_a_net_without_recurrence_keep_what_theory_says():
    torch.manual_seed(0)
    net = nn.RNN(2, 16).double().eval()
    with torch.no_grad():
        nn.init.orthogonal_(net.weight_hh_l0)
        for part in net.parameters():
            part.mul_(0.9 if part is net.weight_hh_l0 else 0.0)
    layer = recurrent_layers(net)["rnn/l0"]
    nothing = torch.zeros(20, 2, dtype=torch.float64), torch.zeros(20, 16, dtype=torch.float64)
    by_state = differentiate(layer, *nothing).by_state
    product = torch.linalg.multi_dot(list(by_state))
    assert float(torch.linalg.matrix_norm(product, 2)) == pytest.approx(0.9**20, abs=1e-10)
    assert 0.9**20 == pytest.approx(0.1215767, abs=1e-7)
    rates = lyapunov_exponents(layer, *nothing, n_exponents=3)
    np.testing.assert_allclose(rates, np.log(0.9), atol=1e-12)

    lstm = nn.LSTM(2, 4).double().eval()
    with torch.no_grad():
        lstm.weight_hh_l0.zero_()
        lstm.weight_ih_l0.zero_()
        for bias in (lstm.bias_ih_l0, lstm.bias_hh_l0):
            bias.zero_()
        lstm.bias_ih_l0[4:8] = 2.0
    layer = recurrent_layers(lstm)["lstm/l0"]
    steps = differentiate(layer, nothing[0], torch.rand(20, 8, dtype=torch.float64)).by_state
    kept = torch.linalg.multi_dot([step[4:, 4:] for step in steps])
    np.testing.assert_allclose(kept.numpy(), np.eye(4) * 0.0789800354, atol=1e-10)


def test_lyapunov_exponents_equal_those_of_the_product_of_jacobians():
    net = make("tanh")
    trace = run_and_trace(net, torch.randn(1, 60, 3, dtype=torch.float64))["rnn/l0"]
    inputs, states = trace.inputs[0, 1:], trace.states[0, :-1]
    rates = lyapunov_exponents(trace.layer, inputs, states, n_exponents=5)
    jacobians = differentiate(trace.layer, inputs, states).by_state
    _, log_volume = np.linalg.slogdet(jacobians.numpy())
    assert rates.sum() == pytest.approx(log_volume.mean(), abs=1e-10)
    top = np.log(np.linalg.norm(np.linalg.multi_dot(jacobians.numpy()[::-1]), 2)) / 59
    assert rates[0] == pytest.approx(top, abs=0.1)
    with pytest.raises(InterpError, match="5 directions; asked for 6"):
        lyapunov_exponents(trace.layer, inputs, states, n_exponents=6)


@pytest.mark.parametrize("kind", ["lstm", "projected", "gru", "tanh"])
def test_spectra_of_weights_equal_numpys(kind):
    net = make(kind)
    found = weight_spectra(Tagger(net))
    n_gates = {"lstm": 4, "projected": 4, "gru": 3, "tanh": 1}[kind]
    assert len(found) == 2 * n_gates and found[0].layer == "encoder.rnn/l0"
    for i, spectrum in enumerate(found):
        layer, gate = divmod(i, n_gates)
        weight = getattr(net, f"weight_hh_l{layer}").detach().numpy()
        part = weight.reshape(n_gates, 5, -1)[gate]
        np.testing.assert_allclose(
            spectrum.singular_values, np.linalg.svd(part, compute_uv=False), atol=1e-12
        )
        square = part
        if kind == "projected":
            square = getattr(net, f"weight_hr_l{layer}").detach().numpy() @ part
        radius = np.abs(np.linalg.eigvals(square)).max()
        assert spectrum.spectral_radius == pytest.approx(radius, rel=1e-9)
    if kind == "gru":
        assert [s.gate for s in found[:3]] == ["reset_gate", "update_gate", "new_gate"]


def test_refusals_of_models():
    with pytest.raises(InterpError, match="no recurrent module.*Linear"):
        weight_spectra(nn.Sequential(nn.Linear(3, 3)))
    with pytest.raises(InterpError, match="nearest: lstm/l1, lstm/l0"):
        weight_spectra(make("lstm"), ["lstm/l7"])
    both = nn.GRU(3, 5, bidirectional=True)
    with pytest.raises(InterpError, match="bidirectional"):
        Stack(list(recurrent_layers(both).values()))
    with pytest.raises(InterpError, match="more than 50 positions"):
        step_spectra(make("gru"), [torch.randn(1, 9, 3).double()], skip=50)


def test_half_precision_is_no_reason_to_refuse():
    net = nn.LSTM(3, 5, batch_first=True).to(torch.bfloat16).eval()
    found = step_spectra(net, [torch.randn(1, 9, 3).to(torch.bfloat16)])
    assert 0 < found[0].step_error < 0.05


def test_a_layer_that_does_not_follow_its_weights_is_refused():
    class Masked(nn.GRU):
        """Computes with other weights than it shows."""

        def forward(self, x, state=None):
            return super().forward(x * 3, state)

    net = Masked(3, 5, batch_first=True).double().eval()
    with pytest.raises(InterpError, match="does not compute what its weights say"):
        step_spectra(net, [torch.randn(1, 9, 3).double()])
