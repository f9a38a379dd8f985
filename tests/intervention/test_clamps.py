"""Which entries a clamp holds: rows, steps, layouts, types; and what records it."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from interp import Recorder
from interp.errors import CaptureError, SelectionError
from interp.intervention import Clamp, Clamped
from tests.capture.models import PacksItself


def _net(batch_first=True, **options):
    torch.manual_seed(0)
    return nn.LSTM(4, 6, batch_first=batch_first, **options).double().eval()


X = torch.randn(3, 7, 4, dtype=torch.float64)
STEPS = torch.arange(7.0, dtype=torch.float64)[None]


@pytest.mark.parametrize("site", ["lstm/output", "lstm/l0/hidden"])
def test_rows_are_those_of_the_batch_in_any_layout(site):
    for batch_first in (True, False):
        net = _net(batch_first)
        x = X if batch_first else X.transpose(0, 1)
        with torch.no_grad():
            with Clamped(net, [Clamp(site, (1,), 9.0, (2,))]):
                found = net(x)[0]
            with Clamped(net, [Clamp(site, (1,), STEPS)]):
                stepwise = net(x)[0]
        if not batch_first:
            found, stepwise = found.transpose(0, 1), stepwise.transpose(0, 1)
        assert (found[2, :, 1] == 9).all() and (found[:2, :, 1].abs() < 1).all()
        assert torch.equal(stepwise[..., 1], STEPS.expand(3, -1))
    with torch.no_grad(), Clamped(_net(), [Clamp(site, (1,), 9.0, (0,))]) as clamped:
        alone = clamped._model(X[0])[0]
    assert (alone[:, 1] == 9).all()


def test_steps_first_where_the_module_does_not_say_so_itself():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh()).double().eval()
    with torch.no_grad():
        with Clamped(model, [Clamp("0/output", (1,), STEPS, (2,))], batch_first=False):
            found = model(X.transpose(0, 1))
        plain = model(X.transpose(0, 1))
    assert torch.equal(found[:, 2, 1], STEPS[0].tanh())
    assert torch.equal(found[:, :2], plain[:, :2])


def test_rows_are_the_callers_where_a_module_packs_within():
    net = PacksItself(4, 6, batch_first=True).double().eval()
    with torch.no_grad(), Clamped(net, [Clamp("packsitself/l0/hidden", (1,), 9.0, (0,))]):
        found = net(X, torch.tensor([2, 7, 5]))
    assert (found[0, :2, 1] == 9).all() and (found[1:, :, 1].abs() < 1).all()


class Loop(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.cell = module

    def forward(self, x):
        state, hidden = None, []
        for step in x.split(1, 1):
            if isinstance(self.cell, nn.LSTMCell):
                state = self.cell(step[:, 0], state)
                hidden.append(state[0])
            else:
                output, state = self.cell(step, state)
                hidden.append(output[:, 0])
        return torch.stack(hidden, 1)


def test_values_of_each_step_for_a_cell_in_a_loop():
    loop = Loop(nn.LSTMCell(4, 6)).double().eval()
    with torch.no_grad(), Clamped(loop, [Clamp("cell/hidden", (1,), STEPS)]):
        for _ in range(2):  # each forward begins anew
            assert torch.equal(loop(X)[..., 1], STEPS.expand(3, -1))
        with pytest.raises(SelectionError, match="values for 7 steps, .* more often"):
            loop(torch.cat([X, X], 1))


@pytest.mark.parametrize("site", ["lstm/output", "lstm/l0/hidden"])
def test_values_for_another_number_of_steps_are_refused(site):
    for n_steps in (3, 30):
        with torch.no_grad(), pytest.raises(SelectionError, match=f"values for {n_steps} steps"):
            with Clamped(_net(), [Clamp(site, (1,), torch.zeros(1, n_steps))]) as clamped:
                clamped._model(X)
    loop = Loop(_net()).eval()
    with torch.no_grad(), pytest.raises(SelectionError, match="called with 1"):
        with Clamped(loop, [Clamp("cell/l0/hidden", (1,), STEPS)]):
            loop(X)
    clamps = [Clamp(site, (k,), torch.zeros(1, 7 - k)) for k in range(2)]
    with torch.no_grad(), pytest.raises(SelectionError, match="for 6 and for 7 steps"):
        with Clamped(_net(), clamps) as clamped:
            clamped._model(X)


@pytest.mark.parametrize("site", ["lstm/output", "lstm/l0/cell"])
def test_no_unit_and_the_same_unit_twice_are_refused(site):
    with pytest.raises(SelectionError, match="names no units"):
        Clamped(_net(), [Clamp(site, ())])
    for rows, others in itertools.combinations([None, (0, 1), (1, 2)], 2):
        for pair in ((rows, others), (others, rows)):
            with pytest.raises(SelectionError, match=f"{site}:3 is clamped twice"):
                Clamped(_net(), [Clamp(site, (2, 3), 1.0, pair[0]), Clamp(site, (3,), 2, pair[1])])
    Clamped(_net(), [Clamp(site, (3,), 1.0, (0,)), Clamp(site, (3,), 2.0, (1,))])


class Attention(nn.Module):
    def forward(self, x):
        q = x.unflatten(-1, (2, 2)).transpose(1, 2)
        return functional.scaled_dot_product_attention(q, q, q)


def test_heads_of_rows_that_are_not_there():
    model = Attention().eval()
    for row in (-1, 3):
        with pytest.raises(SelectionError, match=f"names row {row} of a batch of 3"):
            with Clamped(model, [Clamp("attention/attention", (1,), 0.0, (row,))]):
                model(X)


def test_outputs_of_clamped_heads_are_not_recorded_as_if_there_were_no_clamp():
    model, clamp = Attention().eval(), [Clamp("attention/attention", (1,))]
    with Recorder(model, "*/attention") as plain:
        model(X)
    with Recorder(model, "*/attention") as recorder, Clamped(model, clamp):
        model(X)
    assert torch.equal(recorder["attention/attention"], plain["attention/attention"])
    for sites in ("attention/head_output", "**"):
        with pytest.raises(CaptureError, match="asks for head_output"):
            with Recorder(model, sites), Clamped(model, clamp):
                model(X)
        with pytest.raises(CaptureError, match="asks for head_output"):
            with Clamped(model, clamp), Recorder(model, sites):
                model(X)
    with Recorder(model, "**") as after:
        model(X)
    assert after["attention/head_output"][:, 1].any()


def test_one_layer_is_held_by_one_clamp_at_a_time():
    net, other = _net(), _net()
    with torch.no_grad(), Clamped(net, [Clamp("lstm/l0/cell", (1,))]):
        with pytest.raises(CaptureError, match="lstm/l0/hidden is .* holds lstm/l0/cell"):
            Clamped(net, [Clamp("lstm/l0/hidden", (2,))]).__enter__()
        with Clamped(other, [Clamp("lstm/l0/hidden", (2,), 5.0)]):
            assert (other(X)[0][..., 2] == 5).all()
        with Clamped(net, [Clamp("lstm/output", (2,), 5.0)]):
            found = net(X)[0]
        assert (found[..., 2] == 5).all() and not found[..., 1].any()
        net(X)
    with torch.no_grad(), Clamped(net, [Clamp("lstm/l0/hidden", (2,), 5.0)]):
        assert (net(X)[0][..., 2] == 5).all()


@pytest.mark.parametrize("layers", [1, 2])
def test_an_open_recorder_records_what_the_clamp_leaves(layers):
    net = _net(num_layers=layers)
    with torch.no_grad(), Recorder(net, "**") as recorder:
        with Clamped(net, [Clamp("lstm/output", (1,), 9.0)]):
            output, _ = net(X)
        plain, _ = net(X)
    assert (output[..., 1] == 9).all()
    assert torch.equal(recorder.calls("lstm/output")[0], output)
    for k in range(2):  # the recurrence itself is not clamped
        assert torch.equal(recorder.calls(f"lstm/l{layers - 1}/hidden")[k], plain)
    assert not net._forward_hooks and not net._forward_hooks_always_called


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_under_autocast_a_clamp_of_no_row_changes_little_and_no_type(kind):
    torch.manual_seed(0)
    net, x = kind(40, 48, batch_first=True).eval(), torch.randn(3, 80, 40)
    cell, name = getattr(nn, f"{kind.__name__}Cell")(4, 6).eval(), kind.__name__.lower()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        plain, _ = net(x)
        with Clamped(net, [Clamp(f"{name}/l0/hidden", (0,), 0.0, ())]):
            found, _ = net(x)
        alone = cell(x[:, 0, :4])
        with Clamped(cell, [Clamp(f"{name}cell/hidden", (0,), 0.0, ())]):
            clamped = cell(x[:, 0, :4])
    assert found.dtype == plain.dtype and (found - plain).abs().max() < 0.02
    if kind is nn.LSTM:
        alone, clamped = alone[0], clamped[0]
    assert clamped.dtype == alone.dtype and (clamped - alone).abs().max() < 0.02


def test_gradients_pass_through_a_clamped_layer_of_any_size():
    torch.manual_seed(0)
    net, x = nn.LSTM(40, 48, batch_first=True).eval(), torch.randn(3, 80, 40, requires_grad=True)
    wanted = torch.autograd.grad(net(x)[0].sum(), [x, *net.parameters()])
    with Clamped(net, [Clamp("lstm/l0/cell", (0,), 0.0, ())]):
        found = torch.autograd.grad(net(x)[0].sum(), [x, *net.parameters()])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
