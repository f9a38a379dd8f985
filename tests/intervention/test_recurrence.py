"""Clamps inside the recurrence: none changes nothing, one is what the next step sees."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from interp import Recorder
from interp.errors import CaptureError, SelectionError, SiteError
from interp.intervention import Clamp, Clamped
from interp.sites import LSTM_GATES
from tests.capture import oracle

KINDS = [(nn.LSTM, {}), (nn.LSTM, {"proj_size": 3}), (nn.GRU, {}), (nn.RNN, {}),
         (nn.RNN, {"nonlinearity": "relu"})]  # fmt: skip
SHAPES = [
    {"num_layers": layers, "bidirectional": both, "bias": bias, "batch_first": True}
    for layers, both, bias in itertools.product((1, 2), (False, True), (True, False))
] + [{"num_layers": 2, "batch_first": False}]


def _net(kind, more, shape, seed=0):
    torch.manual_seed(seed)
    return kind(4, 6, **more, **shape).double().eval()


@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_step_by_step_equals_the_fused_function(kind, more):
    """A clamp of no row runs every step by hand and changes nothing."""
    for shape in SHAPES:
        net = _net(kind, more, shape)
        x = torch.randn(3, 7, 4, dtype=torch.float64)
        name = kind.__name__.lower()
        nothing = [Clamp(f"{name}/l{k}/hidden", (1,), 0.0, ()) for k in range(shape["num_layers"])]
        with torch.no_grad():
            expected, state = net(x)
            with Clamped(net, nothing):
                found, after = net(x)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(after, state, rtol=1e-12, atol=1e-14)


def test_float32_is_the_fused_model_to_rounding():
    torch.manual_seed(1)
    net, x = nn.LSTM(16, 64, 2, batch_first=True).eval(), torch.randn(8, 50, 16)
    with torch.no_grad():
        expected, _ = net(x)
        with Clamped(net, [Clamp(f"lstm/l{k}/cell", (0,), 0.0, ()) for k in (0, 1)]):
            found, _ = net(x)
    assert (found - expected).abs().max() < 1e-6


def _by_hand(net, x, signal, unit, value):
    """An LSTM layer written out, one signal of one unit held at a value."""
    w, n = oracle.weights(net, "_l0"), net.hidden_size
    h = c = x.new_zeros(len(x), n)
    hidden = []
    for t in range(x.shape[1]):
        pre = x[:, t] @ w["ih"].T + h @ w["hh"].T + w["b"]
        squash = oracle.sigmoid, oracle.sigmoid, torch.tanh, oracle.sigmoid
        parts = [f(part) for f, part in zip(squash, pre.chunk(4, -1), strict=True)]
        gates = dict(zip(LSTM_GATES, parts, strict=True))
        if signal in gates:
            gates[signal][:, unit] = value
        c = gates["forget_gate"] * c + gates["input_gate"] * gates["cell_gate"]
        if signal == "cell":
            c[:, unit] = value
        h = gates["output_gate"] * torch.tanh(c)
        if signal == "hidden":
            h = h.clone()
            h[:, unit] = value
        hidden.append(h)
    return torch.stack(hidden, 1)


@pytest.mark.parametrize(
    "signal", ["hidden", "cell", "input_gate", "forget_gate", "cell_gate", "output_gate"]
)
def test_a_clamped_value_is_what_the_next_step_sees(signal):
    net = _net(nn.LSTM, {}, {"batch_first": True})
    x = torch.randn(2, 9, 4, dtype=torch.float64)
    with torch.no_grad(), Clamped(net, [Clamp(f"lstm/l0/{signal}", (2,), 0.7)]):
        found, _ = net(x)
    torch.testing.assert_close(found, _by_hand(net, x, signal, 2, 0.7), rtol=1e-12, atol=1e-14)
    if signal == "hidden":
        assert (found[..., 2] == 0.7).all()


@pytest.mark.parametrize("signal", ["hidden", "reset_gate", "update_gate", "new_gate"])
def test_gates_of_a_gru(signal):
    net = _net(nn.GRU, {}, {"batch_first": True})
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    w, h, hidden = oracle.weights(net, "_l0"), torch.zeros(2, 6, dtype=torch.float64), []
    for t in range(6):
        a, b = x[:, t] @ w["ih"].T + w["b_ih"], h @ w["hh"].T + w["b_hh"]
        gates = {"reset_gate": oracle.sigmoid((a + b)[:, :6])}
        gates["update_gate"] = oracle.sigmoid((a + b)[:, 6:12])
        if signal in gates:
            gates[signal][:, 4] = 0.2
        new = torch.tanh(a[:, 12:] + gates["reset_gate"] * b[:, 12:])
        if signal == "new_gate":
            new[:, 4] = 0.2
        h = (1 - gates["update_gate"]) * new + gates["update_gate"] * h
        if signal == "hidden":
            h = h.clone()
            h[:, 4] = 0.2
        hidden.append(h)
    with torch.no_grad(), Clamped(net, [Clamp(f"gru/l0/{signal}", (4,), 0.2)]):
        found, _ = net(x)
    torch.testing.assert_close(found, torch.stack(hidden, 1), rtol=1e-12, atol=1e-14)


def test_many_clamps_share_one_batch():
    """Rows with their own clamps equal as many runs with one clamp each."""
    net = _net(nn.LSTM, {}, {"num_layers": 2, "batch_first": True})
    x = torch.randn(1, 8, 4, dtype=torch.float64)
    many = [Clamp("lstm/l0/cell", (1,), 0.3, (1,)), Clamp("lstm/l0/cell", (1, 5), -1.0, (2,)),
            Clamp("lstm/l1/hidden", (0,), 0.1, (3,))]  # fmt: skip
    with torch.no_grad():
        with Clamped(net, many):
            together, _ = net(x.expand(4, -1, -1))
        torch.testing.assert_close(together[:1], net(x)[0])
        for clamp in many:
            with Clamped(net, [Clamp(clamp.site, clamp.units, clamp.value)]):
                alone, _ = net(x)
            torch.testing.assert_close(together[clamp.rows[0]][None], alone)


def test_values_of_their_own_at_each_step():
    net = _net(nn.GRU, {}, {"batch_first": True})
    x, values = torch.randn(2, 5, 4, dtype=torch.float64), torch.rand(2, 5, dtype=torch.float64)
    with torch.no_grad(), Clamped(net, [Clamp("gru/l0/hidden", (3, 0), values)]):
        found, _ = net(x)
    torch.testing.assert_close(found[0, :, 3], values[0])
    torch.testing.assert_close(found[1, :, 0], values[1])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_packed_sequences_in_the_callers_order(kind):
    """A packed batch gives what each sequence gives alone, clamps on the rows they name."""
    net = _net(kind, {}, {"num_layers": 2, "bidirectional": True, "batch_first": True})
    name, lengths = kind.__name__.lower(), torch.tensor([3, 7, 5])
    x = torch.randn(3, 7, 4, dtype=torch.float64)
    clamps = [Clamp(f"{name}/l0/hidden", (2,), 0.4, (2,)), Clamp(f"{name}/l1_reverse/hidden", (1,),
              -0.2, (0,))]  # fmt: skip
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    with torch.no_grad():
        with Clamped(net, clamps):
            found, _ = pad_packed_sequence(net(packed)[0], batch_first=True)
        for row, n in enumerate(lengths.tolist()):
            mine = [Clamp(c.site, c.units, c.value) for c in clamps if c.rows == (row,)]
            with Clamped(net, mine):
                alone, _ = net(x[row : row + 1, :n])
            torch.testing.assert_close(found[row : row + 1, :n], alone)


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells_in_a_loop(kind):
    torch.manual_seed(0)

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = kind(4, 6)

        def forward(self, x):
            state, hidden = None, []
            for t in range(x.shape[1]):
                state = self.cell(x[:, t], state)
                hidden.append(state[0] if isinstance(state, tuple) else state)
            return torch.stack(hidden, 1)

    loop, x = Loop().eval(), torch.randn(2, 5, 4)
    net = getattr(nn, kind.__name__.removesuffix("Cell"))(4, 6, batch_first=True).eval()
    net.load_state_dict({f"{k}_l0": v for k, v in loop.cell.state_dict().items()})
    name = kind.__name__.removesuffix("Cell").lower()
    signal = "cell" if kind is nn.LSTMCell else "hidden"
    with torch.no_grad():
        with Clamped(loop, [Clamp(f"cell/{signal}", (3,), 0.5)]):
            found = loop(x)
        with Clamped(net, [Clamp(f"{name}/l0/{signal}", (3,), 0.5)]):
            expected, _ = net(x)
    torch.testing.assert_close(found, expected)


def test_the_model_is_itself_again_afterwards():
    net, x = _net(nn.LSTM, {}, {"batch_first": True}), torch.randn(1, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        before, _ = net(x)
        with pytest.raises(RuntimeError, match="stop"), Clamped(net, [Clamp("lstm/l0/cell", (0,))]):
            net(x)
            raise RuntimeError("stop")
        assert torch.equal(net(x)[0], before)
    assert not net._forward_hooks and not net._forward_pre_hooks


def test_refusals_name_what_is_there():
    net, x = _net(nn.LSTM, {}, {"batch_first": True}), torch.randn(1, 4, 4, dtype=torch.float64)
    with pytest.raises(SiteError, match=r"lstm/l0/cell"):
        Clamped(net, [Clamp("lstm/l0/cels", (0,))])
    with pytest.raises(SiteError, match="reset_gate"):
        Clamped(net, [Clamp("lstm/l0/reset_gate", (0,))])
    with pytest.raises(SelectionError, match=r"unit 6 of lstm/l0/cell .* 6 units \(0-5\)"):
        Clamped(net, [Clamp("lstm/l0/cell", (6,))])
    with pytest.raises(SelectionError, match="row 1 of a batch of 1"):
        with Clamped(net, [Clamp("lstm/l0/cell", (0,), 0.0, (1,))]):
            net(x)
    with (
        pytest.raises(SiteError, match="never clamped"),
        Clamped(net, [Clamp("lstm/l0/cell", (0,))]),
    ):
        pass
    with pytest.raises(CaptureError, match="recorder"):
        with Recorder(net, ["lstm/*"]), Clamped(net, [Clamp("lstm/l0/cell", (0,))]):
            net(x)
    with pytest.raises(CaptureError, match="train mode"), Clamped(net.train(), []):
        pass


@pytest.mark.parametrize(
    ("text", "message"),
    [("lstm/l0/cell", "names no units"), ("lstm/l0/cell:3@doc0", "names positions")],
)
def test_selections_that_are_no_clamp(text, message):
    with pytest.raises(SelectionError, match=message):
        Clamp.parse(text)


def test_outputs_are_recorded_under_a_clamp():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).eval()
    with torch.no_grad(), Clamped(net, [Clamp("0/output", (1,), 5.0)]):
        with Recorder(net, ["*/output"]) as recorder:
            net(torch.randn(3, 7, 4))
    assert recorder["1/output"].shape == (3, 7, 2)
