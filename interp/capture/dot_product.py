"""The handler of scaled dot product attention: called unchanged, weights computed beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from interp.capture.attention import AttentionCall, run_of
from interp.capture.attention_packed import weights_in_blocks
from interp.capture.attention_proof import disproof
from interp.capture.attention_weights import BlockedWeights, attention_weights, repeat_heads
from interp.capture.mode import Function, handles
from interp.capture.session import Place

_NAMES = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")


@handles(functional.scaled_dot_product_attention)
def handle(
    places: Sequence[Place], function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run scaled dot product attention and capture its weights."""
    result = function(*args, **kwargs)
    calls: dict[bool, AttentionCall | str] = {}
    with torch.no_grad():
        for outer in places:
            run = run_of(outer.session)
            place = run.place() if run is not None else None
            if run is None or place is None or not run.wanted(place):
                continue
            consumed = outer.session.store.consume is not None
            if consumed not in calls:
                named = dict(zip(_NAMES, args, strict=False)) | {**kwargs}
                calls[consumed] = _understand(result, named, consumed)
            call = calls[consumed]
            if isinstance(call, str):
                run.refuse(place, call)
            else:
                run.capture(place, call)
    return result


def _understand(result: Tensor, named: Mapping[str, Any], consumed: bool) -> AttentionCall | str:
    """Return a call with its weights, or why they can't be known.

    Large weights that are `consumed` as they are made come in blocks of queries; those that are
    held are packed.
    """
    if named.get("dropout_p", 0.0) > 0:
        return "dropout is active, and the kernel doesn't say which weights it dropped"
    if result.is_nested:
        return "its batch is a nested tensor; pad it, with a mask"
    query, key, value, mask = (
        _as_the_kernel(named.get(name), result) for name in ("query", "key", "value", "attn_mask")
    )
    assert query is not None and key is not None and value is not None
    many = named.get("enable_gqa", False)
    n_heads = query.shape[-3] if query.ndim > 2 else 1
    keys = repeat_heads(key, n_heads) if many else key
    options = {"is_causal": named.get("is_causal", False), "scale": named.get("scale")}
    plain = result.detach()
    values = repeat_heads(value, n_heads) if many else value
    shape = (*result.shape[:-1], keys.shape[-2])
    weights: Tensor | BlockedWeights
    blocks = weights_in_blocks(query, keys, mask, shape, consumed=consumed, **options)
    if blocks is not None:
        weights, proof = blocks, partial(blocks.disproof, values, plain)
    else:
        made = attention_weights(query, keys, mask, **options)
        weights = made.expand(shape)
        proof = partial(disproof, made, values, plain)
    return AttentionCall(
        weights,
        query.expand(*result.shape[:-1], -1),
        key,
        value,
        plain,
        output=result,
        proof=proof,
        variant=(named.get("is_causal", False), many, None if mask is None else mask.dtype),
    )


def _as_the_kernel(value: Tensor | None, result: Tensor) -> Tensor | None:
    """Return an argument as the kernel gets it, which is in another type under autocast."""
    if value is None or not value.is_floating_point():
        return value
    return value.detach().to(result.dtype)
