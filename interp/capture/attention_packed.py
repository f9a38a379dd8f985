"""Maps in memory without the keys that no query can see: half of a causal map is exactly 0.

The queries of a call are divided into blocks, and each block holds the keys from the first to the
last that any of its queries gives a weight. Which these are follows from the causal flag and from
masks of truth values before the weights are computed, so that nothing is spent on the others; it
is read off the weights where a mask adds numbers, or where the model computes the weights itself.
A map is brought into one dense tensor when it is asked for.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from interp.capture.arrangement import Arrangement
from interp.capture.attention_weights import Block, BlockedWeights, WeightBlocks, too_large

ROWS = 64
"""Queries of a block."""
LEAST_QUERIES = 2 * ROWS
"""Maps of fewer queries are small, and stay as they are."""
MOST_KEPT = 0.8
"""Maps of which a larger part is in sight stay as they are: to pack them gains little."""
LEAST_MAPPED = 2**18
"""Bytes from which a block gets pages of its own."""

KeyRange = tuple[int, int]
"""First and one-past-last key."""


class PackedMaps(BlockedWeights):
    """The weights of one call, packed.

    Parameters
    ----------
    blocks : list of Block
        In order; all queries.
    shape : sequence of int
        (..., queries, keys) of the dense tensor.
    """

    requires_grad = False

    def __init__(self, blocks: list[Block], shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self.ndim = len(self.shape)
        self.dtype = blocks[0].weights.dtype
        self._blocks = blocks

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks)

    def disproof(self, value: Tensor, result: Tensor) -> str | None:
        """Return why these are not the weights behind a result, or None; see `disproof`."""
        why = super().disproof(value, result)
        # 0 times NaN is NaN where the model multiplies all keys.
        if why is not None and not bool(value.isfinite().all()):
            everything = PackedMaps([Block(0, 0, self.dense())], self.shape)
            return BlockedWeights.disproof(everything, value, result)
        return why

    def arranged(self, arrangement: Arrangement) -> PackedMaps:
        """Return the same as (batch, n_heads, queries, keys)."""
        blocks = [
            block._replace(weights=arrangement.apply(block.weights)) for block in self._blocks
        ]
        leading = blocks[0].weights.shape[:2]
        return PackedMaps(blocks, (*leading, *self.shape[-2:]))

    def dense(self, *, drop: bool = False) -> Tensor:
        """Return one tensor of all weights, with 0 at the keys that are out of sight.

        With `drop` each block is let go as soon as it is copied.
        """
        device = self._blocks[0].weights.device
        # Not zeros: these would take all pages of the result while all blocks are there.
        out = torch.empty(self.shape, dtype=self.dtype, device=device)
        left = self._blocks if drop else list(self._blocks)
        while left:
            block = left.pop()
            rows = out[..., block.queries, :]
            rows[..., : block.keys.start] = 0
            rows[..., block.keys] = block.weights
            rows[..., block.keys.stop :] = 0
        return out


class PackedCall:
    """What a recorder holds of one call until its maps are asked for; see `records.Captured`."""

    lengths = None

    def __init__(self, maps: PackedMaps) -> None:
        self._maps: PackedMaps | Tensor = maps

    @property
    def values(self) -> Tensor:
        """The dense maps, which from now on are held in place of the packed ones."""
        if isinstance(self._maps, PackedMaps):
            self._maps = self._maps.dense(drop=True)
        return self._maps


def packed_weights(
    query: Tensor, key: Tensor, mask: Tensor | None, shape: Sequence[int], **options: Any
) -> PackedMaps | None:
    """Return attention weights packed, or None where that gains nothing.

    Parameters
    ----------
    query, key, mask
        As for :func:`~interp.capture.attention_weights.attention_weights`.
    shape : sequence of int
        (..., queries, keys) of all weights.
    **options
        Its further arguments.
    """
    if not _is_large(shape):
        return None
    # Once, not for every block.
    key = key.to(torch.promote_types(key.dtype, torch.float32)).contiguous()
    made = WeightBlocks(query, key, mask, shape, **options)
    ranges = key_ranges(mask, shape, **options)
    if ranges is None:
        everything = slice(0, shape[-1])
        if _sees_the_last_key(made.block(slice(0, 1), everything).weights):
            return None
        whole = (made.block(queries, everything) for queries in _queries(shape))
        return PackedMaps([_copied(in_sight(block)) for block in whole], shape)
    if sum(stop - first for first, stop in ranges) > MOST_KEPT * len(ranges) * shape[-1]:
        return None
    blocks = []
    for queries, keys in zip(_queries(shape), ranges, strict=True):
        size = (*shape[:-2], queries.stop - queries.start, keys[1] - keys[0])
        room = _room(size, key.dtype, key.device)
        blocks.append(made.block(queries, slice(*keys), room))
    return PackedMaps(blocks, shape)


def weights_in_blocks(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    shape: Sequence[int],
    *,
    consumed: bool,
    **options: Any,
) -> BlockedWeights | None:
    """Return attention weights in blocks of queries, or None where one tensor is as good.

    Parameters
    ----------
    query, key, mask, shape, **options
        As for :func:`packed_weights`.
    consumed : bool
        Whether they are handed on at once, and so are in blocks only where one tensor would be
        too large; otherwise they are held, packed.
    """
    if not consumed:
        return packed_weights(query, key, mask, shape, **options)
    return WeightBlocks(query, key, mask, shape, **options) if too_large(shape) else None


def packed_copy(weights: Tensor) -> PackedMaps | Tensor:
    """Return a copy of weights (..., queries, keys) of the model's, packed where that gains."""
    if not _is_large(weights.shape) or _sees_the_last_key(weights):
        return weights.clone(memory_format=torch.contiguous_format)
    whole = (Block(rows.start, 0, weights[..., rows, :]) for rows in _queries(weights.shape))
    return PackedMaps([_copied(in_sight(block)) for block in whole], weights.shape)


