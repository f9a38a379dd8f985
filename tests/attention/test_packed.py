"""Long causal maps: held without the keys that nobody sees, dense when they are asked for."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import interp
from interp.capture.attention_packed import PackedMaps, packed_copy, packed_weights
from tests.attention.test_kernel import Kernel, reference, tensors

N = 150
CAUSAL = torch.ones(N, N, dtype=torch.bool).tril()
WINDOW = CAUSAL & ~CAUSAL.tril(-20)
PADDED = torch.stack([WINDOW, WINDOW & (torch.arange(N) >= 70)])[:, None]
"""(2, 1, N, N): no query of the second row's first block sees a key."""


def as_lowest(mask):
    return torch.where(mask, 0.0, torch.finfo(torch.float32).min)


def n_bytes(packed):
    return sum(block.weights.numel() * block.weights.element_size() for block in packed)


@pytest.mark.parametrize(
    ("mask", "most"),
    [
        (None, 0.75),
        (CAUSAL, 0.75),
        (CAUSAL.float().log(), 0.75),
        (as_lowest(CAUSAL), 0.75),
        (WINDOW, 0.5),
        (WINDOW.float().log(), 0.5),
        (PADDED, 0.5),
        (PADDED.float().log(), 0.5),
        (PADDED[1:] & CAUSAL, 0.5),
        (torch.arange(N)[None] < 40, 0.3),
    ],
)
def test_what_no_query_sees_is_not_held_and_shows_as_zero(mask, most):
    query, key, value = tensors(N, N, width=4)
    options = {"is_causal": mask is None}
    recorder = Recorded(Kernel(**options).eval(), query, key, value, mask)
    seen = CAUSAL if mask is None else mask
    expected = reference(query, key, seen)
    packed = packed_weights(query, key, mask, expected.shape, **options)
    assert n_bytes(packed) <= most * 4 * expected.numel()
    weights = recorder["kernel/attention"]
    assert (weights - expected).abs().max() <= 1e-6 and weights.is_contiguous()
    assert weights is recorder["kernel/attention"]
    assert torch.equal(recorder.take()["kernel/attention"].values, weights)


class Recorded:
    """What a recorder holds after a run whose output is the plain one's."""

    def __new__(cls, model, *args):
        plain = model(*args)
        with interp.Recorder(model, sites="**/attention") as recorder:
            assert torch.equal(model(*args), plain)
        return recorder


def test_the_proof_of_packed_maps_notices_a_wrong_weight():
    query, key, value = tensors(N, N, width=4)
    result = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    packed = packed_weights(query, key, None, (2, 4, N, N), is_causal=True)
    assert packed.disproof(value, result) is None
    assert packed.disproof(value, result[..., :2]) is not None
    list(packed)[1].weights[1, 2, 3, 4] += 1e-2
    assert packed.disproof(value, result) is not None


def test_values_that_are_no_numbers_where_nobody_looks():
    class Plain(nn.Module):
        def forward(self, query, key, value):
            scores = (query @ key.transpose(-2, -1)).masked_fill(~CAUSAL, -torch.inf)
            return (torch.softmax(scores, -1) @ value).transpose(1, 2).flatten(2)

    query, key, value = tensors(N, N, width=4)
    value[:, :, -1] = torch.nan
    with interp.Recorder(Plain().eval(), sites="**/attention") as recorder:
        recorder.model(query, key, value)
    assert (recorder["plain/attention"] - reference(query, key, CAUSAL, 1)).abs().max() <= 1e-6


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_softmax_of_the_model_is_copied_packed(dtype):
    scores = torch.randn(3, 2, N, N).masked_fill(~WINDOW, -torch.inf)
    weights = torch.softmax(scores, -1).to(dtype)
    weights[1, 1, 30] = torch.nan  # a query that sees nothing: NaN at every key
    packed = packed_copy(weights)
    assert isinstance(packed, PackedMaps) and n_bytes(packed) < 0.75 * weights.nbytes
    expected = weights.clone()
    weights.zero_()
    found = packed.dense()
    assert found.dtype == dtype and torch.equal(found.isnan(), expected.isnan())
    assert torch.equal(found.nan_to_num(), expected.nan_to_num())


def test_what_all_keys_are_seen_in_is_not_packed():
    weights = torch.softmax(torch.randn(2, N, N), -1)
    assert torch.equal(packed_copy(weights), weights)
    query, key, _ = tensors(N, N)
    assert packed_weights(query, key, None, (2, 4, N, N)) is None
    assert packed_weights(query, key, torch.randn(N, N), (2, 4, N, N)) is None


@pytest.mark.parametrize("asked", [False, True])
def test_causal_multi_head_attention_with_padding(asked):
    module = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = torch.randn(2, N, 8, generator=torch.Generator().manual_seed(2))
    masks = {
        "attn_mask": nn.Transformer.generate_square_subsequent_mask(N),
        "key_padding_mask": torch.zeros(2, N).index_fill_(1, torch.arange(100, N), -torch.inf),
    }
    _, expected = module(x, x, x, average_attn_weights=False, **masks)
    with interp.Recorder(module, sites="**/attention") as recorder:
        module(x, x, x, need_weights=asked, **masks)
    (site,) = recorder.sites
    assert (recorder[site] - expected).abs().max() <= 1e-6
    assert recorder.sites[site].n_heads == 2


@pytest.mark.parametrize("heads_first", [False, True])
def test_heads_that_share_an_axis_with_the_batch(heads_first):
    class Joined(nn.Module):
        def forward(self, query, key, value):
            order = (1, 0) if heads_first else (0, 1)
            joined = [x.permute(*order, 2, 3).flatten(0, 1) for x in (query, key, value)]
            found = functional.scaled_dot_product_attention(*joined, is_causal=True)
            sizes = [(2, 4)[i] for i in order]
            return found.unflatten(0, sizes).permute(*order, 2, 3).transpose(1, 2).flatten(2)

    query, key, value = tensors(N, N, width=4)
    recorder = Recorded(Joined().eval(), query, key, value)
    weights = recorder["joined/attention"]
    assert (weights - reference(query, key, CAUSAL)).abs().max() <= 1e-6
