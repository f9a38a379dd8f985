"""Which axis holds the heads: read off what the model does with the result of an attention call.

An attention kernel may be given (batch, heads, queries, head_dim), or (batch * heads, ...), or
(heads * batch, ...), or several heads packed into the axis of queries. Shapes alone don't tell
these apart. But the model puts the heads side by side afterwards: its reshapes and transpositions
are repeated on a tensor that numbers the rows of the result, and where the numbers end up tells
which row belongs to which head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LAYOUT = {
    "cat", "chunk", "clone", "concat", "concatenate", "contiguous", "detach", "expand",
    "expand_as", "flatten", "index_select", "movedim", "narrow", "permute", "reshape",
    "reshape_as", "select", "split", "split_with_sizes", "squeeze", "stack", "swapaxes",
    "swapdims", "t", "tensor_split", "transpose", "unbind", "unflatten", "unsqueeze", "view",
    "view_as", "__getitem__", "T", "mT", "H", "mH",
}  # fmt: skip
"""Functions that move values and leave them as they are."""

JOINS = {"cat", "concat", "concatenate", "stack"}

ELEMENTWISE = {
    "to", "type", "type_as", "float", "double", "half", "bfloat16", "dropout", "dropout_",
    "feature_dropout", "alpha_dropout", "nan_to_num", "mul", "mul_", "__mul__", "__rmul__",
    "multiply", "div", "div_", "true_divide", "__truediv__", "divide", "add", "add_", "__add__",
    "__radd__", "sub", "sub_", "__sub__", "__rsub__", "rsub", "masked_fill", "masked_fill_",
    "where", "neg", "tanh", "clamp", "clamp_min", "relu", "addcmul", "__imul__", "__itruediv__",
    "__iadd__",
}  # fmt: skip
"""Functions that change values, or their type, where they are."""


def function_name(function: Callable[..., Any]) -> str:
    """Return the name of a torch function; for the getter of a property, the property's."""
    name = getattr(function, "__name__", "")
    if name == "__get__":
        return getattr(getattr(function, "__self__", None), "__name__", "")
    return name


@dataclass(frozen=True)
class Arrangement:
    """How the rows of an attention call divide into batch rows and heads.

    Attributes
    ----------
    n_heads : int
        Heads per batch row.
    heads_first : bool
        Whether the heads vary slower than the batch.
    packed : bool
        Whether what the call takes for queries are heads as well; each batch row has one query.
    """

    n_heads: int
    heads_first: bool = False
    packed: bool = False

    def apply(self, rows: Tensor) -> Tensor:
        """Return (..., queries, anything) as (batch, n_heads, queries, anything)."""
        if self.packed:
            rows = rows.flatten(0, -2).unsqueeze(1)
        *leading, n_queries, width = rows.shape
        if len(leading) == 2 and leading[1] == self.n_heads and not self.heads_first:
            return rows
        if self.heads_first:
            found = rows.reshape(self.n_heads, -1, n_queries, width).transpose(0, 1)
            return found.contiguous()
        return rows.reshape(-1, self.n_heads, n_queries, width)

    def apply_to_keys(self, rows: Tensor, leading: Sequence[int]) -> Tensor:
        """Return keys or values as (batch, heads, keys, anything); they may have fewer heads.

        Parameters
        ----------
        rows : Tensor
            (..., keys, anything).
        leading : sequence of int
            The axes in front of the queries and keys of the call's weights.
        """
        if tuple(rows.shape[:-2]) == tuple(leading) and not self.packed:
            return self.apply(rows)
        if rows.ndim == 5 and rows.shape[2] == 1:  # one for all heads of a group
            rows = rows.squeeze(2)
        if rows.ndim == 4:
            return rows.transpose(0, 1) if self.heads_first else rows
        return rows.reshape(-1, 1, *rows.shape[-2:])


def number_rows(result: Tensor) -> Tensor:
    """Return a tensor like the result of a call that holds the number of the row everywhere."""
    rows = torch.arange(result[..., 0].numel(), dtype=torch.int32, device=result.device)
    return rows.view(*result.shape[:-1], 1).expand(result.shape)


def replay(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    stand_in: Callable[[Any], Any],
) -> Any:
    """Return what a layout function gives when tensors are replaced by their stand-ins.

    Returns
    -------
    Tensor, tuple of Tensor or None
        None where it can't be told.
    """
    name = function_name(function)
    args = tuple(_replace(value, stand_in) for value in args)
    kwargs = {key: _replace(value, stand_in) for key, value in kwargs.items()}
    try:
        if name == "view" and all(isinstance(size, int) for size in _sizes(args[1:])):
            return args[0].reshape(*args[1:])
        return function(*args, **kwargs)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None


def _sizes(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], tuple | list) else args


def _replace(value: Any, stand_in: Callable[[Any], Any]) -> Any:
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(stand_in(item) for item in value)
    return stand_in(value)


def read(numbers: Tensor, shape: Sequence[int]) -> Arrangement | None:
    """Return the arrangement of an attention call from where its rows ended up.

    Parameters
    ----------
    numbers : Tensor
        Row numbers, (..., n_heads * head_dim) as the model laid them out.
    shape : sequence of int
        Of the call's result, (..., queries, head_dim).

    Returns
    -------
    Arrangement or None
        None when several heads are not side by side.
    """
    n_queries, head_dim = shape[-2:]
    if numbers.ndim == 0 or numbers.numel() == 0 or numbers.shape[-1] % head_dim:
        return None
    blocks = numbers.reshape(-1, numbers.shape[-1] // head_dim, head_dim)
    table = blocks[..., 0]
    n_heads = table.shape[1]
    if n_heads == 1 or not torch.equal(blocks, table[..., None].expand_as(blocks)):
        return None
    first = table[0].tolist()
    if len({row % n_queries for row in first}) > 1:
        # Single steps of grouped heads: (batch, kv heads, group, head_dim) is one query each.
        one_query = numbers.ndim == 3 and numbers.shape[1] == 1 and len(shape) == 4
        packed = one_query and n_heads == shape[1] * n_queries and first == list(range(n_heads))
        return Arrangement(n_heads, packed=True) if packed else None
    calls = [row // n_queries for row in first]
    n_batch, rest = divmod(math.prod(shape[:-2]), n_heads)
    if rest:
        return None
    if calls == list(range(n_heads)):
        return Arrangement(n_heads)
    if calls == list(range(0, n_heads * n_batch, n_batch)):
        return Arrangement(n_heads, heads_first=True)
    return None