def key_ranges(
    mask: Tensor | None,
    shape: Sequence[int],
    *,
    is_causal: bool = False,
    masked_rows_are_zero: bool = True,
    **_: Any,
) -> list[KeyRange] | None:
    """Return which keys the queries of each block can see; None where only the weights tell.

    Parameters
    ----------
    mask, is_causal, masked_rows_are_zero
        As for :func:`~interp.capture.attention_weights.attention_weights`.
    shape : sequence of int
        (..., queries, keys) of all weights.
    _
        What else the call was given; none of it hides a key.
    """
    n_queries, n_keys = shape[-2:]
    if is_causal:
        return [(0, min(rows.stop, n_keys)) for rows in _queries(shape)]
    if mask is None:
        return [(0, n_keys) for _ in _queries(shape)]
    if mask.dtype != torch.bool or not masked_rows_are_zero:
        return None
    seen = mask.flatten(0, -3).any(0) if mask.ndim > 2 else mask
    seen = seen.expand(n_queries, n_keys)
    return _extents(torch.stack([seen[rows].any(0) for rows in _queries(shape)]))


def in_sight(block: Block) -> Block:
    """Return a block without the keys before and behind those that have weight (or NaN)."""
    rows = block.weights.flatten(0, -2)
    # Two reductions that torch does fast; to compare all weights takes three times as long.
    has_weight = (rows.amax(0) != 0) | (rows.amin(0) != 0)
    ((first, stop),) = _extents(has_weight[None])
    return Block(block.first_query, block.first_key + first, block.weights[..., first:stop])


def _extents(there: Tensor) -> list[KeyRange]:
    """Return first and one-past-last true column of each row, (n, n_keys) bool; (0, 0) if none."""
    marks = there.to(torch.uint8)
    first, after = marks.argmax(1), marks.shape[1] - marks.flip(1).argmax(1)
    found = torch.stack([first, after], 1) * marks.amax(1)[:, None]
    return [(start, stop) for start, stop in found.tolist()]


def _queries(shape: Sequence[int]) -> list[slice]:
    n_queries = shape[-2]
    return [slice(at, min(at + ROWS, n_queries)) for at in range(0, n_queries, ROWS)]


def _is_large(shape: Sequence[int]) -> bool:
    return shape[-2] >= LEAST_QUERIES and math.prod(shape) > 0


def _sees_the_last_key(weights: Tensor) -> bool:
    """Whether the first query does, as it is without a mask: nothing else needs to be looked at."""
    return bool((weights[..., 0, -1] != 0).any())


def _copied(block: Block) -> Block:
    room = _room(block.weights.shape, block.weights.dtype, block.weights.device)
    return block._replace(weights=room.copy_(block.weights))


def _room(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return memory for a block, which goes back to the system when the block is dropped.

    On a CPU it is not asked of the heap. There, what is freed between things that live on stays,
    and the dense map that follows does not fit into it.
    """
    n_bytes = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or n_bytes < LEAST_MAPPED:
        return torch.empty(shape, dtype=dtype, device=device)
    private = {}
    if hasattr(mmap, "MAP_ANONYMOUS"):
        private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
    return torch.frombuffer(mmap.mmap(-1, n_bytes, **private), dtype=dtype).view(shape)
