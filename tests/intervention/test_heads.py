"""Heads put out: for each way of computing attention, the same as doing it by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from interp import Recorder
from interp.errors import CaptureError, SelectionError, SiteError
from interp.intervention import Clamp, Clamped

BATCH, STEPS, HEADS, WIDTH = 3, 6, 4, 16


class Attention(nn.Module):
    """Self-attention in one of two ways; `keep` (heads,) multiplies the heads' outputs."""

    def __init__(self, way="kernel"):
        super().__init__()
        self.mix, self.out, self.way = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH), way

    def forward(self, x, keep=None):
        q, k, v = self.mix(x).view(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        if self.way == "kernel":
            heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            heads = F.softmax(q @ k.transpose(-2, -1) / 2, -1) @ v
        if keep is not None:
            heads = heads * keep[..., None, None]
        return self.out(heads.transpose(1, 2).flatten(2))


class Model(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.attention, self.after = attention, nn.Linear(WIDTH, 5)

    def forward(self, x, keep=None):
        return self.after(self.attention(x) if keep is None else self.attention(x, keep))


def _model(attention, seed=0):
    torch.manual_seed(seed)
    return Model(attention).eval(), torch.randn(BATCH, STEPS, WIDTH)


@pytest.mark.parametrize("way", ["kernel", "softmax"])
def test_heads_set_to_zero_equal_a_mask_on_their_outputs(way):
    model, x = _model(Attention(way))
    with torch.no_grad():
        expected = model(x, torch.tensor([1.0, 0.0, 1.0, 0.0]))
        with Clamped(model, [Clamp("attention/attention", (1, 3))]):
            found = model(x)
        assert (found - model(x)).abs().max() > 1e-3
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("way", ["kernel", "softmax"])
def test_rows_of_one_batch_with_heads_of_their_own(way):
    model, x = _model(Attention(way))
    keep = torch.ones(BATCH, HEADS)
    keep[1, 2] = keep[2, 0] = 0
    with torch.no_grad():
        expected = model(x, keep)
        with Clamped(model, [Clamp("attention/attention", (2,), 0.0, (1,)),
                             Clamp("attention/head_output", (0,), 0.0, (2,))]):  # fmt: skip
            torch.testing.assert_close(model(x), expected)


def test_mean_of_a_head():
    """A head at its recorded mean adds the same to every position."""
    model, x = _model(Attention())
    with torch.no_grad():
        with Recorder(model, ["attention/head_output"]) as recorder:
            model(x)
        heads = recorder["attention/head_output"]
        heads = heads if heads.ndim == 4 else heads.unflatten(-1, (HEADS, -1)).transpose(1, 2)
        mean = heads[:, 1].mean((0, 1))
        changed = heads.clone()
        changed[:, 1] = mean
        expected = model.after(model.attention.out(changed.transpose(1, 2).flatten(2)))
        with Clamped(model, [Clamp("attention/attention", (1,), mean[None])]):
            torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("batch_first", [True, False])
def test_torchs_own_module(batch_first):
    """nn.MultiheadAttention without a head is it with that head's columns of out_proj at zero."""
    torch.manual_seed(0)
    own = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first).eval()
    x = torch.randn(BATCH, STEPS, WIDTH) if batch_first else torch.randn(STEPS, BATCH, WIDTH)
    with torch.no_grad():
        whole = own(x, x, x)[0]
        with Clamped(own, [Clamp("multiheadattention/attention", (2,), 0.0, ())]):
            torch.testing.assert_close(own(x, x, x)[0], whole)
        with Clamped(own, [Clamp("multiheadattention/attention", (2,))]):
            found, weights = own(x, x, x)
        own.out_proj.weight[:, 8:12] = 0
        expected, same = own(x, x, x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(weights, same)


def test_torchs_encoder_whose_fast_path_shows_nothing():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 32, batch_first=True)
    encoder, x = nn.TransformerEncoder(layer, 2).eval(), torch.randn(BATCH, STEPS, WIDTH)
    with torch.no_grad(), Clamped(encoder, [Clamp("layers.1.self_attn/attention", (0,))]):
        found = encoder(x)
    with torch.no_grad():
        encoder.layers[1].self_attn.out_proj.weight[:, :4] = 0
        torch.testing.assert_close(found, encoder(x))
    assert torch.backends.mha.get_fastpath_enabled()


def test_outputs_of_modules_by_row_and_by_step():
    model = nn.Sequential(nn.Linear(WIDTH, 8), nn.Linear(8, 2)).eval()
    x, values = torch.randn(BATCH, STEPS, WIDTH), torch.randn(2, STEPS)
    with torch.no_grad():
        inner = model[0](x).clone()
        inner[1, :, 3], inner[1, :, 5] = values
        with Clamped(model, [Clamp("0/output", (3, 5), values, (1,))]):
            torch.testing.assert_close(model(x), model[1](inner))
        with Clamped(model, [Clamp("0/output", (3,), 2.0)]):
            flat = model(x[:, 0])
        inner = model[0](x[:, 0]).clone()
        inner[:, 3] = 2.0
        torch.testing.assert_close(flat, model[1](inner))


def test_refusals_by_name():
    model, x = _model(Attention("softmax"))
    with torch.no_grad():
        with pytest.raises(CaptureError, match="attention/attention .* only be set to zero"):
            with Clamped(model, [Clamp("attention/attention", (0,), torch.ones(1, 4))]):
                model(x)
        with pytest.raises(SelectionError, match=r"head 4 .* 4 heads \(0-3\)"):
            with Clamped(model, [Clamp("attention/attention", (4,))]):
                model(x)
        with pytest.raises(SiteError, match="after/attention was never clamped"):
            with Clamped(model, [Clamp("after/attention", (0,))]):
                model(x)
        with pytest.raises(SelectionError, match=r"unit 5 of after/output .* 5 units"):
            with Clamped(model, [Clamp("after/output", (5,))]):
                model(x)


@pytest.mark.parametrize("way", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_heads_of_hugging_face_models(family, way):
    """A head at zero is its part of the output projection at zero, with grouped queries too."""
    import transformers

    torch.manual_seed(0)
    if family == "gpt2":
        config = transformers.GPT2Config(vocab_size=20, n_embd=16, n_layer=2, n_head=4)
        config._attn_implementation = way
        model = transformers.GPT2LMHeadModel(config).eval()
        site, weight = "transformer.h.1.attn", model.transformer.h[1].attn.c_proj.weight
    else:
        config = transformers.LlamaConfig(
            vocab_size=20, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2,
        )  # fmt: skip
        config._attn_implementation = way
        model = transformers.LlamaForCausalLM(config).eval()
        site, weight = "model.layers.1.self_attn", model.model.layers[1].self_attn.o_proj.weight.T
    ids = torch.randint(0, 20, (2, 7))
    with torch.no_grad():
        with Clamped(model, [Clamp(f"{site}/attention", (2,), 0.0, (1,))]):
            found = model(ids).logits
        whole = model(ids).logits
        weight[8:12] = 0
        expected = model(ids).logits
    torch.testing.assert_close(found[1], expected[1])
    torch.testing.assert_close(found[0], whole[0])
    assert (expected - whole).abs().max() > 1e-4
