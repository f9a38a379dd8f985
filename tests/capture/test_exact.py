"""Recorded values against an independent loop of steps."""

import inspect
import itertools
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.nn.utils.rnn import pack_padded_sequence

from interp.capture import Recorder
from interp.models.zoo import load_bundled
from tests.capture import oracle

KINDS = {
    "lstm": lambda **k: nn.LSTM(**k),
    "lstm_proj": lambda **k: nn.LSTM(proj_size=3, **k),
    "gru": lambda **k: nn.GRU(**k),
    "rnn_tanh": lambda **k: nn.RNN(**k),
    "rnn_relu": lambda **k: nn.RNN(nonlinearity="relu", **k),
}


def build(kind, *, layers=2, bidirectional=False, bias=True, batch_first=True, dtype=torch.float64):
    torch.manual_seed(7)
    module = KINDS[kind](
        input_size=4, hidden_size=5, num_layers=layers, bidirectional=bidirectional, bias=bias,
        batch_first=batch_first, dropout=0.5 if layers > 1 else 0.0,
    )  # fmt: skip
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    return module.to(dtype).eval()


def state_of(module, batch, dtype=torch.float64, zero=False):
    torch.manual_seed(11)
    rows = module.num_layers * (2 if module.bidirectional else 1)
    make = torch.zeros if zero else torch.randn
    h = make(rows, batch, getattr(module, "proj_size", 0) or module.hidden_size, dtype=dtype)
    c = make(rows, batch, module.hidden_size, dtype=dtype) if module.mode == "LSTM" else None
    return h, c


def flat(result):
    output, state = result
    data = output.data if isinstance(output, nn.utils.rnn.PackedSequence) else output
    return [data, *(state if isinstance(state, tuple) else (state,))]


def recorded(module, *args):
    with torch.no_grad():
        plain = flat(module(*args))
        for _ in range(2):  # the first run is the one that checks, the second the one that trusts
            with Recorder(module, "**") as recorder:
                again = flat(module(*args))
            assert all(map(torch.equal, plain, again))
    return recorder


def check(recorder, expected, name, tolerance=1e-12):
    sites = {oracle.site(*key, name): value for key, value in expected.items()}
    assert set(sites) | {f"{name}/output"} == set(recorder.sites)
    for site, value in sites.items():
        torch.testing.assert_close(recorder[site], value, rtol=tolerance, atol=tolerance, msg=site)


