"""Values in the storage type, and the first one that does not fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InterpError
from interp.extraction.conversion import Misfit, storage_dtype, to_storage
from interp.extraction.predictions import predict
from interp.extraction.state import keep_rows

ALL = np.array([3, 3])


@pytest.mark.parametrize("source", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("stored", ["float16", "float32", "float64"])
def test_values_are_rounded_once(source, stored):
    values = torch.randn(3, 2, 4, dtype=torch.float64).to(source).transpose(0, 1)
    found, misfit = to_storage(values, storage_dtype(stored), ALL)
    assert misfit is None
    assert found.dtype == np.dtype(stored)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, values.to(torch.float64).numpy().astype(stored))


def test_the_model_may_use_its_memory_again():
    values = torch.ones(2, 3, 1, dtype=torch.float16)
    found, _ = to_storage(values, torch.float16, ALL)
    values.zero_()
    assert (found == 1).all()


@given(
    st.floats(width=32, allow_nan=True, allow_infinity=True),
    st.integers(0, 1),
    st.integers(0, 2),
    st.integers(0, 3),
    st.booleans(),
)
def test_the_first_misfit_is_found(value, row, step, unit, allowed):
    values = torch.zeros(2, 3, 4)
    values[row, step, unit] = value
    _, misfit = to_storage(values, torch.float16, ALL, allowed)
    becomes = float(torch.tensor(value).half())
    if math.isfinite(becomes) or (allowed and not math.isfinite(value)):
        assert misfit is None
    else:
        assert (misfit.row, misfit.step, misfit.unit) == (row, step, unit)
        assert misfit.value == value or math.isnan(value)


def test_padding_may_hold_anything():
    values = torch.zeros(2, 3, 1)
    values[1, 2] = float("nan")
    values[1, 1] = 1e9
    assert to_storage(values, torch.float16, np.array([3, 1]))[1] is None
    assert to_storage(values, torch.float16, np.array([3, 2]))[1] == Misfit(1, 1, 0, 1e9)


def test_unknown_storage_types_are_refused():
    with pytest.raises(InterpError, match="'float61'; nearest: float64, float16"):
        storage_dtype("float61")


@given(st.integers(1, 6), st.floats(1, 1e4))
def test_predictions_agree_with_the_full_table(top_k, scale):
    torch.manual_seed(top_k)
    logits = torch.randn(2, 5, 6) * scale
    targets = torch.randint(-1, 6, (2, 5))
    said = predict(logits, targets, top_k)
    table = torch.log_softmax(logits.double(), -1)
    expected = -table.gather(-1, targets.clamp_min(0)[..., None])[..., 0].numpy()
    expected[targets.numpy() < 0] = np.nan
    # A difference of two numbers of the size of the logits.
    np.testing.assert_allclose(said.loss, expected, rtol=1e-5, atol=1e-6 * scale)
    np.testing.assert_allclose(
        said.top_probabilities, table.exp().topk(top_k).values.numpy(), rtol=1e-4, atol=1e-6
    )
    chosen = np.take_along_axis(logits.numpy(), said.top_ids.astype(int), axis=-1)
    np.testing.assert_array_equal(chosen, logits.topk(top_k).values.numpy())


def test_states_keep_their_first_rows():
    state = (torch.arange(12.0).reshape(2, 3, 2), {"cell": torch.arange(3.0)[:, None], "no": None})
    kept = keep_rows(state, 2, 3)
    assert kept[0].tolist() == state[0][:, :2].tolist()
    assert kept[1]["cell"].tolist() == [[0.0], [1.0]]
    assert keep_rows(state, 3, 3) is state


def test_states_of_another_kind_need_the_adapter():
    with pytest.raises(InterpError, match="keep_rows"):
        keep_rows(torch.zeros(4, 2), 2, 3)
    with pytest.raises(InterpError, match="holds a str"):
        keep_rows(["abc"], 2, 3)
    adapter = type("Own", (), {"keep_rows": lambda self, state, n: state[:n]})()
    assert keep_rows("abc", 2, 3, adapter) == "ab"
