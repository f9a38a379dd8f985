"""What can't be recorded is said by name, and nothing is left behind when something breaks."""

import contextlib
import gc
import threading
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional

import interp
from interp.capture.mode import active
from tests.attention import textbook


class HandWritten(nn.Module):
    """Attention without any function that a recorder knows."""

    def forward(self, x):
        scores = (x @ x.transpose(-2, -1)).exp()
        return (scores / scores.sum(-1, keepdim=True)) @ x


class CustomAttention(HandWritten):
    pass


class Two(nn.Module):
    def __init__(self, other):
        super().__init__()
        self.known = textbook.Textbook()
        self.other = other

    def forward(self, x):
        return self.other(self.known(x))


def record(model, x, sites="**/attention", **options):
    with interp.Recorder(model, sites=sites, **options) as recorder:
        model(x)
    return recorder


def test_attention_that_is_not_seen_is_named():
    x = torch.randn(2, 5, 8)
    model = Two(CustomAttention()).eval()
    with pytest.warns(UserWarning, match="No attention was seen in 'other': it passes through"):
        recorder = record(model, x)
    assert list(recorder.sites) == ["known/attention"]
    for sites in ("other/attention", ["known/attention", "other/attention"]):
        with pytest.raises(interp.InterpError, match="No attention was seen in 'other'"):
            record(model, x, sites)
    with pytest.raises(interp.InterpError, match="No attention was seen in 'customattention'"):
        record(CustomAttention().eval(), x)


def test_it_is_said_once_for_many_forwards():
    model = Two(CustomAttention()).eval()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with interp.Recorder(model, sites="**/attention") as recorder:
            for _ in range(3):
                model(torch.randn(2, 5, 8))
                recorder.take()
    assert len(said) == 1


def test_a_module_that_is_named_attention_and_was_not_called_is_not_missed():
    class Lazy(Two):
        def forward(self, x):
            return self.known(x)

    recorder = record(Lazy(CustomAttention()).eval(), torch.randn(2, 5, 8))
    assert list(recorder.sites) == ["known/attention"]


def test_other_softmaxes_need_no_attention():
    class Plain(nn.Module):
        def forward(self, x):
            return functional.softmax(x, -1)

    with pytest.raises(interp.InterpError, match="No attention was seen in any of the 1 modules"):
        record(Plain().eval(), torch.randn(2, 5))


class SlotAttention(nn.Module):
    """Normalised over the slots, then summed over the inputs."""

    def forward(self, x):
        slots = x[:, :2]
        weights = functional.softmax(slots @ x.mT, dim=1)
        return weights @ x


def test_weights_that_are_normalised_over_another_axis_are_refused():
    with pytest.raises(interp.InterpError, match="not the softmax of one axis of keys"):
        record(SlotAttention().eval(), torch.randn(2, 5, 8))


def test_dropout_is_refused_and_only_then():
    model = textbook.Textbook()
    x = torch.randn(2, 5, 8)
    with pytest.raises(interp.InterpError, match="train mode"):
        record(model, x)
    with pytest.raises(interp.InterpError, match="'textbook/attention' can't.*dropout is active"):
        record(model, x, train_mode=True)
    model.dropout.p = 0.0
    assert record(model, x, train_mode=True)["textbook/attention"].shape == (2, 2, 5, 5)


def test_heads_that_cannot_be_told_are_refused():
    class Unclear(textbook.Projections):
        def forward(self, x):
            batch, steps, _ = x.shape
            q, k, v = (part.reshape(batch * 2, steps, -1) for part in self.split(x))
            heads = functional.scaled_dot_product_attention(q, k, v)
            return functional.layer_norm(heads, heads.shape[-1:])

    with pytest.raises(interp.InterpError, match="doesn't tell which axis holds the heads"):
        record(Unclear().eval(), torch.randn(2, 5, 8))


