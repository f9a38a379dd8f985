"""Sums over an axis in which one factor may be attention weights, brought into one form.

Models weight values by a matrix product, by `einsum`, or by a product and a sum. Whatever was
called, the weights become (..., queries, keys), the values (..., keys, head_dim), and the result
(..., queries, head_dim).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

MATRIX_PRODUCTS = {"matmul", "__matmul__", "__rmatmul__", "bmm", "mm", "mv", "baddbmm"}
SUMS = {"sum"}
_FACTORS = ("mat1", "batch1", "other", "mat2", "batch2")


@dataclass(frozen=True)
class WeightedSum:
    """A weighted sum in one form.

    Attributes
    ----------
    weights : Tensor
        (..., queries, keys).
    values : Tensor
        (..., keys, head_dim), broadcastable to the leading axes of `weights`.
    result : Tensor
        (..., queries, head_dim).
    from_form : callable
        Brings a tensor laid out like `result` into the layout of what the function returned.
    has_queries : bool
        Whether the weights had an axis of queries.
    """

    weights: Tensor
    values: Tensor
    result: Tensor
    from_form: Callable[[Tensor], Tensor]
    has_queries: bool = True


def factors(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Return the two factors of a product of matrices, by the name of the function; else ()."""
    if name == "einsum":
        operands = _operands(args)[1]
        return operands if len(operands) == 2 else ()
    if name not in MATRIX_PRODUCTS:
        return ()
    given = [*args, *(kwargs[key] for key in _FACTORS if key in kwargs)]
    if name == "baddbmm":
        given = given[1:] if len(args) else given
    found = tuple(part for part in given[:2] if isinstance(part, Tensor))
    if name == "__rmatmul__":
        found = found[::-1]
    return found if len(found) == 2 else ()


def of_matrices(name: str, args: tuple[Any, ...], kwargs: Any, result: Tensor, side: int) -> Any:
    """Return the weighted sum of a product of matrices whose factor `side` is the weights.

    Returns
    -------
    WeightedSum or None
        None when the product adds something else, or the values are a mere vector, such as the
        positions in an expected position.
    """
    if name == "einsum":
        return _of_einsum(*_operands(args), result, side)
    pair = factors(name, args, kwargs)
    if name == "baddbmm" and kwargs.get("beta", 1) != 0:
        return None
    weights, values = pair[side], pair[1 - side]
    flipped = side == 1
    if flipped:
        weights = weights.transpose(-2, -1) if weights.ndim > 1 else weights
        values = values.transpose(-2, -1) if values.ndim > 1 else values
    if values.ndim == 1:
        return None
    no_queries = weights.ndim == 1

    def from_form(form: Tensor) -> Tensor:
        if no_queries:
            return form.squeeze(-2)
        return form.transpose(-2, -1) if flipped else form

    if no_queries:
        weights, found = weights.unsqueeze(0), result.unsqueeze(-2)
    else:
        found = result.transpose(-2, -1) if flipped else result
    weights = weights.expand(*found.shape[:-1], weights.shape[-1])
    return WeightedSum(weights, values, found, from_form, not no_queries)


def _operands(args: tuple[Any, ...]) -> tuple[str, tuple[Tensor, ...]]:
    equation, *operands = args
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = list(operands[0])
    text = equation.replace(" ", "") if isinstance(equation, str) else ""
    return text, tuple(operands)


def _of_einsum(equation: str, operands: tuple[Tensor, ...], result: Tensor, side: int) -> Any:
    """Return the weighted sum behind an einsum of two factors, None where it is something else."""
    letters = _letters(equation, operands)
    if letters is None:
        return None
    given, out = letters
    mine, theirs = given[side], given[1 - side]
    summed = [x for x in mine if x in theirs and x not in out]
    width = [x for x in theirs if x not in mine]
    rows = [x for x in mine if x not in summed]
    if len(summed) != 1 or len(width) > 1 or any(x not in out for x in (*rows, *width)):
        return None
    rows = [x for x in rows if x in theirs] + [x for x in rows if x not in theirs]
    has_queries = bool(rows) and rows[-1] not in theirs
    weights = operands[side].permute([mine.index(x) for x in (*rows, *summed)])
    shared = [x for x in rows if x in theirs]
    values = operands[1 - side].permute([theirs.index(x) for x in (*shared, *summed, *width)])
    for _ in range(len(rows) - len(shared) - 1):
        values = values.unsqueeze(len(shared))
    if not width:
        values = values.unsqueeze(-1)
    if not has_queries:
        weights = weights.unsqueeze(-2)
    order = [out.index(x) for x in (*rows, *width)]

    def to_form(plain: Tensor) -> Tensor:
        plain = plain.permute(order)
        plain = plain if width else plain.unsqueeze(-1)
        return plain if has_queries else plain.unsqueeze(-2)

    def from_form(form: Tensor) -> Tensor:
        form = form if has_queries else form.squeeze(-2)
        form = form if width else form.squeeze(-1)
        return form.permute([order.index(axis) for axis in range(len(order))])

    return WeightedSum(weights, values, to_form(result), from_form, has_queries)


