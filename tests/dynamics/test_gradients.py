"""Gradients by lag and under truncation: T5's values, unrolled nets, hand-written training."""

import numpy as np
import pytest
import torch
from torch import nn

from interp.errors import InterpError
from probes.dynamics import compare_truncation, gradient_by_lag
from probes.dynamics.gradients import _summary, decay_factor
from tests.dynamics.nets import Loop, Tagger, make


def _factor(net, n_inputs=16, seed=1):
    torch.manual_seed(seed)
    batches = [torch.randn(8, 31, n_inputs)]
    return gradient_by_lag(net.eval(), batches, n_lags=30).layers[0].factor


def _lstm(forget_bias):
    net = nn.LSTM(16, 128, batch_first=True)
    with torch.no_grad():
        net.bias_ih_l0[128:256], net.bias_hh_l0[128:256] = forget_bias, 0.0
    return net


def test_at_initialisation_gradients_fade_as_known():
    torch.manual_seed(0)
    tanh, orthogonal = (nn.RNN(16, 128, batch_first=True) for _ in range(2))
    nn.init.orthogonal_(orthogonal.weight_hh_l0)
    factors = {f"forget {b}": _factor(_lstm(b)) for b in (0.0, 1.0, 3.0)}
    factors |= {"tanh": _factor(tanh), "orthogonal": _factor(orthogonal)}
    assert 0.5 < factors["tanh"] < 0.65  # theory: 1 / sqrt(3), times the slope of tanh
    assert 0.8 < factors["orthogonal"] < 1
    # Without a forget bias an LSTM's gradients fade like a tanh net's.
    assert 0.5 < factors["forget 0.0"] < 0.68
    assert factors["forget 1.0"] - factors["tanh"] > 0.2
    assert factors["forget 3.0"] > 0.95


def test_a_linear_orthogonal_net_loses_exactly_a_tenth_per_step():
    net = nn.RNN(8, 8, batch_first=True).double().eval()
    with torch.no_grad():
        nn.init.orthogonal_(net.weight_hh_l0)
        net.weight_hh_l0.mul_(0.9)
        net.weight_ih_l0.copy_(torch.eye(8))
        net.bias_ih_l0.zero_()
        net.bias_hh_l0.zero_()
    zeros = torch.zeros(3, 26, 8, dtype=torch.float64)  # tanh is linear at 0
    found = gradient_by_lag(net, [zeros], n_lags=25, truncate=(10,)).layers[0]
    expected = found.mean[0] * 0.9 ** np.arange(26)
    np.testing.assert_allclose(found.mean, expected, rtol=1e-10)
    assert found.mean[20] / found.mean[0] == pytest.approx(0.1215767, abs=1e-7)
    assert found.factor == pytest.approx(0.9, abs=1e-10)
    assert found.interval == pytest.approx((0.9, 0.9))
    np.testing.assert_allclose(found.truncated[10][:10], expected[:10] * (1 - np.arange(10) / 10))
    assert not found.truncated[10][10:].any()


@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh", "time first"])
def test_inner_layers_have_the_gradients_of_the_net_written_out(kind):
    net = make(kind)
    x = torch.randn(2, 12, 3, dtype=torch.float64)
    read_out = torch.randn(5, dtype=torch.float64)
    time_first = kind == "time first"
    given = x.transpose(0, 1) if time_first else x

    def loss(output, batch):
        return (output[0].transpose(0, 1) if time_first else output[0]) @ read_out

    found = gradient_by_lag(net, [given], loss, n_lags=10, fit=(1, 10))
    assert [layer.layer for layer in found.layers] == [f"{_name(net)}/l{i}" for i in range(2)]
    # The same net, one module per layer, with its inner states in reach.
    lower, upper = (type(net)(n, 5, batch_first=True).double() for n in (3, 5))
    for index, part in enumerate((lower, upper)):
        for name, value in part.named_parameters():
            value.data.copy_(getattr(net, name.replace("l0", f"l{index}")))
    first = x.clone().requires_grad_()
    second = lower(first)[0]
    losses = upper(second)[0] @ read_out
    for layer, inputs in zip(found.layers, (first, second), strict=True):
        gradient = torch.autograd.grad(losses[:, -1].sum(), inputs, retain_graph=True)[0]
        expected = gradient.flip(1)[:, :11].norm(dim=-1).mean(0)
        np.testing.assert_allclose(layer.mean, expected.numpy(), rtol=1e-9)
    assert all(part.grad is None for part in net.parameters())


def _name(net):
    return type(net).__name__.lower()


