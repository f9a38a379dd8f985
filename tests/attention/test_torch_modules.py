"""torch's own attention: its module in every configuration, its layers, the fused fast path."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional

import interp

MODULE = "multiheadattention"
CAUSAL = nn.Transformer.generate_square_subsequent_mask(5)
PADDING = torch.tensor([[False] * 5, [False, False, False, True, True]])
SIGNALS = [f"**/{name}" for name in ("attention", "query", "key", "value", "head_output")]


@pytest.fixture
def slow_path():
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(before)


def record(model, *args, sites="**/attention", **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Attention of .* fast path off")
        with interp.Recorder(model, sites=sites) as recorder:
            output = model(*args, **kwargs)
    return recorder, output


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_first": True},
        {"bias": False},
        {"add_bias_kv": True},
        {"add_zero_attn": True},
        {"add_bias_kv": True, "add_zero_attn": True, "dropout": 0.5},
        {"kdim": 6, "vdim": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "call",
    [
        {},
        {"need_weights": False},
        {"average_attn_weights": False},
        {"attn_mask": CAUSAL},
        {"attn_mask": CAUSAL.isinf(), "need_weights": False},
        {"attn_mask": CAUSAL.expand(8, 5, 5), "key_padding_mask": PADDING.float() * -3},
        {"key_padding_mask": PADDING},
        {"key_padding_mask": PADDING, "attn_mask": CAUSAL.isinf(), "need_weights": False},
    ],
    ids=lambda call: "-".join(call) or "plain",
)
def test_the_map_is_the_one_that_torch_returns(slow_path, settings, call):
    torch.manual_seed(0)
    model = nn.MultiheadAttention(8, 4, **settings).eval()
    x = torch.randn(2, 5, 8)
    key, value = (
        torch.randn(2, 5, settings.get("kdim", 8)),
        torch.randn(2, 5, settings.get("vdim", 8)),
    )
    inputs = [x, key, value] if "kdim" in settings else [x, x, x]
    if not settings.get("batch_first"):
        inputs = [part.transpose(0, 1) for part in inputs]
    plain, _ = model(*inputs, **call)
    recorder, (output, _) = record(model, *inputs, sites=SIGNALS, **call)
    assert torch.equal(output, plain)
    told = {**call, "need_weights": True, "average_attn_weights": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, expected = model(*inputs, **told)
    weights = recorder[f"{MODULE}/attention"]
    assert (weights - expected).abs().max() <= 1e-6
    result = recorder[f"{MODULE}/head_output"]
    assert (weights @ recorder[f"{MODULE}/value"] - result).abs().max() <= 1e-6
    query, key = recorder[f"{MODULE}/query"], recorder[f"{MODULE}/key"]
    if not call:
        assert ((query @ key.mT / 2**0.5).softmax(-1) - weights).abs().max() <= 1e-6


def test_an_input_without_a_batch_is_a_batch_of_one(slow_path):
    model = nn.MultiheadAttention(8, 2).eval()
    x = torch.randn(5, 8)
    recorder, (_, expected) = record(model, x, x, x, average_attn_weights=False)
    assert recorder[f"{MODULE}/attention"].shape == (1, 2, 5, 5)
    assert (recorder[f"{MODULE}/attention"][0] - expected).abs().max() <= 1e-6


def test_rows_that_see_no_key_are_as_the_call_has_them(slow_path):
    model = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x, blind = torch.randn(2, 5, 8), torch.tensor([[False] * 5, [True] * 5])
    recorder, (output, _) = record(model, x, x, x, key_padding_mask=blind, need_weights=False)
    assert output.isfinite().all()
    assert (recorder[f"{MODULE}/attention"][1] == 0).all()
    recorder, (output, _) = record(model, x, x, x, key_padding_mask=blind)
    assert output[1].isnan().all() and recorder[f"{MODULE}/attention"][1].isnan().all()


def encoder(norm_first=False, **settings):
    layer = nn.TransformerEncoderLayer(
        8, 2, 16, batch_first=True, norm_first=norm_first, activation="gelu"
    )
    return nn.TransformerEncoder(layer, 2, **settings).eval()


@pytest.mark.filterwarnings("ignore:.*nested tensor")
@pytest.mark.parametrize("padding", [None, PADDING], ids=["whole", "padded"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_a_fused_encoder_leaves_its_fast_path(norm_first, padding):
    torch.manual_seed(0)
    model, x = encoder(norm_first), torch.randn(2, 5, 8)
    with torch.no_grad():
        fast = model(x, src_key_padding_mask=padding)
        torch.backends.mha.set_fastpath_enabled(False)
        slow = model(x, src_key_padding_mask=padding)
        torch.backends.mha.set_fastpath_enabled(True)
        with pytest.warns(UserWarning, match="'layers.0.self_attn' is recorded with.*fast path"):
            with interp.Recorder(model, sites="**/attention") as recorder:
                output = model(x, src_key_padding_mask=padding)
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.equal(output, slow)
    real = slice(None) if padding is None else ~padding
    assert (output - fast)[real].abs().max() <= 1e-6
    for site in ("layers.0.self_attn/attention", "layers.1.self_attn/attention"):
        weights = recorder[site]
        assert weights.shape == (2, 2, 5, 5)
        assert (weights.sum(-1) - 1).abs().max() <= 1e-6
        if padding is not None:
            assert (weights[1, :, :, 3:] == 0).all()


def test_the_fast_path_comes_back_after_an_error_and_after_the_last_of_several():
    model = nn.MultiheadAttention(8, 2).eval()
    inner = interp.Recorder(model, sites="**/attention")
    with pytest.raises(AttributeError), interp.Recorder(model, sites="**/attention"):
        model(None, None, None)
    assert torch.backends.mha.get_fastpath_enabled()
    outer = interp.Recorder(model, sites="**/attention")
    x = torch.randn(5, 2, 8)
    with outer:
        model(x, x, x)
        with inner:
            model(x, x, x)
        assert not torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.equal(outer.calls(f"{MODULE}/attention")[1], inner[f"{MODULE}/attention"])


def test_a_decoder_has_self_and_cross_attention(slow_path):
    torch.manual_seed(0)
    layer = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerDecoder(layer, 2).eval()
    x, memory = torch.randn(2, 5, 8), torch.randn(2, 7, 8)
    masks = {"tgt_mask": CAUSAL, "tgt_is_causal": True}
    with torch.no_grad():
        plain = model(x, memory, **masks)
        recorder, output = record(model, x, memory, **masks)
    assert torch.equal(output, plain)
    own, cross = (
        recorder["layers.1.self_attn/attention"],
        recorder["layers.1.multihead_attn/attention"],
    )
    assert own.shape == (2, 2, 5, 5) and cross.shape == (2, 2, 5, 7)
    assert (own.triu(1) == 0).all()
    with torch.no_grad():
        first = model.layers[0].self_attn
        _, expected = first(x, x, x, attn_mask=CAUSAL, average_attn_weights=False)
    assert (recorder["layers.0.self_attn/attention"] - expected).abs().max() <= 1e-6


def test_a_whole_transformer():
    torch.manual_seed(0)
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True).eval()
    source, target = torch.randn(2, 6, 8), torch.randn(2, 5, 8)
    plain = model(source, target)
    recorder, output = record(model, source, target)
    assert torch.equal(output, plain)
    assert list(recorder.sites) == [
        "encoder.layers.0.self_attn/attention",
        "decoder.layers.0.self_attn/attention",
        "decoder.layers.0.multihead_attn/attention",
    ]


def test_the_function_called_by_ones_own_module():
    class Pooling(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(8, 2)

        def forward(self, x):
            inner = self.inner
            return functional.multi_head_attention_forward(
                x[:1], x, x, 8, 2, inner.in_proj_weight, inner.in_proj_bias, None, None, False,
                0.0, inner.out_proj.weight, inner.out_proj.bias, training=False, need_weights=False,
            )[0]  # fmt: skip

    recorder, _ = record(Pooling().eval(), torch.randn(5, 3, 8), sites="pooling/attention")
    assert recorder["pooling/attention"].shape == (3, 2, 1, 5)


def test_dropout_in_train_mode_is_refused():
    model = nn.MultiheadAttention(8, 2, dropout=0.5)
    x = torch.randn(5, 2, 8)
    with pytest.raises(interp.InterpError, match="'multiheadattention/attention' can't.*dropout"):
        with interp.Recorder(model, sites="**/attention", train_mode=True):
            model(x, x, x)
