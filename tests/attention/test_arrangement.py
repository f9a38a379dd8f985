"""The heads are found wherever the model puts them, for every size, squares included."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.capture.arrangement import Arrangement, number_rows, read

SIZES = st.tuples(st.integers(1, 4), st.integers(2, 4), st.integers(1, 5), st.integers(1, 4))


def maps(batch, heads, queries):
    return torch.arange(batch * heads * queries * 3.0).view(batch, heads, queries, 3)


@given(SIZES)
@settings(max_examples=40)
def test_batch_first(sizes):
    batch, heads, queries, width = sizes
    numbers = number_rows(torch.zeros(batch, heads, queries, width))
    found = read(
        numbers.transpose(1, 2).reshape(batch, queries, -1), (batch, heads, queries, width)
    )
    expected = maps(batch, heads, queries)
    assert found == Arrangement(heads)
    assert torch.equal(found.apply(expected), expected)
    flat = number_rows(torch.zeros(batch * heads, queries, width))
    joined = flat.view(batch, heads, queries, width).permute(2, 0, 1, 3).flatten(2)
    found = read(joined, (batch * heads, queries, width))
    assert torch.equal(found.apply(expected.flatten(0, 1)), expected)


@given(SIZES)
@settings(max_examples=40)
def test_heads_first(sizes):
    batch, heads, queries, width = sizes
    numbers = number_rows(torch.zeros(heads * batch, queries, width))
    found = read(torch.cat(numbers.split(batch), -1), numbers.shape)
    expected = maps(batch, heads, queries)
    assert torch.equal(found.apply(expected.transpose(0, 1).flatten(0, 1)), expected)


@given(SIZES, st.integers(2, 3))
@settings(max_examples=40)
def test_heads_packed_into_the_queries(sizes, group):
    batch, kv_heads, _, width = sizes
    numbers = number_rows(torch.zeros(batch, kv_heads, group, width))
    joined = numbers.reshape(batch, kv_heads * group, 1, width).transpose(1, 2)
    found = read(joined.reshape(batch, 1, -1), numbers.shape)
    expected = maps(batch, kv_heads * group, 1)
    assert torch.equal(found.apply(expected.view(batch, kv_heads, group, 3)), expected)


@given(SIZES)
@settings(max_examples=40)
def test_positions_side_by_side_are_not_heads(sizes):
    batch, heads, queries, width = sizes
    numbers = number_rows(torch.zeros(batch, heads, queries + 1, width))
    joined = numbers.transpose(1, 2).reshape(batch, -1)
    assert read(joined, numbers.shape) is None
    single = number_rows(torch.zeros(batch, queries + 1, width))
    assert read(single.reshape(batch, -1), single.shape) is None
    assert read(single, single.shape) is None


def test_scrambled_rows_are_not_heads():
    numbers = number_rows(torch.zeros(2, 4, 3, 2))
    joined = numbers[:, [0, 2, 1, 3]].transpose(1, 2).reshape(2, 3, -1)
    assert read(joined, numbers.shape) is None
    assert read(numbers.transpose(-1, -2).reshape(2, 4, -1), numbers.shape) is None
