"""Attention weights from what an attention kernel is given, all of them or in blocks of queries.

The kernels of torch return the weighted values only. The weights follow from the same arguments:
``softmax(scale * query · key + mask)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from interp.capture.attention_proof import disproof, largest_size, weighted


def attention_weights(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    masked_rows_are_zero: bool = True,
    first_query: int = 0,
    out: Tensor | None = None,
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
    out : Tensor, optional
        Contiguous, of the shape and type of the result: where it is computed.

    Returns
    -------
    Tensor
        (..., queries, keys), float32 or wider.
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    with torch.autocast(query.device.type, enabled=False):
        scores = _products(query.to(wide) * factor, key.to(wide), out)
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


def _products(query: Tensor, key: Tensor, out: Tensor | None) -> Tensor:
    """Return the products of all queries and keys, (..., queries, keys)."""
    if out is None:
        return torch.matmul(query, key.transpose(-2, -1))
    leading, n_products = out.shape[:-2], math.prod(out.shape[:-2])
    rows, columns = (
        part.expand(*leading, -1, -1).reshape(n_products, *part.shape[-2:]) for part in (query, key)
    )
    torch.bmm(rows, columns.transpose(-2, -1), out=out.view(n_products, *out.shape[-2:]))
    return out


BLOCK_BYTES = 2**28
"""Weights that are consumed as they are made come in blocks of queries of about this size."""


class Block(NamedTuple):
    """The weights of some queries, for the keys that they can see.

    Attributes
    ----------
    first_query, first_key : int
        What stands first on the last two axes.
    weights : Tensor
        (..., queries, keys).
    """

    first_query: int
    first_key: int
    weights: Tensor

    @property
    def queries(self) -> slice:
        """The queries of the block."""
        return slice(self.first_query, self.first_query + self.weights.shape[-2])

    @property
    def keys(self) -> slice:
        """The keys of the block; every other key has a weight of exactly 0."""
        return slice(self.first_key, self.first_key + self.weights.shape[-1])


class BlockedWeights:
    """The weights of one call as blocks of queries; iterating gives each `Block`, in order.

    Attributes
    ----------
    shape : tuple of int
        (..., queries, keys) of all weights.
    """

    shape: tuple[int, ...]

    def __iter__(self) -> Iterator[Block]:
        raise NotImplementedError

    def weighted(self, value: Tensor) -> Tensor:
        """Return weights · values, float32 or wider; weights are not below 0."""
        parts = [weighted(block.weights, value[..., block.keys, :]) for block in self]
        return torch.cat(parts, dim=-2)

    def disproof(self, value: Tensor, result: Tensor) -> str | None:
        """Return why these are not the weights behind a result, or None; see `disproof`."""
        # Block by block, and values copied once: the proof is not to take more than the maps.
        values = value.contiguous()
        largest = max(largest_size(result[..., block.queries, :]) for block in self)
        for block in self:
            part = result[..., block.queries, :]
            why = disproof(block.weights, values[..., block.keys, :], part, largest)
            if why is not None:
                return why
        return None


class WeightBlocks(BlockedWeights):
    """Weights that are made when they are iterated over: all of them would take too much memory.

    Parameters
    ----------
    query, key, mask
        As for :func:`attention_weights`.
    shape : sequence of int
        (..., queries, keys) of all weights.
    **options
        Further arguments of :func:`attention_weights`.
    """

    def __init__(
        self, query: Tensor, key: Tensor, mask: Tensor | None, shape: Sequence[int], **options: Any
    ) -> None:
        self.shape = tuple(shape)
        self._query, self._key, self._mask, self._options = query, key, mask, options

    def __iter__(self) -> Iterator[Block]:
        *leading, n_queries, n_keys = self.shape
        size = max(1, BLOCK_BYTES // (4 * n_keys * math.prod(leading)))
        for first in range(0, n_queries, size):
            yield self.block(slice(first, min(first + size, n_queries)), slice(0, n_keys))

    def block(self, queries: slice, keys: slice, out: Tensor | None = None) -> Block:
        """Return the weights of some queries, which see no other than some keys."""
        weights = attention_weights(
            self._query[..., queries, :],
            self._key[..., keys, :],
            _part_of_mask(self._mask, queries, keys),
            first_query=queries.start - keys.start,
            out=out,
            **self._options,
        )
        return Block(queries.start, keys.start, weights.expand(*self.shape[:-2], -1, -1))

    def kept(self) -> WeightBlocks:
        """Return the same, safe from what the model does with queries and keys afterwards."""
        mask = None if self._mask is None else self._mask.clone()
        copies = self._query.clone(), self._key.clone(), mask
        return WeightBlocks(*copies, self.shape, **self._options)


def _part_of_mask(mask: Tensor | None, queries: slice, keys: slice) -> Tensor | None:
    if mask is None or mask.ndim == 0:
        return mask
    if mask.shape[-1] != 1:
        mask = mask[..., keys]
    return mask if mask.ndim == 1 or mask.shape[-2] == 1 else mask[..., queries, :]


def too_large(shape: Sequence[int]) -> bool:
    """Whether weights of this shape are better made in blocks."""
    return 4 * math.prod(shape) > BLOCK_BYTES


def repeat_heads(key: Tensor, n_heads: int) -> Tensor:
    """Return keys or values (..., n_kv_heads, keys, head_dim) with each head for its group."""
    n_kv_heads = key.shape[-3]
    return key if n_kv_heads == n_heads else key.repeat_interleave(n_heads // n_kv_heads, -3)