def test_the_mean_over_truncated_windows_is_what_really_cut_graphs_give():
    net = make("gru")
    x, window = torch.randn(2, 12, 3, dtype=torch.float64), 4
    read_out = torch.ones(5, dtype=torch.float64)
    found = gradient_by_lag(
        net, [x], lambda output, batch: output[0] @ read_out, n_lags=11, truncate=(window,),
        fit=(0, 3),
    ).layers[0]  # fmt: skip
    norms = np.zeros(12)
    for offset in range(window):  # where in its window the last position stands
        start = 12 - 1 - offset
        state = net(x[:, :start])[1].detach()
        tail = x[:, start:].clone().requires_grad_()
        last = (net(tail, state)[0] @ read_out)[:, -1].sum()
        gradient = torch.autograd.grad(last, tail)[0].flip(1).norm(dim=-1).mean(0)
        norms[: offset + 1] += gradient.numpy() / window
    np.testing.assert_allclose(found.truncated[window], norms, rtol=1e-9, atol=1e-15)


def test_clipping_scales_as_torchs_own():
    net = Tagger(make("lstm")).double().eval()
    x, clip = torch.randn(3, 20, 3, dtype=torch.float64), 0.05

    def loss(output, batch):
        return output.square().mean(-1)

    found = gradient_by_lag(net, [x], loss, n_lags=10, clip_norm=clip, fit=(1, 10))
    loss(net(x), x).mean().backward()
    norm = float(nn.utils.clip_grad_norm_(net.parameters(), clip))
    assert norm > clip and found.clip_factor[0] == pytest.approx(clip / norm, rel=1e-5)
    layer = found["encoder.rnn/l1"]
    np.testing.assert_allclose(layer.clipped, layer.mean * found.clip_factor[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.GRU(3, 5, bidirectional=True, batch_first=True), "bidirectional.*lag says nothing"),
        (Loop(), "cells called in a loop.*nn.LSTM"),
        (nn.Linear(3, 3), "no nn.LSTM, nn.GRU or nn.RNN"),
        (nn.GRU(3, 5, batch_first=True).train(), "train mode.*eval"),
    ],
)
def test_nets_whose_lags_cannot_be_followed_are_refused(net, message):
    net = net if "train mode" in message else net.eval()
    with pytest.raises(InterpError, match=message):
        gradient_by_lag(net, [torch.randn(2, 40, 3)], lambda output, batch: output[0].sum(-1))


def test_packed_rows_of_one_length_are_followed_and_others_refused():
    class Packing(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = make("gru")

        def forward(self, x, lengths):
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
            hidden = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0]
            return hidden.sum(-1)

    net, x = Packing().eval(), torch.randn(2, 12, 3, dtype=torch.float64)
    options = {"n_lags": 10, "fit": (1, 10)}
    found = gradient_by_lag(
        net, [x], lambda output, batch: output,
        forward=lambda model, batch: model(batch, [12, 12]), **options,
    )  # fmt: skip
    plain = gradient_by_lag(net.rnn, [x], lambda output, batch: output[0].sum(-1), **options)
    for packed, dense in zip(found.layers, plain.layers, strict=True):
        np.testing.assert_allclose(packed.mean, dense.mean, rtol=1e-9)
    with pytest.raises(InterpError, match="rows end at different steps"):
        gradient_by_lag(
            net, [x], lambda output, batch: output,
            forward=lambda model, batch: model(batch, [12, 11]), **options,
        )  # fmt: skip


def test_a_loss_of_fewer_positions_than_are_read_is_refused():
    # The last token has no target: its gradient is 0, and every lag would be one too many.
    net, ids = Tagger(make("lstm")).double().eval(), torch.randn(2, 20, 3, dtype=torch.float64)
    options = {"n_lags": 10, "fit": (1, 10)}
    with pytest.raises(InterpError, match="read 20 steps, but the loss has 19 positions"):
        gradient_by_lag(net, [ids], lambda output, batch: output[:, :-1].sum(-1), **options)
    found = gradient_by_lag(net, [ids[:, :-1]], lambda output, batch: output.sum(-1), **options)
    assert found.layers[0].mean[0] > 0


def test_other_refusals():
    net = make("gru").eval()
    x = torch.randn(2, 20, 3, dtype=torch.float64)
    with pytest.raises(InterpError, match=r"at least 31 steps.*\(2, 20\)"):
        gradient_by_lag(net, [x], n_lags=30)
    with pytest.raises(InterpError, match="needs 0 <= first < last.*--fit 1 10"):
        gradient_by_lag(net, [x], n_lags=10)
    with pytest.raises(InterpError, match="What is the loss of Tagger"):
        gradient_by_lag(Tagger(make("gru")).double().eval(), [x])
    with pytest.raises(InterpError, match="at least one batch"):
        gradient_by_lag(net, [], n_lags=30)
    twice = Tagger(make("gru")).double().eval()
    with pytest.raises(InterpError, match="called several times"):
        gradient_by_lag(
            twice, [x], lambda output, batch: output.sum(-1), n_lags=10, fit=(1, 5),
            forward=lambda model, batch: model(batch) + model(batch),
        )  # fmt: skip


