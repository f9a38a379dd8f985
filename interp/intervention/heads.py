"""Attention heads replaced before the output projection, for each way of computing attention."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from interp.capture.mode import Function
from interp.capture.softmax_rule import SOFTMAXES
from interp.errors import CaptureError, SelectionError
from interp.intervention.clamps import Clamp

Handler = Callable[
    [Sequence[Clamp], int, Function, tuple[Any, ...], Mapping[str, Any]], tuple[Any, bool]
]
_SIGNATURE = inspect.signature(functional.multi_head_attention_forward)


def _dot_product(
    clamps: Sequence[Clamp],
    n_rows: int,
    function: Function,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> tuple[Tensor, bool]:
    """Run scaled dot product attention, (batch, heads, queries, head_dim), and replace heads."""
    result = function(*args, **kwargs)
    return _replaced(result, clamps, n_rows), True


def _multi_head(
    clamps: Sequence[Clamp],
    n_rows: int,
    function: Function,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> tuple[tuple[Tensor, Tensor | None], bool]:
    """Run torch's multi-head function up to its output projection, replace heads, project.

    With the identity as its output projection the function returns the heads side by side, to
    the bit.
    """
    bound = _SIGNATURE.bind(*args, **kwargs)
    named = bound.arguments
    weight, bias = named["out_proj_weight"], named.get("out_proj_bias")
    width = weight.shape[1]
    named["out_proj_weight"] = torch.eye(width, dtype=weight.dtype, device=weight.device)
    named["out_proj_bias"] = None
    joined, weights = function(*bound.args, **bound.kwargs)
    batched = joined if joined.ndim == 3 else joined.unsqueeze(1)
    apart = batched.unflatten(-1, (named["num_heads"], -1)).permute(1, 2, 0, 3)
    together = _replaced(apart, clamps, len(apart))
    joined = together.permute(2, 0, 1, 3).flatten(2).reshape(joined.shape)
    return (functional.linear(joined, weight, bias), weights), True


def _softmax(
    clamps: Sequence[Clamp],
    n_rows: int,
    function: Function,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> tuple[Tensor, bool]:
    """Run a softmax and set the weights of heads to 0, which makes their output 0.

    Only weights of shape (batch, heads, queries, keys) are taken for attention.
    """
    result = function(*args, **kwargs)
    if result.ndim != 4:
        return result, False
    for clamp in clamps:
        if isinstance(clamp.value, Tensor) or clamp.value != 0:
            raise CaptureError(
                f"{clamp.site} is attention written with a softmax, whose head outputs have no "
                "tensor of their own here: such heads can only be set to zero (--mode zero)."
            )
    return _replaced(result, clamps, n_rows), True


def _replaced(heads: Tensor, clamps: Sequence[Clamp], n_rows: int) -> Tensor:
    """Return (batch, n_heads, queries, ...) with the clamped heads replaced."""
    site = clamps[0].site
    if heads.ndim != 4:
        raise CaptureError(
            f"Heads of {site} cannot be switched off: attention there has shape "
            f"{tuple(heads.shape)}, not (batch, heads, queries, head_dim)."
        )
    changed = heads.clone()
    for clamp in clamps:
        clamp.check_units(heads.shape[1], "head")
        value = torch.as_tensor(clamp.value, dtype=heads.dtype, device=heads.device)
        if value.ndim and value.shape != (len(clamp.units), heads.shape[-1]):
            raise SelectionError(
                f"{len(clamp.units)} heads of {site} have values of shape {tuple(value.shape)}; "
                f"give one number or ({len(clamp.units)}, {heads.shape[-1]})."
            )
        value = value if value.ndim == 0 else value[:, None, :]
        if clamp.rows is None:
            changed[:, list(clamp.units)] = value
            continue
        if len(heads) != n_rows:
            raise CaptureError(
                f"Heads of {site} cannot be clamped row by row: its attention has a batch of "
                f"{len(heads)} where the model was given {n_rows} rows."
            )
        clamp.check_rows(n_rows)
        rows = torch.tensor(clamp.rows, dtype=torch.int64, device=heads.device)[:, None]
        changed[rows, torch.tensor(clamp.units, device=heads.device)] = value
    return changed


HANDLERS: dict[Function, Handler] = {
    functional.scaled_dot_product_attention: _dot_product,
    functional.multi_head_attention_forward: _multi_head,
    **dict.fromkeys(SOFTMAXES, _softmax),
}
"""What runs each function that may be attention: returns its result, and whether heads were."""
