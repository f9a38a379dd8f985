"""Matrix products over many rows, at full precision and at the speed of the fused kernels."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, ExitStack, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

_MIN_INPUTS = 4096
"""Below this many input values a product is small enough for either library."""


def own_arithmetic(device: torch.device) -> AbstractContextManager[object]:
    """Return a context for arithmetic beside the model's: without gradients and autocast."""
    is_rounded, has_tangents = torch.is_autocast_enabled(device.type), _has_tangents()
    if is_rounded or has_tangents:
        stack = ExitStack()
        stack.enter_context(torch.no_grad())
        if is_rounded:
            stack.enter_context(torch.autocast(device.type, enabled=False))
        if has_tangents:  # which writing into a tensor would have to follow, and can't
            stack.enter_context(forward_ad._set_fwd_grad_enabled(False))
        return stack
    return torch.no_grad() if torch.is_grad_enabled() else nullcontext()


def _has_tangents() -> bool:
    """Return whether derivatives may be on their way forward (`torch.func.jvp`, dual numbers)."""
    return getattr(forward_ad, "_current_level", -1) >= 0 and torch._C._is_fwd_grad_enabled()


def affine(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``rows @ weight.T + bias``.

    On a CPU, torch gives float32 products to MKL, which runs at half the machine's rate on
    processors of other makers than Intel, and its compiled models' to oneDNN, which doesn't; so
    are these, by the operator that such models call. Where it is missing, MKL's result is the
    same to the order of summation.

    Parameters
    ----------
    rows : Tensor
        (rows, n_inputs), contiguous.
    weight : Tensor
        (n_outputs, n_inputs).
    bias : Tensor or None
        (n_outputs,).

    Returns
    -------
    Tensor
        (rows, n_outputs), contiguous.
    """
    if (
        rows.numel() >= _MIN_INPUTS
        and rows.dtype == torch.float32
        and rows.device.type == "cpu"
        and torch.backends.mkldnn.enabled
        and not (torch.is_grad_enabled() and _is_learnt(rows, weight, bias))
        and _has_onednn_linear()
    ):
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return F.linear(rows, weight, bias)


def _is_learnt(*parts: Tensor | None) -> bool:
    """Return whether gradients are to reach one of the tensors; the operator has none."""
    return any(part is not None and part.requires_grad for part in parts)


@functools.cache
def _has_onednn_linear() -> bool:
    """Return whether this torch has the operator, with the arguments that we know."""
    rows, weight, bias, wanted = (
        torch.tensor(values, dtype=torch.float32, device="cpu")  # whatever the user's defaults are
        for values in ([[1, 0], [0, 1]], [[1, 2]], [0.5], [[1.5], [2.5]])
    )
    try:
        found = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    except (AttributeError, RuntimeError, TypeError):  # NotImplementedError is a RuntimeError
        return False
    return bool(torch.equal(found, wanted))