def test_a_factor_needs_two_lags_with_a_gradient():
    assert decay_factor(0.7 ** np.arange(30)) == pytest.approx(0.7)
    assert np.isnan(decay_factor(np.zeros(30)))


class _Reader:
    """Reads a batch piece by piece, as compare_truncation asks for."""

    def __init__(self, net, x, targets):
        self.net, self.x, self.targets = net, x, targets
        self.starts = []

    def __call__(self, start, stop, state):
        self.starts.append((start, state is None))
        output, state = self.net(self.x[:, start:stop], state)
        return (output - self.targets[:, start:stop]).square().mean(-1), state


def _training(kind, seed=0):
    net = make(kind, seed)
    torch.manual_seed(seed)
    x = torch.randn(3, 24, 3, dtype=torch.float64)
    return net, _Reader(net, x, torch.randn(3, 24, 5, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_truncated_gradients_are_those_of_training_written_by_hand(kind):
    net, reader = _training(kind)
    found = compare_truncation(net, [reader], n_steps=24, windows=(6,), clip_norm=0.05)
    assert [update.window for update in found.updates] == [6, 24]
    gradients, clipped, state = [], [], None
    for start in range(0, 24, 6):
        net.zero_grad()
        loss, state = reader(start, start + 6, state)
        loss.mean().backward()
        state = tuple(s.detach() for s in state) if kind == "lstm" else state.detach()
        gradients.append(_flat(net))
        nn.utils.clip_grad_norm_(net.parameters(), 0.05)
        clipped.append(_flat(net))
    net.zero_grad()
    reader(0, 24, None)[0].mean().backward()
    full, short = _flat(net), found[6]
    np.testing.assert_allclose(short.norm, [np.linalg.norm(g) for g in gradients], rtol=1e-9)
    np.testing.assert_allclose(short.clipped_norm, [np.linalg.norm(g) for g in clipped], rtol=1e-4)
    mean = np.mean(gradients, axis=0)
    cosine = mean @ full / np.linalg.norm(mean) / np.linalg.norm(full)
    assert short.cosine == pytest.approx(cosine, abs=1e-9) and cosine < 0.9999
    assert short.relative_norm == pytest.approx(np.linalg.norm(mean) / np.linalg.norm(full))
    mean = np.mean(clipped, axis=0)
    cosine = mean @ full / np.linalg.norm(mean) / np.linalg.norm(full)
    assert short.cosine_clipped == pytest.approx(cosine, abs=1e-4)
    assert found[24].cosine == pytest.approx(1) and found[24].norm == pytest.approx(
        np.linalg.norm(full)
    )
    assert short.share_clipped == 1 and set(short.cosine_by_parameter) == {
        name for name, _ in net.named_parameters()
    }


def _flat(net):
    return torch.cat([part.grad.flatten() for part in net.parameters()]).numpy().copy()


def test_truncation_changes_nothing_where_there_is_no_recurrence():
    net, reader = _training("tanh")
    with torch.no_grad():
        net.weight_hh_l0.zero_()
        net.weight_hh_l1.zero_()
    found = compare_truncation(net, [reader], n_steps=24, windows=(1, 8), clip_norm=1e9)
    # The gradient of the recurrent weights themselves needs no path through time either, but at
    # a window's first step the state before is cut off only from the graph, not from the value.
    for update in found.updates:
        assert update.cosine == pytest.approx(1, abs=1e-9)
        assert update.relative_norm == pytest.approx(1, abs=1e-9)
        assert update.share_clipped == 0


def test_refusals_of_truncation():
    net, reader = _training("gru")
    with pytest.raises(InterpError, match="7 steps does not divide the 24"):
        compare_truncation(net, [reader], n_steps=24, windows=(7,))
    with pytest.raises(InterpError, match="above 0"):
        compare_truncation(net, [reader], n_steps=24, windows=(6,), clip_norm=0)
    with pytest.raises(InterpError, match="no batch"):
        compare_truncation(net, [], n_steps=24, windows=(6,))
    with pytest.raises(InterpError, match="no parameter"):
        compare_truncation(net.requires_grad_(False), [reader], n_steps=24, windows=(6,))


def test_the_interval_of_a_factor_holds_the_truth_with_few_documents():
    """Plain percentiles of 5 documents did in 83 of 100 trials."""
    rng, lags = np.random.default_rng(0), np.arange(6)

    def norms(n):
        return np.exp(-0.5 * lags + rng.normal(size=(n, 1)) * 0.05 * lags)

    truth, held = decay_factor(norms(200_000).mean(axis=0), (0, 5)), 0
    for trial in range(100):
        found = _summary("a", norms(5), np.arange(5), (), None, (0, 5), trial)
        held += found.interval[0] <= truth <= found.interval[1]
    assert held >= 88
    alone = _summary("a", norms(2), np.zeros(2), (), None, (0, 5), 0)
    assert np.isnan(alone.interval).all()
