"""Attention in code of one's own: every way of writing it gives the map that the code made."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import interp
from interp.capture import list_sites
from tests.attention import textbook

SELF_ATTENTION = [
    textbook.Textbook,
    textbook.NanoGpt,
    textbook.HeadsInTheBatch,
    textbook.HeadsBeforeTheBatch,
    textbook.HeadsFirst,
    textbook.Einsum,
    textbook.TimeFirstEinsum,
    textbook.GroupedEinsum,
    textbook.KernelOnThreeAxes,
    textbook.MaskedAfterwards,
    textbook.Sink,
    textbook.ChangedInPlace,
]
SIGNALS = ["**/attention", "**/query", "**/key", "**/value", "**/head_output"]


def record(model, *args, sites="**/attention", **options):
    plain = model(*args)
    with interp.Recorder(model, sites=sites, **options) as recorder:
        output = model(*args)
    assert torch.equal(output, plain)
    return recorder


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("kind", SELF_ATTENTION, ids=lambda kind: kind.__name__)
def test_the_map_is_the_one_that_the_code_made(kind, batch):
    torch.manual_seed(0)
    model = kind().eval()
    parts = ["**/attention", "**/value", "**/head_output"]
    sites = parts if kind is textbook.GroupedEinsum else SIGNALS
    recorder = record(model, torch.randn(batch, 5, 8), sites=sites)
    name = kind.__name__.lower()
    weights = recorder[f"{name}/attention"]
    assert weights.shape == (batch, 2, 5, 5)
    assert (weights - model.expected).abs().max() <= 1e-6
    assert recorder.sites[f"{name}/attention"].n_heads == 2
    result = recorder[f"{name}/head_output"]
    assert result.shape == (batch, 2, 5, 4)
    value = recorder[f"{name}/value"]
    assert (weights @ value - result).abs().max() <= 1e-5 * result.abs().max()
    if kind in (textbook.Textbook, textbook.HeadsInTheBatch, textbook.Einsum):
        scores = recorder[f"{name}/query"] @ recorder[f"{name}/key"].mT / 2
        assert (scores.softmax(-1) - weights).abs().max() <= 1e-6


@pytest.mark.parametrize("way", textbook.WAYS)
@pytest.mark.parametrize("batch", [1, 2, 6])
def test_additive_attention_of_a_decoder_is_stacked_over_its_steps(way, batch):
    torch.manual_seed(0)
    model = textbook.Decoder(way).eval()
    encoded = torch.randn(batch, 6, 4)
    recorder = record(model, encoded, steps="attention")
    assert list(recorder.sites) == ["attention/attention"]
    assert recorder["attention/attention"].shape == (batch, 1, 3, 6)
    assert torch.equal(recorder["attention/attention"], model.expected)
    single = record(model, encoded).calls("attention/attention")
    assert [call.shape for call in single] == [(batch, 1, 1, 6)] * 3


class Heads(nn.Module):
    """One module per head, joined outside, as in lectures."""

    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleList(Head() for _ in range(4))
        self.out = nn.Linear(8, 8)

    def forward(self, x):
        return self.out(torch.cat([head(x) for head in self.heads], dim=-1))


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 2, bias=False) for _ in range(3))
        self.expected = None

    def forward(self, x):
        weights = self.q(x) @ self.k(x).transpose(-2, -1) * 2**-0.5
        self.expected = weights = functional.softmax(weights, dim=-1)
        return weights @ self.v(x)


def test_heads_that_are_modules_have_maps_of_their_own():
    model = Heads().eval()
    recorder = record(model, torch.randn(4, 4, 8))
    for index, head in enumerate(model.heads):
        assert torch.equal(recorder[f"heads.{index}/attention"][:, 0], head.expected)


class Experts(nn.Module):
    """A softmax that is no attention: it mixes experts at each position."""

    def __init__(self, way):
        super().__init__()
        self.gate = nn.Linear(4, 3)
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.way = way

    def forward(self, x):
        gates = functional.softmax(self.gate(x), -1)
        if self.way == "best":
            best = gates.topk(1).indices
            found = torch.stack([expert(x) for expert in self.experts], -2)
            return found.gather(-2, best[..., None].expand(*best.shape, 4))[..., 0, :]
        found = torch.stack([expert(x) for expert in self.experts], -2)
        return torch.einsum("bte,bted->btd", gates, found)


class Mixed(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.attention = textbook.Textbook(4)
        self.experts = Experts(way)
        self.out = nn.Linear(4, 9)

    def forward(self, x):
        return functional.softmax(self.out(self.experts(self.attention(x))), -1)


def test_a_softmax_that_weights_nothing_is_no_attention():
    recorder = record(Mixed("best").eval(), torch.randn(2, 5, 4))
    assert list(recorder.sites) == ["attention/attention"]


def test_a_mixture_of_experts_is_not_taken_for_heads():
    with pytest.warns(UserWarning, match="'experts/attention' can't be recorded.*which axis"):
        recorder = record(Mixed("all").eval(), torch.randn(2, 5, 4))
    assert list(recorder.sites) == ["attention/attention"]
    with pytest.raises(interp.InterpError, match="'experts/attention' can't be recorded"):
        recorder["experts/attention"]


class Loop(nn.Module):
    """Values weighted in a way that nothing sees."""

    def __init__(self):
        super().__init__()
        self.expected = None

    def forward(self, x):
        self.expected = functional.softmax(x @ x.mT, -1)
        return torch.stack([
            sum(self.expected[b].cumsum(0)[0, s].item() * x[b, s] for s in range(x.shape[1]))
            for b in range(x.shape[0])
        ])  # fmt: skip


class LoopAttention(Loop):
    pass


def test_the_user_can_name_a_module_whose_softmax_is_attention():
    model = LoopAttention().eval()
    x = torch.randn(2, 3, 4)
    with pytest.raises(interp.InterpError, match="No attention was seen in 'loopattention'"):
        record(model, x)
    recorder = record(model, x, attention="loopattention")
    assert torch.equal(recorder["loopattention/attention"][:, 0], model.expected)
    with pytest.raises(interp.InterpError, match="No module named 'loopatention'"):
        interp.Recorder(model, sites="**/attention", attention="loopatention")


def test_maps_can_be_named_by_the_code():
    class Named(nn.Module):
        def forward(self, x):
            scores = (x @ x.mT).exp()
            weights = scores / scores.sum(-1, keepdim=True)
            return interp.capture.name_value("attention", weights[:, None])[:, 0] @ x

    recorder = record(Named().eval(), torch.randn(2, 3, 4))
    assert recorder["named/attention"].shape == (2, 1, 3, 3)


def test_a_module_called_twice_has_two_calls():
    attention = textbook.Textbook().eval()

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared = attention

        def forward(self, x):
            first = self.shared(x)
            self.first = attention.expected
            return self.shared(first)

    model = Twice().eval()
    recorder = record(model, torch.randn(2, 5, 8))
    calls = recorder.calls("shared/attention")
    assert torch.equal(calls[0], model.first) and torch.equal(calls[1], attention.expected)
    with pytest.raises(interp.InterpError, match="2 times"):
        recorder["shared/attention"]


def test_take_hands_over_each_forward():
    model = textbook.Textbook().eval()
    with interp.Recorder(model, sites=SIGNALS) as recorder:
        for steps in (5, 3, 7):
            model(torch.randn(2, steps, 8))
            taken = recorder.take()
            assert taken["textbook/attention"].values.shape == (2, 2, steps, steps)
            assert torch.equal(taken["textbook/attention"].values, model.expected)


def test_attention_is_listed_with_everything_else():
    model = Mixed("best").eval()
    sites = list_sites(model, lambda: model(torch.randn(2, 5, 4)))
    assert {"attention/attention", "attention/query", "attention/output"} <= set(sites)
    assert sites["attention/attention"].n_heads == 2
    names = [name for name in sites if name.startswith("attention/")]
    assert names[:3] == ["attention/output", "attention/attention", "attention/query"]