@pytest.mark.parametrize("layout", ["dense", "packed", "packed_unsorted", "unbatched"])
@pytest.mark.parametrize("given_state", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_float64_equals_a_loop_over_the_matrix_of_options(kind, given_state, layout):
    torch.manual_seed(3)
    for layers, both, bias, batch_first in itertools.product((1, 3), *[(True, False)] * 3):
        module = build(kind, layers=layers, bidirectional=both, bias=bias, batch_first=batch_first)
        batch, n_steps = (1, 6) if layout == "unbatched" else (4, 6)
        x = torch.randn(batch, n_steps, 4, dtype=torch.float64)
        lengths = torch.full((batch,), n_steps)
        h, c = state_of(module, batch, zero=not given_state)
        state = (h if c is None else (h, c)) if given_state else None
        data = x if batch_first else x.transpose(0, 1)
        if layout.startswith("packed"):
            lengths = torch.tensor([6, 4, 4, 1] if layout == "packed" else [2, 6, 1, 6])
            data = pack_padded_sequence(
                data, lengths, batch_first=batch_first, enforce_sorted=layout == "packed"
            )
        elif layout == "unbatched":
            data = x[0]
            if given_state:
                state = h[:, 0] if c is None else (h[:, 0], c[:, 0])
        recorder = recorded(module, data, state)
        expected = oracle.run(module, x, lengths, h, c)
        name = type(module).__name__.lower()
        check(recorder, expected, name)
        assert recorder.lengths(f"{name}/l0/hidden").tolist() == lengths.tolist()
        top = module.num_layers - 1
        whole = recorder[f"{name}/output"]
        parts = [recorder[oracle.site(top, r, "hidden", name)] for r in range(1 + both)]
        assert torch.equal(whole, torch.cat(parts, -1))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("batch, n_steps", [(1, 33), (1, 500), (3, 257), (2, 64)])
def test_long_sequences_that_are_read_in_chunks(batch, n_steps, reverse):
    module = build("lstm", layers=1, bidirectional=reverse)
    x = torch.randn(batch, n_steps, 4, dtype=torch.float64)
    h, c = state_of(module, batch)
    lengths = torch.full((batch,), n_steps)
    check(recorded(module, x, (h, c)), oracle.run(module, x, lengths, h, c), "lstm", 1e-11)


def test_blocks_give_what_one_block_gives(monkeypatch):
    from interp.capture import reconstruction

    for kind, both, packed in itertools.product(["lstm", "gru"], *[(True, False)] * 2):
        module = build(kind, bidirectional=both)
        data = torch.randn(4, 9, 4, dtype=torch.float64)
        lengths = torch.tensor([9, 9, 5, 2])
        if packed:
            data = pack_padded_sequence(data, lengths, batch_first=True)
        whole = recorded(module, data)
        with monkeypatch.context() as patch:
            patch.setattr(reconstruction, "_BLOCK", 160)
            patch.setattr(reconstruction, "_CACHED", 80)
            parts = recorded(module, data)
            for only in (["**/cell"], ["**/forget_gate"], ["**/new_gate"], ["**/update_gate"]):
                if only[0].rpartition("/")[2] not in str(list(whole.sites)):
                    continue
                with torch.no_grad(), Recorder(module, only) as one:
                    module(data)
                for site in one.sites:
                    torch.testing.assert_close(one[site], whole[site], rtol=1e-12, atol=1e-12)
        for site in whole.sites:
            torch.testing.assert_close(parts[site], whole[site], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_bytes", [30_000, 12_000])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_results_too_large_to_be_kept_are_cut_by_gates(monkeypatch, dtype, n_bytes):
    from interp.capture import reconstruction

    module = build("lstm", layers=1, dtype=dtype)
    x = torch.randn(16, 25, 4, dtype=dtype)
    for sites in (["**"], ["**/cell"], ["**/cell_gate", "**/input_gate"], ["**/cell_gate"]):
        with torch.no_grad(), Recorder(module, sites) as whole:
            module(x)
        with monkeypatch.context() as patch, torch.no_grad(), Recorder(module, sites) as parts:
            patch.setattr(reconstruction, "LARGEST_KEPT", n_bytes)
            module(x)
        assert list(parts.sites) == list(whole.sites)
        for site in whole.sites:
            torch.testing.assert_close(parts[site], whole[site], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_only_what_was_asked_for(kind):
    module = build(kind)
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    everything = recorded(module, x)
    for site in everything.sites:
        with torch.no_grad(), Recorder(module, site) as recorder:
            module(x)
        assert list(recorder.sites) == [site]
        torch.testing.assert_close(recorder[site], everything[site], rtol=1e-12, atol=1e-12)


def one_step_errors(module, recorder, x, h0, c0):
    """Return the largest error of each signal after one float64 step from the recorded state."""
    worst = {}
    name = type(module).__name__.lower()
    n_directions = 2 if module.bidirectional else 1
    step, data = oracle.STEP[module.mode], x.double()
    for layer in range(module.num_layers):
        outputs = []
        for reverse in range(n_directions):
            w = oracle.weights(module, f"_l{layer}{'_reverse' if reverse else ''}")

            def get(signal, layer=layer, reverse=reverse):
                return recorder[oracle.site(layer, reverse, signal, name)].double()

            hidden = get("hidden")
            row = layer * n_directions + reverse

            def before(values, first):
                parts = [values[:, 1:], first] if reverse else [first, values[:, :-1]]  # noqa: B023
                return torch.cat(parts, 1).flatten(0, 1)

            h = before(hidden, h0[row].double()[:, None])
            c = None if c0 is None else before(get("cell"), c0[row].double()[:, None])
            for signal, value in step(data.flatten(0, 1), h, c, w, module.hidden_size).items():
                found = get(signal).flatten(0, 1)
                error = ((found - value).abs() / value.abs().clamp(min=1)).max().item()
                worst[signal] = max(worst.get(signal, 0), error)
            outputs.append(hidden)
        data = torch.cat(outputs, -1)
    return worst


@pytest.mark.parametrize("case", ["plain", "forget bias 3", "large cells", "long stream"])
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn_tanh"])
def test_float32_is_one_exact_step_from_what_was_recorded(kind, case):
    torch.manual_seed(5)
    layers, units, batch, n_steps = 2, 48, 8, 200
    if case == "long stream":
        layers, batch, n_steps = 1, 1, 2000
    module = KINDS[kind](input_size=32, hidden_size=units, num_layers=layers, batch_first=True)
    module.eval()
    x = torch.randn(batch, n_steps, 32)
    if kind == "lstm" and case != "plain":
        for layer in range(layers):
            getattr(module, f"bias_ih_l{layer}").data[units : 2 * units] = 3.0
    h0, c0 = state_of(module, batch, torch.float32)
    if kind == "lstm" and case == "large cells":
        c0 *= 30
        for layer in range(layers):  # every other unit adds nearly 1 a step and keeps nearly all
            for gate, bias in ((0, 3.0), (1, 5.0), (2, 2.0)):
                part = slice(gate * units, (gate + 1) * units, 2)
                getattr(module, f"bias_ih_l{layer}").data[part] = bias
    recorder = recorded(module, x, h0 if c0 is None else (h0, c0))
    name = type(module).__name__.lower()
    assert torch.equal(recorder[f"{name}/output"], recorder[f"{name}/l{layers - 1}/hidden"])
    if kind == "lstm" and case == "large cells":
        assert recorder["lstm/l0/cell"][:, 100:].abs().max() > 20
    errors = one_step_errors(module, recorder, x, h0, c0)
    assert all(error <= 1e-6 for error in errors.values()), errors


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_low_precision_is_one_step_from_what_was_recorded_to_two_roundings(kind, dtype):
    module = build(kind, bidirectional=True, dtype=dtype)
    x = torch.randn(3, 40, 4).to(dtype)
    h, c = state_of(module, 3, torch.float32)
    state = h.to(dtype) if c is None else (h.to(dtype), c.to(dtype))
    recorder = recorded(module, x, state)
    name = type(module).__name__.lower()
    assert all(site.dtype == str(dtype)[6:] for site in recorder.sites.values())
    top = torch.cat([recorder[f"{name}/l1/hidden"], recorder[f"{name}/l1_reverse/hidden"]], -1)
    assert torch.equal(recorder[f"{name}/output"], top)
    errors = one_step_errors(module, recorder, x, h.to(dtype), None if c is None else c.to(dtype))
    errors.pop("hidden")  # the kernel's own arithmetic
    assert all(error <= 2 * torch.finfo(dtype).eps for error in errors.values()), errors


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
@pytest.mark.parametrize("bias", [True, False])
def test_cells_in_a_loop(kind, bias):
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = kind(4, 5, bias=bias)

        def forward(self, x):
            state, kept = None, []
            for t in range(x.shape[1]):
                state = self.cell(x[:, t], state)
                kept.append(state[0] if isinstance(state, tuple) else state)
            return torch.stack(kept, 1)

    model = Loop().double().eval()
    x = torch.randn(3, 7, 4, dtype=torch.float64)
    with torch.no_grad():
        plain = model(x)
        with Recorder(model, "**") as recorder:
            assert torch.equal(model(x), plain)
    fused = {nn.LSTMCell: nn.LSTM, nn.GRUCell: nn.GRU, nn.RNNCell: nn.RNN}[kind]
    twin = fused(4, 5, bias=bias, batch_first=True).double().eval()
    twin.load_state_dict({f"{k}_l0": v for k, v in model.cell.state_dict().items()})
    zeros = torch.zeros(1, 3, 5, dtype=torch.float64)
    expected = oracle.run(twin, x, [7] * 3, zeros, zeros if kind is nn.LSTMCell else None)
    assert {f"cell/{signal}" for _, _, signal in expected} < set(recorder.sites)
    for (_, _, signal), value in expected.items():
        torch.testing.assert_close(recorder[f"cell/{signal}"], value, rtol=1e-12, atol=1e-12)
    assert recorder.lengths("cell/hidden").tolist() == [7] * 3
    assert torch.equal(recorder["cell/output"], plain)


def test_a_cell_that_is_the_model_itself():
    cell = nn.LSTMCell(4, 5).double().eval()
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    with torch.no_grad(), Recorder(cell, "**") as recorder:
        state = None
        for step in x:
            state = cell(step, state)
    assert recorder["lstmcell/cell"].shape == (3, 6, 5)
    assert torch.equal(recorder["lstmcell/cell"][:, -1], state[1])


def test_gradients_flow_as_without_a_recorder():
    module = build("lstm", dtype=torch.float32)
    x = torch.randn(2, 5, 4, requires_grad=True)
    module(x)[0].sum().backward()
    plain, x.grad = x.grad, None
    for _ in range(2):
        x.grad = None
        with Recorder(module, "**") as recorder:
            module(x)[0].sum().backward()
        torch.testing.assert_close(x.grad, plain)
        assert not recorder["lstm/l0/cell"].requires_grad


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_a_batch_of_no_sequence(kind):
    for layers, batch_first in itertools.product((1, 2), (True, False)):
        module = build(kind, layers=layers, batch_first=batch_first)
        x = torch.randn((0, 6, 4) if batch_first else (6, 0, 4), dtype=torch.float64)
        recorder = recorded(module, x)
        for site in recorder.sites:
            assert recorder[site].shape[:2] == (0, 6)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("n_inputs", [4, 80])
def test_inside_a_gradient_of_torch_func(kind, n_inputs):
    torch.manual_seed(1)
    module = KINDS[kind](input_size=n_inputs, hidden_size=16, batch_first=True).eval()
    x = torch.randn(3, 30, n_inputs)
    expected = recorded(module, x)
    with Recorder(module, "**") as recorder:
        torch.func.grad(lambda x: module(x)[0].sum())(x)
    for site in expected.sites:
        torch.testing.assert_close(recorder[site], expected[site], rtol=1e-6, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_where_derivatives_are_carried_forward(kind):
    module = build(kind, layers=1)
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    expected = recorded(module, x)
    plain = torch.func.jvp(lambda x: module(x)[0], (x,), (x,))
    with Recorder(module, "**") as recorder:
        found = torch.func.jvp(lambda x: module(x)[0], (x,), (x,))
        assert all(map(torch.equal, plain, found))
        taken = recorder.take()
        with forward_ad.dual_level():
            module(forward_ad.make_dual(x, x))
    for site in expected.sites:
        torch.testing.assert_close(recorder[site], expected[site])
        torch.testing.assert_close(taken[site].values, expected[site])


@pytest.mark.parametrize("layers", [1, 2])
def test_under_autocast_gates_are_rounded_once(layers):
    module = build("lstm", layers=layers, dtype=torch.float32)
    x = torch.randn(2, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        recorder = recorded(module, x)
    assert {site.dtype for site in recorder.sites.values()} == {"bfloat16"}
    hidden = recorder["lstm/l0/hidden"].double()
    before = torch.cat([torch.zeros(2, 1, 5), hidden[:, :-1]], 1)
    w_input, w_hidden, *biases = (w.bfloat16().double() for w in module._flat_weights[:4])
    exact = x.bfloat16().double() @ w_input.T + before @ w_hidden.T + sum(biases)
    for gate, place in {"input_gate": 0, "forget_gate": 1, "output_gate": 3}.items():
        wanted = exact[..., 5 * place : 5 * place + 5].sigmoid()
        off = (recorder[f"lstm/l0/{gate}"] - wanted).abs().max()
        assert off <= 2**-9 + 1e-6  # half a digit of bfloat16


def test_trained_weights_are_one_step_away_to_the_rounding_of_their_own_sums():
    """The bundled LSTM: cells of hundreds, gates' sums of tens (docs/reconstruction.md)."""
    model = load_bundled("code-lstm").module.eval()
    lstm = model.lstm
    text = Path(inspect.getsourcefile(textwrap)).read_text()[:6000]
    ids = torch.from_numpy(load_bundled("code-lstm").encode(text)[0]).long().view(4, 1500)
    with torch.inference_mode():
        x = model.embedding(ids)
        plain = model(ids)[0]
        with Recorder(model, sites=["lstm/*"]) as recorder:
            watched = model(ids)[0]
    assert torch.equal(plain, watched)
    assert torch.equal(recorder["lstm/output"], recorder["lstm/l1/hidden"])
    assert recorder["lstm/l1/cell"].abs().max() > 100
    zeros = torch.zeros(2, 4, 512)
    errors = one_step_errors(lstm, recorder, x, zeros, zeros)
    assert all(error <= 3e-5 for error in errors.values()), errors
