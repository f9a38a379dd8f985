"""Rows of attention weights as a recording keeps them: in full, the largest ones, or statistics.

Everything here takes the weights of all heads for some queries of one document, on the device
where the model runs, and gives NumPy arrays on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from interp.storage import schema
from interp.storage.key_ranges import inside, pack_rows

#: Weights that are sorted, or summed up, at once.
PART_WEIGHTS = 2**22
_DTYPES = {"float16": torch.float16, "float32": torch.float32, "uint8": torch.uint8}


@dataclass(frozen=True)
class Rows:
    """The weights of some queries of one document.

    Attributes
    ----------
    weights : Tensor (n_heads, n_rows, n_keys)
        Padding is left out.
    ranges : ndarray (n_rows, 2) int64
        First and one-past-last key of each query, counted within the document.
    first_row, first_key : int
        The positions within the document that stand first on the two axes.
    tokens : ndarray (n_document,) or None
        Token ids of the whole document, where queries and keys are positions of one stream.
    """

    weights: Tensor
    ranges: np.ndarray
    first_row: int
    first_key: int
    tokens: np.ndarray | None = None

    @property
    def n_keys(self) -> int:
        """Number of keys."""
        return self.weights.shape[-1]

    def parts(self) -> Iterator[Rows]:
        """Yield the rows a few at a time: to sort many takes several times their memory."""
        n_heads, n_rows, n_keys = self.weights.shape
        size = max(1, PART_WEIGHTS // max(1, n_heads * n_keys))
        for first in range(0, n_rows, size):
            part = slice(first, first + size)
            weights, ranges = self.weights[:, part], self.ranges[part]
            yield Rows(weights, ranges, self.first_row + first, self.first_key, self.tokens)

    def sees_all(self) -> bool:
        """Whether each query may see all keys."""
        low, high = self.first_key, self.first_key + self.n_keys
        return bool((self.ranges[:, 0] <= low).all() and (self.ranges[:, 1] >= high).all())

    def on_device(self, values: np.ndarray) -> Tensor:
        """Return an array as a tensor beside the weights."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.weights.device)


@dataclass(frozen=True)
class Misplaced:
    """A weight where there should be none.

    Attributes
    ----------
    query, key : int
        Positions within the document.
    value : float
    """

    query: int
    key: int
    value: float


def find_outside(rows: Rows) -> Misplaced | None:
    """Return the first weight outside the key ranges that is not exactly 0, or None.

    NaN is not taken for a weight: of a row that sees nothing some models compute it at every key.
    """
    if rows.sees_all() or not rows.weights.numel():
        return None
    outside = rows.on_device(~inside(rows.ranges, rows.first_key, rows.n_keys))
    # Reduced over the heads first, by the two reductions that torch does fast (aminmax takes ten
    # times as long).
    low, high = rows.weights.amin(0), rows.weights.amax(0)
    bad = ((low != 0) | (high != 0)) & ~low.isnan() & outside
    if not bool(bad.any()):
        return None
    query, key = torch.nonzero(bad)[0].tolist()
    head = int(rows.weights[:, query, key].abs().argmax())
    value = float(rows.weights[head, query, key])
    return Misplaced(rows.first_row + query, rows.first_key + key, value)


def full_rows(rows: Rows, dtype: str) -> np.ndarray:
    """Return all weights inside the key ranges, (n_heads, n_weights), in the storage type."""
    return pack_rows(stored(rows.weights, dtype).numpy(), rows.ranges, rows.first_key)


def stored(weights: Tensor, dtype: str) -> Tensor:
    """Return weights in the storage type on the CPU; uint8 holds round(255 w)."""
    if dtype == "uint8":
        return (weights.float() * 255).round_().to(torch.uint8).cpu()
    return weights.to(_DTYPES[dtype]).cpu()


