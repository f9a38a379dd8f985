"""Scaled dot product attention with every argument it has."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import interp
from interp.capture.attention_proof import disproof
from interp.capture.attention_weights import attention_weights

SIGNALS = [f"**/{name}" for name in ("attention", "query", "key", "value", "head_output")]


class Kernel(nn.Module):
    """Hands its tensors to the kernel and joins the heads."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, query, key, value, mask=None):
        heads = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, **self.options
        )
        return heads.transpose(1, 2).flatten(2)


def record(model, *args, sites=SIGNALS):
    plain = model(*args)
    with interp.Recorder(model, sites=sites) as recorder:
        output = model(*args)
    assert torch.equal(output, plain)
    return recorder


def tensors(queries=5, keys=7, heads=4, kv_heads=4, width=6, value_width=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = (heads, queries, width), (kv_heads, keys, width), (kv_heads, keys, value_width)
    return [torch.randn(2, *shape, generator=generator).to(dtype) for shape in shapes]


def reference(query, key, mask=None, scale=None):
    """Return the weights by the definition, one row at a time, in double precision."""
    query, key = query.double(), key.double().repeat_interleave(query.shape[1] // key.shape[1], 1)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) * scale
    if mask is not None and mask.dtype == torch.bool:
        scores = torch.where(mask, scores, -torch.inf)
    elif mask is not None:
        scores = scores + mask
    scores = torch.exp(scores - scores.amax(-1, keepdim=True).clamp(min=-1e30))
    return scores / scores.sum(-1, keepdim=True).clamp(min=1e-300)


def see(queries, keys):
    return torch.rand(queries, keys, generator=torch.Generator().manual_seed(3)) > 0.4


@pytest.mark.parametrize(
    "mask",
    [
        None,
        see(5, 7),
        see(5, 7).float().log(),
        torch.randn(2, 1, 5, 7),
        torch.randn(4, 5, 7) * 5,
        torch.tensor([True] * 4 + [False] * 3)[None, None, None],
        torch.where(see(5, 7), 0.0, torch.finfo(torch.float32).min),
    ],
    ids=["none", "bool", "minus infinity", "per row", "per head", "padding", "lowest"],
)
@pytest.mark.parametrize("options", [{}, {"scale": 0.3}, {"enable_gqa": True}], ids=str)
def test_weights_follow_from_mask_scale_and_groups(mask, options):
    query, key, value = tensors(kv_heads=2 if options.get("enable_gqa") else 4)
    recorder = record(Kernel(**options).eval(), query, key, value, mask)
    weights = recorder["kernel/attention"]
    assert (weights - reference(query, key, mask, options.get("scale"))).abs().max() <= 1e-6
    assert torch.equal(recorder["kernel/query"], query)
    assert torch.equal(recorder["kernel/key"], key) and torch.equal(recorder["kernel/value"], value)
    assert recorder.sites["kernel/key"].n_heads == key.shape[1]
    values = value.repeat_interleave(4 // value.shape[1], 1)
    result = recorder["kernel/head_output"]
    assert (weights @ values - result).abs().max() <= 1e-5 * result.abs().max()


@pytest.mark.parametrize("shape", [(5, 5), (5, 7), (7, 5), (1, 7)])
def test_the_causal_flag_aligns_at_the_first_key(shape):
    query, key, value = tensors(*shape)
    weights = record(Kernel(is_causal=True).eval(), query, key, value)["kernel/attention"]
    assert (weights - reference(query, key, torch.ones(shape).tril().bool())).abs().max() <= 1e-6


@pytest.mark.parametrize("form", ["bool", "float"])
def test_a_row_that_sees_no_key_has_weights_of_zero(form):
    mask = see(5, 7)
    mask[2] = False
    mask = mask if form == "bool" else mask.float().log()
    query, key, value = tensors()
    recorder = record(Kernel().eval(), query, key, value, mask)
    weights = recorder["kernel/attention"]
    assert (weights[:, :, 2] == 0).all() and (recorder["kernel/head_output"][:, :, 2] == 0).all()
    assert (weights.sum(-1)[:, :, [0, 1, 3, 4]] - 1).abs().max() <= 1e-6


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_types(dtype):
    query, key, value = tensors(dtype=dtype)
    recorder = record(Kernel().eval(), query, key, value, see(5, 7))
    weights = recorder["kernel/attention"]
    assert weights.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    limit = 1e-12 if dtype == torch.float64 else 1e-6
    assert (weights - reference(query, key, see(5, 7))).abs().max() <= limit
    assert recorder["kernel/query"].dtype == dtype


def test_autocast_is_off_for_the_weights_and_on_for_the_model():
    query, key, value = tensors()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        recorder = record(Kernel().eval(), query, key, value)
    assert recorder["kernel/head_output"].dtype == torch.bfloat16
    weights = recorder["kernel/attention"]
    assert weights.dtype == torch.float32
    expected = reference(query.bfloat16(), key.bfloat16())
    assert (weights - expected).abs().max() <= 1e-6


def test_several_images_or_learned_queries_of_one_batch_row():
    query, key, value = tensors()
    recorder = record(Kernel().eval(), query[:1], key, value)
    assert recorder["kernel/attention"].shape == (2, 4, 5, 7)
    assert (recorder["kernel/attention"] - reference(query[:1], key)).abs().max() <= 1e-6


def test_inference_mode_and_gradients():
    query, key, value = tensors()
    with torch.inference_mode():
        weights = record(Kernel().eval(), query, key, value)["kernel/attention"]
    gradients = []
    for sites in ((), SIGNALS):
        query.grad = None
        query.requires_grad_()
        model = Kernel().eval()
        if sites:
            with interp.Recorder(model, sites=sites) as recorder:
                model(query, key, value).square().sum().backward()
        else:
            model(query, key, value).square().sum().backward()
        gradients.append(query.grad)
    assert torch.equal(*gradients)
    recorded = recorder["kernel/attention"]
    assert torch.equal(recorded, weights) and not recorded.requires_grad
    assert not recorder["kernel/query"].requires_grad


def test_what_the_model_changes_afterwards_is_recorded_as_it_was():
    class InPlace(nn.Module):
        def forward(self, query, key, value):
            heads = functional.scaled_dot_product_attention(query, key, value)
            for part in (query, key, value, heads):
                part.zero_()
            return heads.transpose(1, 2).flatten(2)

    given_ = tensors()
    expected = functional.scaled_dot_product_attention(*given_)
    with interp.Recorder(InPlace().eval(), sites=SIGNALS) as recorder:
        recorder.model(*[part.clone() for part in given_])
    for name, part in zip(("query", "key", "value"), given_, strict=True):
        assert torch.equal(recorder[f"inplace/{name}"], part)
    assert torch.equal(recorder["inplace/head_output"], expected)


def test_steps_of_grouped_heads_that_were_packed_into_the_queries():
    class Packed(nn.Module):
        def forward(self, query, key, value):
            batch, heads, _, width = query.shape
            packed = query.reshape(batch, key.shape[1], heads // key.shape[1], width)
            found = functional.scaled_dot_product_attention(packed, key, value)
            return found.reshape(batch, heads, 1, -1).transpose(1, 2).reshape(batch, 1, -1)

    query, key, value = tensors(queries=1, kv_heads=2)
    recorder = record(Packed().eval(), query, key, value)
    assert recorder["packed/attention"].shape == (2, 4, 1, 7)
    assert (recorder["packed/attention"] - reference(query, key)).abs().max() <= 1e-6
    assert torch.equal(recorder["packed/query"], query)
    assert recorder["packed/key"].shape == key.shape
    assert recorder["packed/head_output"].shape == (2, 4, 1, 3)


def test_dropout_is_refused_by_name():
    model = Kernel(dropout_p=0.5).eval()
    with pytest.raises(interp.InterpError, match="'kernel/attention' can't.*dropout is active"):
        with interp.Recorder(model, sites="kernel/attention"):
            model(*tensors())


@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype")
def test_a_nested_batch_is_refused_by_name():
    parts = [torch.randn(steps, 2, 4) for steps in (3, 5)]
    nested = torch.nested.nested_tensor(parts, layout=torch.jagged).transpose(1, 2)

    class Nested(nn.Module):
        def forward(self, x):
            return functional.scaled_dot_product_attention(x, x, x)

    with pytest.raises(interp.InterpError, match="nested tensor; pad it"):
        with interp.Recorder(Nested().eval(), sites="**/attention") as recorder:
            recorder.model(nested)


def test_a_wrong_map_is_noticed():
    query, key, value = tensors()
    result = functional.scaled_dot_product_attention(query, key, value)
    weights = attention_weights(query, key)
    assert disproof(weights, value, result) is None
    assert disproof(weights.flip(-1), value, result) is not None
    assert disproof(weights * (1 + 1e-4), value, result) is not None
    assert disproof(weights[..., :-1], value[..., :-1, :], result) is not None
    assert disproof(weights, value, result.masked_fill(result > 1, torch.nan)) is not None
    assert disproof(weights, value, result[..., :2]) is not None


@settings(max_examples=25)
@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(0, 9),
    st.booleans(),
)  # fmt: skip
def test_rows_sum_to_one_or_see_nothing(batch, heads, queries, keys, seed, as_numbers):
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(batch, heads, queries, 4, generator=generator) * 10
    key = torch.randn(batch, heads, keys, 4, generator=generator)
    mask = torch.rand(batch, 1, queries, keys, generator=generator) > 0.5
    weights = attention_weights(query, key, mask.float().log() if as_numbers else mask)
    seen = mask.any(-1).expand(batch, heads, queries)
    assert (weights.sum(-1) - seen.float()).abs().max() <= 1e-5
    assert (weights[~mask.expand_as(weights)] == 0).all()
    assert (weights - reference(query, key, mask)).abs().max() <= 1e-5