def test_a_refused_site_is_not_among_the_recorded():
    class Changing(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = 0.0

        def forward(self, x):
            heads = functional.scaled_dot_product_attention(x, x, x, dropout_p=self.p)
            self.p = 0.5
            return heads.transpose(1, 2).flatten(2)

    model = Changing().eval()
    with pytest.raises(interp.InterpError, match="dropout"):
        with interp.Recorder(model, sites="**/attention") as recorder:
            model(torch.randn(2, 2, 5, 4))
            assert recorder["changing/attention"].shape == (2, 2, 5, 5)
            model(torch.randn(2, 2, 5, 4))
    assert not recorder.sites
    with pytest.raises(interp.InterpError, match="dropout"):
        recorder["changing/attention"]


@pytest.mark.parametrize("kind", [textbook.Textbook, textbook.KernelOnThreeAxes])
def test_nothing_is_left_behind_by_an_exception(kind):
    class Breaking(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = kind()

        def forward(self, x, broken=False):
            x = self.inner(x)
            if broken:
                raise KeyError("broken")
            return x

    model, x = Breaking().eval(), torch.randn(2, 5, 8)
    recorder = interp.Recorder(model, sites="**/attention")
    with pytest.raises(KeyError), recorder:
        model(x, broken=True)
    assert not active.watchers and not active.sessions
    assert torch.backends.mha.get_fastpath_enabled()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    with recorder:
        with pytest.raises(KeyError):
            model(x, broken=True)
        model(x)
    assert len(recorder.calls("inner/attention")) == 2
    with recorder:
        model(x)
    assert torch.equal(recorder["inner/attention"], model.inner.expected)


@pytest.mark.parametrize("kind", [textbook.Textbook, textbook.KernelOnThreeAxes, "torch"])
def test_nothing_but_the_maps_is_held(kind):
    """Tensors of one layer are gone when the next one runs."""
    alive = []

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.q = nn.Linear(8, 8)
            self.inner = nn.MultiheadAttention(8, 2) if kind == "torch" else kind()

        def forward(self, x):
            alive.append([part() for part in watched])
            q = self.q(x)
            found = self.inner(q, q, q)[0] if kind == "torch" else self.inner(q)
            if kind != "torch":
                self.inner.expected = None
            watched.extend([weakref.ref(q.untyped_storage()), weakref.ref(found)])
            return found.detach().clone()

    watched: list = []
    model = nn.Sequential(Block(), Block(), Block()).eval()
    with torch.no_grad(), interp.Recorder(model, sites="**/attention") as recorder:
        model(torch.randn(2, 5, 8))
    assert len(recorder.sites) == 3
    assert all(part is None for parts in alive for part in parts) and len(alive[-1]) == 4


@pytest.mark.parametrize("kind", [textbook.Textbook, textbook.KernelOnThreeAxes])
@pytest.mark.parametrize("breaks", [False, True])
def test_the_maps_go_with_the_recorder(kind, breaks):
    """Without waiting for the collector of cycles, which counts objects and not their size."""
    model, x = kind().eval(), torch.randn(2, 5, 8)
    if breaks:
        model.out = nn.Linear(3, 3).eval()
    gc.disable()
    try:
        recorder = interp.Recorder(model, sites="**/attention")
        with torch.no_grad(), contextlib.suppress(RuntimeError), recorder:
            model(x)
        session = weakref.ref(recorder._session)
        assert breaks or recorder[f"{kind.__name__.lower()}/attention"].any()
        del recorder
        assert session() is None
    finally:
        gc.enable()


def test_a_thread_of_its_own_is_not_recorded():
    model, x = textbook.Textbook().eval(), torch.randn(2, 5, 8)
    with interp.Recorder(model, sites="**/attention") as recorder:
        thread = threading.Thread(target=model, args=(x,))
        thread.start()
        thread.join()
        model(x)
    assert len(recorder.calls("textbook/attention")) == 1


def test_recorders_inside_each_other_and_one_that_wants_something_else():
    model, x = Two(nn.Linear(8, 8)).eval(), torch.randn(2, 5, 8)
    with interp.Recorder(model, sites="**/output") as outer:
        with interp.Recorder(model, sites="**/attention") as inner:
            model(x)
        with interp.Recorder(model.known, sites="**/attention") as other:
            model(x)
    assert torch.equal(inner["known/attention"], other["textbook/attention"])
    assert len(outer.calls("known/output")) == 2


def test_patterns_of_attention_need_no_attention_module_to_be_known_beforehand():
    with pytest.raises(interp.InterpError, match="lstm"):
        interp.Recorder(nn.LSTM(3, 4).eval(), sites="**/attention")
    with pytest.raises(interp.InterpError, match="nearest"):
        interp.Recorder(textbook.Textbook().eval(), sites="textbok/attention")


class AttentionNet(nn.Module):
    """A whole model whose own name looks like attention."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([textbook.Textbook()])

    def forward(self, x):
        return self.layers[0](x)


def test_a_model_named_after_attention_is_seen_in_its_layers():
    """The root goes by its class, so no path of a layer begins with its name."""
    recorder = record(AttentionNet().eval(), torch.randn(1, 4, 8))  # a warning would be an error
    assert list(recorder.sites) == ["layers.0/attention"]