def some_rows(rows: Rows, n: int = 32) -> Rows:
    """Return about n of the rows, evenly over all of them."""
    step = max(1, rows.weights.shape[1] // n)
    return replace(rows, weights=rows.weights[:, ::step], ranges=rows.ranges[::step])


def largest_rows(rows: Rows, mass: float, dtype: str = "float32") -> dict[str, np.ndarray]:
    """Return the fewest keys of each row that hold a part of its mass.

    Parameters
    ----------
    rows : Rows
    mass : float
        Above 0, up to 1: of the row's own sum.
    dtype : str
        Storage type of the weights.

    Returns
    -------
    dict of str to ndarray
        ``kept`` and ``kept_mass``, (n_rows, n_heads); ``key_index`` (within the document) and
        ``weights``, (n_kept,): head after head, row after row, keys rising. A row with NaN keeps
        nothing and has the mass NaN.
    """
    weights = rows.weights.float()
    # Stable: of equal weights the earlier key is kept, on every machine.
    ordered, order = weights.sort(dim=-1, descending=True, stable=True)
    reached = ordered.cumsum(-1, dtype=torch.float64)
    wanted = mass * reached[..., -1:] if reached.shape[-1] else reached
    count = (reached < wanted).sum(-1) + 1
    count = torch.minimum(count, (weights > 0).sum(-1))
    sums = weights.sum(-1)
    count = torch.where(sums.isnan(), 0, count)
    rank = torch.arange(weights.shape[-1], device=weights.device)
    keep = torch.zeros_like(weights, dtype=torch.bool)
    keep.scatter_(-1, order, rank < count[..., None])
    index = schema.index_dtype(max(256, rows.first_key + rows.n_keys))
    kept_mass = torch.where(sums.isnan(), torch.nan, weights.where(keep, 0).sum(-1))
    return {
        schema.KEPT: count.T.to(torch.int32).cpu().numpy().astype("<u4"),
        schema.KEPT_MASS: kept_mass.T.cpu().numpy().astype("<f4"),
        schema.KEY_INDEX: (keep.nonzero()[:, 2] + rows.first_key).cpu().numpy().astype(index),
        schema.WEIGHTS: stored(weights[keep], dtype).numpy(),
    }


def statistics_rows(rows: Rows, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return statistics of each row and head, (n_rows, n_heads) float32 each.

    ``entropy`` in nats and ``maximum``, of the weights as they are; ``first_mass`` on the first
    key that was fed with the query; ``mean_distance`` in positions; ``previous_mass``,
    ``self_mass`` and ``next_mass``; ``duplicate_mass`` on earlier positions with the query's token;
    ``induction_mass`` on earlier positions that come right after one with its token.
    """
    weights = rows.weights.float()
    query = torch.arange(rows.first_row, rows.first_row + weights.shape[1], device=weights.device)
    key = torch.arange(rows.first_key, rows.first_key + rows.n_keys, device=weights.device)
    apart = key[None, :] - query[:, None]
    found: dict[str, Tensor] = {}
    for name in names:
        if name == "entropy":
            found[name] = torch.special.entr(weights).sum(-1)
        elif name == "maximum":
            found[name] = weights.amax(-1)
        elif name == "first_mass":
            found[name] = weights[..., 0]
        elif name == "mean_distance":
            found[name] = _weighted(weights, apart.abs())
        elif name in _OFFSETS:
            found[name] = _at_offset(weights, query + _OFFSETS[name] - rows.first_key)
        else:
            found[name] = _weighted(weights, _same_token(rows, name, apart))
    # Copies: a view of the weights would keep all of them in memory until it is written.
    return {name: np.array(values.T.cpu().numpy()) for name, values in found.items()}


_OFFSETS = {"previous_mass": -1, "self_mass": 0, "next_mass": 1}


def _weighted(weights: Tensor, factors: Tensor) -> Tensor:
    """Return the sum over the keys of weights times (n_rows, n_keys) factors."""
    return torch.einsum("hqk,qk->hq", weights, factors.to(weights.dtype))


def _at_offset(weights: Tensor, at: Tensor) -> Tensor:
    """Return the weight of one key index per row, 0 where there is no such key."""
    n_keys = weights.shape[-1]
    there = (at >= 0) & (at < n_keys)
    index = at.clamp(0, n_keys - 1)[None, :, None].expand(len(weights), -1, 1)
    return weights.gather(-1, index).squeeze(-1).where(there, 0)


def _same_token(rows: Rows, name: str, apart: Tensor) -> Tensor:
    """Return which keys have the query's token, or come after it: (n_rows, n_keys) bool."""
    assert rows.tokens is not None
    shift = 0 if name == "duplicate_mass" else 1
    mine = rows.tokens[rows.first_row : rows.first_row + rows.weights.shape[1]]
    # The key's own token, or the one before it; the document's first has none before.
    before = np.append(rows.tokens.astype(np.int64), -1)
    seen = before[np.arange(rows.first_key, rows.first_key + rows.n_keys) - shift]
    same = rows.on_device(mine.astype(np.int64))[:, None] == rows.on_device(seen)[None, :]
    return same & (apart < 0)
