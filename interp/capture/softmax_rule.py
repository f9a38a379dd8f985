"""Attention computed by a softmax: which softmax is attention, and what it weights.

A softmax is attention when the axis it normalises is an axis of keys, and that is the case when
what it returns is then summed over that axis, times values. So a softmax's result is followed
through reshapes, changes of type, dropout and masks until it is a factor of a weighted sum; what
is recorded is that factor. The softmax over a vocabulary, or over experts of which the best are
picked, is never summed like that and is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from interp.capture import weighted_sums
from interp.capture.arrangement import ELEMENTWISE, LAYOUT, function_name
from interp.capture.attention import WATCHES, AttentionCall, AttentionRun, batch_size
from interp.capture.attention_packed import packed_copy
from interp.capture.attention_proof import disproof
from interp.capture.session import Place
from interp.capture.tensor_tags import flat
from interp.capture.weighted_sums import WeightedSum
from interp.sites import KEY, QUERY

SOFTMAXES = {torch.softmax, functional.softmax, Tensor.softmax, torch.special.softmax}
_PRODUCTS = weighted_sums.MATRIX_PRODUCTS | {"einsum"}
_TIMES = {"mul", "__mul__", "__rmul__", "multiply"}


@dataclass
class _Softmax:
    """One call of a softmax."""

    place: Place
    scores: _Scores | None
    batch_size: int | None
    is_used: bool = False
    is_dropped: bool = False


@dataclass
class _Weights:
    """The note on what the result of a softmax has become.

    Attributes
    ----------
    softmax : _Softmax
        The call.
    times : tuple of Tensor
        (weights, values) when the tensor is their product, which may be summed next, else ().
    is_weights : bool
        Whether the tensor may be the weights themselves: a product may be of weights and a mask.
    """

    softmax: _Softmax
    times: tuple[Tensor, ...] = ()
    is_weights: bool = True


@dataclass
class _Scores:
    """The note on a product of two matrices, and on what became of it: queries and keys.

    Attributes
    ----------
    products : list of (Tensor, Tensor)
        Queries (..., queries, head_dim) and keys (..., keys, head_dim) of every product that went
        into it; they are known as such when there is one.
    """

    products: list[tuple[Tensor, Tensor]] = field(default_factory=list)


def watch(
    run: AttentionRun,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    result: Any,
) -> None:
    """Follow softmaxes through a function that has run."""
    if function in SOFTMAXES:
        _start(run, args, kwargs, result)
        return
    name = function_name(function)
    notes = run.tags.among((*args, *kwargs.values())) if run.tags else []
    followed = [note for _, note in notes if isinstance(note, _Weights)]
    if followed:
        with torch.no_grad():
            _follow(run, followed[0], name, args, kwargs, result)
    elif isinstance(result, Tensor):
        scores = [note for _, note in notes if isinstance(note, _Scores)]
        if name in _PRODUCTS:
            _note_product(run, name, args, kwargs, result)
        elif scores:
            products = [pair for note in scores for pair in note.products]
            unique = list({id(pair[0]): pair for pair in products}.values())
            run.tags[result] = _Scores(unique)


def _start(
    run: AttentionRun, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Tensor
) -> None:
    place = run.place()
    if place is None or not run.wanted(place):
        return
    scores = run.tags.get(args[0] if args else kwargs.get("input"))
    softmax = _Softmax(place, scores if isinstance(scores, _Scores) else None, batch_size(place))
    run.tags[result] = _Weights(softmax)
    kept = None
    if place.path in run.session.attention:
        axis = kwargs.get("dim", args[1] if len(args) > 1 else -1)
        kept = result.detach().movedim(-1 if axis is None else axis, -1).clone()

    def at_end() -> None:
        if softmax.is_used:
            return
        if kept is None:
            run.weightless.add(place.path)
        elif run.wanted(place):
            named = kept.unsqueeze(-2) if kept.ndim < 3 else kept
            run.capture(place, AttentionCall(named, batch_size=softmax.batch_size))

    run.at_end.append(at_end)


def _follow(
    run: AttentionRun,
    note: _Weights,
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    result: Any,
) -> None:
    """Note what became of the result of a softmax, or capture what it weights."""
    found = None
    if name in _PRODUCTS and isinstance(result, Tensor):
        pair = weighted_sums.factors(name, args, kwargs)
        sides = [side for side, part in enumerate(pair) if _is_weights(run, part)]
        if sides:
            note = run.tags.get(pair[sides[0]])
            found = weighted_sums.of_matrices(name, args, kwargs, result, sides[0])
    elif name in weighted_sums.SUMS and note.times and isinstance(result, Tensor):
        axes = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
        keepdim = bool(kwargs.get("keepdim", args[2] if len(args) > 2 else False))
        weights, values = note.times
        found = weighted_sums.of_product(weights, values, axes, keepdim, result)
    elif name in LAYOUT or name in ELEMENTWISE:
        _spread(run, note, name, args, kwargs, result)
    if found is not None:
        _capture(run, note.softmax, found, result)


def _is_weights(run: AttentionRun, part: Any) -> bool:
    note = run.tags.get(part)
    return isinstance(note, _Weights) and note.is_weights


def _spread(
    run: AttentionRun, note: _Weights, name: str, args: tuple[Any, ...], kwargs: Any, result: Any
) -> None:
    times: tuple[Tensor, ...] = ()
    is_weights = note.is_weights
    if name in _TIMES:
        pair = tuple(x for x in (*args, *kwargs.values()) if isinstance(x, Tensor))
        sides = [side for side, part in enumerate(pair) if _is_weights(run, part)]
        if len(pair) == 2 and sides:
            times = pair[sides[0]].detach(), pair[1 - sides[0]].detach()
            is_weights = times[0].shape == result.shape
    elif not is_weights:
        return
    if "dropout" in name and isinstance(result, Tensor) and _changes(args, kwargs):
        note.softmax.is_dropped = True
    for tensor in flat((result,)):
        if isinstance(tensor, Tensor):
            run.tags[tensor] = _Weights(note.softmax, times, is_weights)


def _changes(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a call of dropout, (input, p, training), changes anything."""
    p = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    is_on = kwargs.get("training", kwargs.get("train", args[2] if len(args) > 2 else True))
    return bool(is_on and p > 0)


