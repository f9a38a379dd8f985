"""The handler of torch's multi-head attention function, which `nn.MultiheadAttention` calls.

The function runs unchanged. Queries, keys and values are projected once more from its arguments,
and its masks merged, so that the weights are known whatever the caller asked for. In eval mode
torch's own layers may skip the function for a fused kernel that shows nothing (the fast path);
while attention is recorded that path is off.
"""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from interp.capture.attention import AttentionCall, run_of
from interp.capture.attention_packed import weights_in_blocks
from interp.capture.attention_proof import mismatch, weighted
from interp.capture.attention_weights import BlockedWeights, attention_weights
from interp.capture.mode import Function, handles
from interp.capture.modules import offers
from interp.capture.session import Place, Session, prepares
from interp.sites import ATTENTION_SIGNALS, SiteName

_SIGNATURE = inspect.signature(functional.multi_head_attention_forward)


@offers
def _sites(module: nn.Module) -> Iterator[SiteName]:
    if isinstance(module, nn.MultiheadAttention):
        for signal in ATTENTION_SIGNALS:
            yield SiteName("", signal)


class _FastPath:
    """Keeps torch's fast path off while at least one session needs that, in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_sessions = 0
        self._before = True

    @contextmanager
    def off(self) -> Iterator[None]:
        with self._lock:
            if self._n_sessions == 0:
                self._before = torch.backends.mha.get_fastpath_enabled()
                torch.backends.mha.set_fastpath_enabled(False)
            self._n_sessions += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_sessions -= 1
                if self._n_sessions == 0:
                    torch.backends.mha.set_fastpath_enabled(self._before)

    @property
    def was_on(self) -> bool:
        """Whether the fast path would be taken if no session kept it off."""
        return self._n_sessions > 0 and self._before


_fast_path = _FastPath()


def without_fast_path() -> AbstractContextManager[None]:
    """Return a context in which torch's own layers call the function that is seen here."""
    return _fast_path.off()


@prepares
@contextmanager
def _prepare(session: Session) -> Iterator[None]:
    if run_of(session) is None:
        yield
        return
    with _fast_path.off():
        yield


