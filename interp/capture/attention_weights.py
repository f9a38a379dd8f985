"""Attention weights from what an attention kernel is given, and the proof that they are right.

The kernels of torch return the weighted values only. The weights follow from the same arguments:
``softmax(scale * query · key + mask)``, and multiplying them with the values must give what the
kernel returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

TOLERANCE = 1e-5
"""Largest difference between weights · values and the result, relative to its largest value."""
ROUNDING = 1e-6
"""The same, relative to the sum of the sizes of the terms, where these cancel."""


def attention_weights(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    masked_rows_are_zero: bool = True,
    first_query: int = 0,
) -> Tensor:
    """Return the weights of scaled dot product attention.

    Parameters
    ----------
    query : Tensor
        (..., queries, head_dim).
    key : Tensor
        (..., keys, head_dim), with as many heads as `query` or broadcastable to them.
    mask : Tensor, optional
        Broadcastable to (..., queries, keys): bool, true where a query sees a key, or numbers that
        are added to the scores.
    is_causal : bool
        Whether query i sees the keys up to the i-th only.
    scale : float, optional
        Factor of the products, 1 / sqrt(head_dim) unless said.
    masked_rows_are_zero : bool
        Whether a query that sees no key has weights of 0, as in torch's fused kernels; they are
        NaN otherwise, as from a plain softmax.
    first_query : int
        Which query of the sequence comes first in `query`; for the causal flag.

    Returns
    -------
    Tensor
        (..., queries, keys), float32 or wider.
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    with torch.autocast(query.device.type, enabled=False):
        scores = torch.matmul(query.to(wide) * factor, key.to(wide).transpose(-2, -1))
    unseen = None
    if is_causal:
        unseen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
        unseen = unseen.triu(1 + first_query)
    elif mask is not None and mask.dtype == torch.bool:
        unseen = ~mask
    if unseen is not None:
        scores.masked_fill_(unseen, -torch.inf)
    elif mask is not None:
        scores.add_(mask)
        unseen = mask.isneginf()
    # Into its own memory: a second tensor of this size would cost more than the arithmetic.
    torch.softmax(scores, -1, out=scores)
    if unseen is not None and masked_rows_are_zero:
        blind = unseen.all(-1, keepdim=True)
        if blind.any():
            scores.masked_fill_(blind, 0)
    return scores


BLOCK_BYTES = 2**28
"""Weights that are consumed as they are made come in blocks of queries of about this size."""


class WeightBlocks:
    """The weights of one call, some queries at a time: all of them would take too much memory.

    Iterating gives (first query, weights (..., queries, keys)) of each block, in order.

    Parameters
    ----------
    query, key, mask
        As for :func:`attention_weights`.
    shape : sequence of int
        (..., queries, keys) of all weights.
    **options
        Further arguments of :func:`attention_weights`.

    Attributes
    ----------
    shape : tuple of int
    """

    def __init__(
        self, query: Tensor, key: Tensor, mask: Tensor | None, shape: Sequence[int], **options: Any
    ) -> None:
        self.shape = tuple(shape)
        self._query, self._key, self._mask, self._options = query, key, mask, options

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        *leading, n_queries, n_keys = self.shape
        size = max(1, BLOCK_BYTES // (4 * n_keys * math.prod(leading)))
        for first in range(0, n_queries, size):
            rows = slice(first, min(first + size, n_queries))
            mask = self._mask
            if mask is not None and mask.ndim > 1 and mask.shape[-2] != 1:
                mask = mask[..., rows, :]
            weights = attention_weights(
                self._query[..., rows, :], self._key, mask, first_query=first, **self._options
            )
            yield first, weights.expand(*leading, -1, -1)

    def kept(self) -> WeightBlocks:
        """Return the same, safe from what the model does with queries and keys afterwards."""
        copies = self._query.clone(), self._key.clone()
        return WeightBlocks(*copies, self._mask, self.shape, **self._options)

    def weighted(self, value: Tensor) -> Tensor:
        """Return weights · values, float32 or wider."""
        return torch.cat([weighted(block, value) for _, block in self], dim=-2)

    def disproof(self, value: Tensor, result: Tensor) -> str | None:
        """Return why these are not the weights behind a result, or None; see `disproof`."""
        for first, block in self:
            rows = slice(first, first + block.shape[-2])
            if why := disproof(block, value, result[..., rows, :]):
                return why
        return None


def too_large(shape: Sequence[int]) -> bool:
    """Whether weights of this shape are better made in blocks."""
    return 4 * math.prod(shape) > BLOCK_BYTES


def repeat_heads(key: Tensor, n_heads: int) -> Tensor:
    """Return keys or values (..., n_kv_heads, keys, head_dim) with each head for its group."""
    n_kv_heads = key.shape[-3]
    return key if n_kv_heads == n_heads else key.repeat_interleave(n_heads // n_kv_heads, -3)


def disproof(weights: Tensor, value: Tensor, result: Tensor) -> str | None:
    """Return why weights are not those behind a result, or None when they are.

    Parameters
    ----------
    weights : Tensor
        (..., queries, keys).
    value : Tensor
        (..., keys, head_dim), broadcastable to the leading axes of `weights`.
    result : Tensor
        (..., queries, head_dim).
    """
    product = weighted(weights, value)
    if product.shape != result.shape:
        return f"weights · values has shape {tuple(product.shape)}, not {tuple(result.shape)}"
    coarsest = min((weights, value, result), key=lambda part: part.dtype.itemsize).dtype
    return mismatch(product, result, lambda: weighted(weights.abs(), value.abs()), coarsest)


def weighted(weights: Tensor, value: Tensor) -> Tensor:
    """Return weights · values, float32 or wider, also under autocast."""
    wide = torch.promote_types(weights.dtype, torch.float32)
    with torch.autocast(weights.device.type, enabled=False):
        return torch.matmul(weights.to(wide), value.to(wide))


def mismatch(
    expected: Tensor, result: Tensor, terms: Callable[[], Tensor], dtype: torch.dtype
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
    """
    difference = (expected - result).abs()
    difference.masked_fill_(expected.isnan() & result.isnan(), 0)
    precision = 2 * torch.finfo(dtype).eps if dtype.itemsize < 4 else 0.0
    largest = float(result.nan_to_num().abs().max()) if result.numel() else 0.0
    worst = float(difference.max()) if difference.numel() else 0.0
    if worst <= max(TOLERANCE, precision) * largest:
        return None
    if bool((difference <= max(ROUNDING, precision) * terms()).all()):
        return None
    return (
        f"weights · values differs from what the model computed by {worst:.2g}, where the largest "
        f"value is {largest:.2g}"
    )