def query_and_key(args: tuple[Any, ...], result: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return queries and keys of an einsum whose result ends in the axis of the keys."""
    equation, operands = _operands(args)
    letters = _letters(equation, operands)
    if letters is None or len(operands) != 2 or result.ndim < 2:
        return None
    given, out = letters
    first = 1 if out[-1] in given[0] else 0
    mine, theirs = given[first], given[1 - first]
    shared = [x for x in out if x in mine and x in theirs]
    summed = [x for x in mine if x in theirs and x not in out]
    queries = [x for x in out if x in mine and x not in theirs]
    keys = [x for x in out if x in theirs and x not in mine]
    if not len(summed) == len(queries) == len(keys) == 1:
        return None
    if len(mine) != len(shared) + 2 or len(theirs) != len(shared) + 2:
        return None
    query = operands[first].permute([mine.index(x) for x in (*shared, *queries, *summed)])
    key = operands[1 - first].permute([theirs.index(x) for x in (*shared, *keys, *summed)])
    return query.detach(), key.detach()


def summed_together(args: tuple[Any, ...], side: int, values: Tensor) -> Tensor | None:
    """Return values like operand `side` of an einsum with the axes it sums joined to the last."""
    equation, operands = _operands(args)
    letters = _letters(equation, operands)
    if letters is None:
        return None
    given, out = letters
    mine = given[side]
    kept = [mine.index(x) for x in mine if x in out]
    summed = [mine.index(x) for x in mine if x not in out]
    return values.permute([*kept, *summed]).flatten(len(kept)) if summed else values


def _letters(equation: str, operands: tuple[Tensor, ...]) -> tuple[list[str], str] | None:
    """Return the letters of the operands and of the result, capital ones for an ellipsis."""
    left, arrow, out = equation.partition("->")
    given = left.split(",")
    if not arrow or len(given) != len(operands):
        return None
    for index, operand in enumerate(operands):
        n_more = operand.ndim - len(given[index].replace("...", ""))
        if n_more < 0:
            return None
        given[index] = given[index].replace("...", "ZYXWVUTS"[:n_more][::-1])
    n_more = max((sum(x in "ZYXWVUTS" for x in part) for part in given), default=0)
    out = out.replace("...", "ZYXWVUTS"[:n_more][::-1])
    if any(len(set(part)) != len(part) for part in (*given, out)):
        return None
    return given, out


def of_product(weights: Tensor, values: Tensor, axes: Any, keepdim: bool, result: Tensor) -> Any:
    """Return the weighted sum behind ``(weights * values).sum(axes)``.

    Returns
    -------
    WeightedSum or None
        None when it isn't a sum over one axis of weights times values of several units. (The sum
        of masked weights, which normalises them again, isn't one.)
    """
    n_axes = max(weights.ndim, values.ndim)
    weights = weights[(None,) * (n_axes - weights.ndim)]
    values = values[(None,) * (n_axes - values.ndim)]
    axes = [axes] if isinstance(axes, int) else list(axes or range(n_axes))
    if len(axes) != 1:
        return None
    key = axes[0] % n_axes
    others = [axis for axis in range(n_axes) if axis != key]
    size = [max(weights.shape[axis], values.shape[axis]) for axis in range(n_axes)]
    # Weights that were expanded to the shape of the values are the same along the expanded axis.
    alike = [weights.shape[a] == 1 or weights.stride(a) == 0 for a in range(n_axes)]
    width = [a for a in others if alike[a] and size[a] > 1 and values.shape[a] > 1]
    queries = [a for a in others if a not in width and values.shape[a] == 1 and size[a] > 1]
    shared = [a for a in others if a not in width and a not in queries]
    if len(width) != 1 or len(queries) > 1 or weights.shape[key] != size[key]:
        return None
    # An axis of length 1 stands for the queries where there are none.
    if not queries and shared and size[shared[-1]] == 1:
        queries = [shared.pop()]
    rows = weights.permute([*shared, *queries, *width, key]).select(-2, 0)
    found = values.permute([*shared, *queries, key, *width])
    if queries:
        found = found.select(len(shared), 0)
    else:
        rows = rows.unsqueeze(-2)
    order = [others.index(axis) for axis in (*shared, *queries, *width)]

    def to_form(plain: Tensor) -> Tensor:
        plain = (plain.squeeze(key) if keepdim else plain).permute(order)
        return plain if queries else plain.unsqueeze(-2)

    def from_form(form: Tensor) -> Tensor:
        form = form if queries else form.squeeze(-2)
        form = form.permute([order.index(axis) for axis in range(len(order))])
        return form.unsqueeze(key) if keepdim else form

    result = to_form(result)
    rows = rows.expand(*result.shape[:-1], -1)
    return WeightedSum(rows, found, result, from_form, bool(queries))
