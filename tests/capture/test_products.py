"""Products of recorded rows, by whichever library this torch gives them to."""

import pytest
import torch

from interp.capture import products


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n_rows", [3, 300])
def test_a_product_is_the_same_with_and_without_onednns_operator(monkeypatch, n_rows, bias):
    torch.manual_seed(0)
    rows, weight = torch.randn(n_rows, 40), torch.randn(24, 40)
    added = torch.randn(24) if bias else None
    expected = rows.double() @ weight.double().T + (0 if added is None else added.double())
    for available in (products._has_onednn_linear(), False):
        monkeypatch.setattr(products, "_has_onednn_linear", lambda found=available: found)
        found = products.affine(rows, weight, added)
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
        assert found.is_contiguous()


def test_an_operator_that_takes_other_arguments_is_not_used(monkeypatch):
    def other(rows, weight):
        raise AssertionError("not reached: the number of arguments is wrong")

    products._has_onednn_linear.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(torch.ops.mkldnn, "_linear_pointwise", other)
        assert not products._has_onednn_linear()
    products._has_onednn_linear.cache_clear()
