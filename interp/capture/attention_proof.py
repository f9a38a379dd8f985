"""The proof that attention weights are right: weights · values is what the model computed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TOLERANCE = 1e-5
"""Largest difference between weights · values and the result, relative to its largest value."""
ROUNDING = 1e-6
"""The same, relative to the sum of the sizes of the terms, where these cancel."""


def disproof(
    weights: Tensor, value: Tensor, result: Tensor, largest: float | None = None
) -> str | None:
    """Return why weights are not those behind a result, or None when they are.

    Parameters
    ----------
    weights : Tensor
        (..., queries, keys).
    value : Tensor
        (..., keys, head_dim), broadcastable to the leading axes of `weights`.
    result : Tensor
        (..., queries, head_dim).
    largest : float, optional
        The largest size of a value, where `result` is a part of what the model computed.
    """
    coarsest = min((weights, value, result), key=lambda part: part.dtype.itemsize).dtype
    product = weighted(weights, value)
    return mismatch(
        product, result, lambda: weighted(weights.abs(), value.abs()), coarsest, largest
    )


def weighted(weights: Tensor, value: Tensor) -> Tensor:
    """Return weights · values, float32 or wider, also under autocast."""
    wide = torch.promote_types(weights.dtype, torch.float32)
    with torch.autocast(weights.device.type, enabled=False):
        return torch.matmul(weights.to(wide), value.to(wide))


def mismatch(
    expected: Tensor,
    result: Tensor,
    terms: Callable[[], Tensor],
    dtype: torch.dtype,
    largest: float | None = None,
) -> str | None:
    """Return how far values are from the model's, or None when rounding explains it.

    Parameters
    ----------
    expected, result : Tensor
        What the recorded weights lead to, and what the model computed.
    terms : callable
        Returns the sums of the sizes of the terms behind each value.
    dtype : torch.dtype
        The coarsest type on the way.
    largest : float, optional
        The largest size of a value, where `result` is a part of what the model computed.
    """
    if expected.shape != result.shape:
        return f"weights · values has shape {tuple(expected.shape)}, not {tuple(result.shape)}"
    difference = (expected - result).abs()
    difference.masked_fill_(expected.isnan() & result.isnan(), 0)
    precision = 2 * torch.finfo(dtype).eps if dtype.itemsize < 4 else 0.0
    largest = largest_size(result) if largest is None else largest
    worst = float(difference.max()) if difference.numel() else 0.0
    if worst <= max(TOLERANCE, precision) * largest:
        return None
    if bool((difference <= max(ROUNDING, precision) * terms()).all()):
        return None
    return (
        f"weights · values differs from what the model computed by {worst:.2g}, where the largest "
        f"value is {largest:.2g}"
    )


def largest_size(values: Tensor) -> float:
    """Return the largest size of a value that is not NaN."""
    return float(values.nan_to_num().abs().max()) if values.numel() else 0.0