@handles(functional.multi_head_attention_forward)
def handle(
    places: Sequence[Place], function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run torch's multi-head attention and capture its weights."""
    result = function(*args, **kwargs)
    calls: dict[bool, AttentionCall | str] = {}
    for outer in places:
        run = run_of(outer.session)
        place = run.place() if run is not None else None
        if run is None or place is None or not run.wanted(place):
            continue
        with torch.no_grad():
            consumed = outer.session.store.consume is not None
            if consumed not in calls:
                bound = _SIGNATURE.bind(*args, **kwargs)
                bound.apply_defaults()
                calls[consumed] = _understand(bound.arguments, result[0], consumed)
            call = calls[consumed]
            if isinstance(call, str):
                run.refuse(place, call)
            else:
                run.capture(place, call)
        _say_that_the_fast_path_is_off(place)
    return result


def _say_that_the_fast_path_is_off(place: Place) -> None:
    run = run_of(place.session)
    module = place.module
    if run is None or run.said_slow or not _fast_path.was_on or torch.is_grad_enabled():
        return
    if isinstance(module, nn.MultiheadAttention) and module.batch_first and not module.training:
        run.said_slow = True
        warnings.warn(
            f"Attention of {place.path!r} is recorded with torch's fused fast path off "
            "(torch.backends.mha); outputs agree with the fast path's to rounding.",
            stacklevel=2,
        )


def _understand(named: Mapping[str, Any], result: Tensor, consumed: bool) -> AttentionCall | str:
    """Return a call with its weights, or why they can't be known.

    Large weights that are `consumed` as they are made come in blocks of queries; those that are
    held are packed.
    """
    if named["training"] and named["dropout_p"] > 0:
        return "dropout is active, and the function doesn't say which weights it dropped"
    if named["static_k"] is not None or named["static_v"] is not None:
        return "it is called with static keys or values"
    query, key, value = named["query"], named["key"], named["value"]
    if query.ndim == 2:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
    n_heads, batch = named["num_heads"], query.shape[1]
    projected = [part.detach() for part in _project(named, query, key, value)]
    query, key, value = (
        part.reshape(part.shape[0], batch, n_heads, -1).permute(1, 2, 0, 3) for part in projected
    )
    if named["add_zero_attn"]:
        key, value = functional.pad(key, (0, 0, 0, 1)), functional.pad(value, (0, 0, 0, 1))
    # As the function has it: a kernel's causal flag replaces the mask where nothing else needs it.
    flagged = named["is_causal"] and named["key_padding_mask"] is None and not named["need_weights"]
    mask = None if flagged else _merge_masks(named, query, key)
    # A plain softmax runs when weights were asked for, a kernel otherwise.
    options: dict[str, Any] = {
        "is_causal": flagged,
        "masked_rows_are_zero": not named["need_weights"],
    }
    shape = (*query.shape[:-1], key.shape[-2])
    weights: Tensor | BlockedWeights
    blocks = weights_in_blocks(query, key, mask, shape, consumed=consumed, **options)
    if blocks is not None:
        weights, heads = blocks, blocks.weighted(value)
    else:
        weights = made = attention_weights(query, key, mask, **options)
        heads = weighted(made, value)
    return AttentionCall(
        weights,
        query,
        key,
        value,
        heads.to(query.dtype),
        proof=lambda: _disproof(named, heads, result),
        n_heads=n_heads,
        variant=(flagged, named["need_weights"]),
    )


def _project(named: Mapping[str, Any], query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
    """Return queries, keys and values, each (positions, batch, n_heads * head_dim)."""
    if named["use_separate_proj_weight"]:
        weights = [named[f"{name}_proj_weight"] for name in "qkv"]
    else:
        weights = named["in_proj_weight"].chunk(3)
    bias = named["in_proj_bias"]
    biases = (None, None, None) if bias is None else bias.chunk(3)
    parts = zip((query, key, value), weights, biases, strict=True)
    found = [functional.linear(part, weight, bias) for part, weight, bias in parts]
    for index, name in ((1, "bias_k"), (2, "bias_v")):
        if named[name] is not None:
            row = named[name].expand(1, found[index].shape[1], -1)
            found[index] = torch.cat([found[index], row])
    return found


def _merge_masks(named: Mapping[str, Any], query: Tensor, key: Tensor) -> Tensor | None:
    """Return the masks as one of numbers, (batch or 1, n_heads or 1, queries, keys).

    torch's masks are true where a key is *not* seen. Keys that the function adds by itself have no
    column in them and are seen by all.
    """
    merged: Tensor | None = None
    batch, n_heads, n_queries, _ = query.shape
    for name in ("attn_mask", "key_padding_mask"):
        mask = named[name]
        if mask is None:
            continue
        if mask.dtype == torch.bool:
            numbers = torch.zeros_like(mask, dtype=query.dtype)
            mask = numbers.masked_fill_(mask, -torch.inf)
        mask = functional.pad(mask, (0, key.shape[2] - mask.shape[-1]))
        if name == "key_padding_mask":
            mask = mask.reshape(-1, 1, 1, mask.shape[-1])
        elif mask.ndim == 3:
            mask = mask.reshape(batch, n_heads, n_queries, -1)
        merged = mask if merged is None else merged + mask
    return merged


def _disproof(named: Mapping[str, Any], heads: Tensor, result: Tensor) -> str | None:
    """Return why weighted values are not those behind the function's output, or None."""
    weight, bias = named["out_proj_weight"].detach(), named["out_proj_bias"]
    wide = heads.dtype
    joined = heads.permute(2, 0, 1, 3).flatten(2)
    with torch.autocast(heads.device.type, enabled=False):
        expected = functional.linear(
            joined, weight.to(wide), None if bias is None else bias.to(wide)
        )
        return mismatch(
            expected,
            result.reshape(expected.shape),
            lambda: functional.linear(joined.abs(), weight.to(wide).abs()),
            result.dtype,
        )