def _capture(run: AttentionRun, softmax: _Softmax, found: WeightedSum, output: Tensor) -> None:
    """Hand a softmax that weights values on, unless what is summed isn't its axis."""
    place = softmax.place
    if softmax.is_used or not run.wanted(place):
        return
    softmax.is_used = True
    if softmax.is_dropped:
        run.refuse(place, "dropout is active; call model.eval()")
        return
    plain = found.weights.detach()
    consumed = run.session.store.consume is not None
    weights = plain.clone(memory_format=torch.contiguous_format) if consumed else packed_copy(plain)
    query, key = _query_and_key(softmax.scores, plain) if softmax.scores else (None, None)
    softmax.scores = None

    def proof() -> str | None:
        blocks = [plain] if isinstance(weights, Tensor) else [block.weights for block in weights]
        if any(map(_is_no_softmax, blocks)):
            return (
                "what weights its values is not the softmax of one axis of keys (dropout is "
                "active, or the weights are normalised over another axis, or changed)"
            )
        if isinstance(weights, Tensor):
            return disproof(weights, found.values, found.result)
        return weights.disproof(found.values, found.result)

    run.capture(
        place,
        AttentionCall(
            weights,
            query,
            key,
            found.values.detach(),
            found.result.detach(),
            output=output,
            as_output=found.from_form,
            proof=proof,
            batch_size=softmax.batch_size,
            has_queries=found.has_queries,
        ),
    )


def _is_no_softmax(weights: Tensor) -> bool:
    """Whether rows sum to more than 1, or hold something below 0."""
    totals = weights.sum(-1, dtype=torch.promote_types(weights.dtype, torch.float32))
    slack = max(1e-4, 4 * torch.finfo(weights.dtype).eps)
    return bool((totals > 1 + slack).any() or (weights < 0).any())


def _note_product(
    run: AttentionRun, name: str, args: tuple[Any, ...], kwargs: Any, result: Tensor
) -> None:
    """Note the factors of a product whose result may become the scores of a softmax."""
    place = run.place()
    if place is None or not (place.wants(QUERY) or place.wants(KEY)):
        return
    pair = weighted_sums.factors(name, args, kwargs)
    if not pair or min(part.ndim for part in pair) < 2:
        return
    if name == "einsum":
        found = weighted_sums.query_and_key(args, result)
    else:
        found = pair[0].detach(), pair[1].detach().transpose(-2, -1)
    if found is not None:
        run.tags[result] = _Scores([found])


def _query_and_key(scores: _Scores, weights: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Return queries and keys behind scores, when they come from one product."""
    if len(scores.products) != 1:
        return None, None
    query, key = scores.products[0]
    leading = weights.shape[:-2]
    if query.shape[-2] != weights.shape[-2] or key.shape[-2] != weights.shape[-1]:
        return None, None
    if query.shape[:-2] != leading:
        if query[..., 0, 0].numel() != weights[..., 0, 0].numel():
            return None, None
        query = query.reshape(*leading, *query.shape[-2:])
        if key[..., 0, 0].numel() == weights[..., 0, 0].numel():
            key = key.reshape(*leading, *key.shape[-2:])
    return query, key


WATCHES.append(watch)
