"""Attention of any model: what becomes of one call once its weights are known.

Three kinds of calls are seen: scaled dot product attention (`dot_product`), torch's multi-head
attention function (`fused_attention`), and softmax whose result weights values (`softmax_rule`).
Each hands an `AttentionCall` to the `AttentionRun` of its session, which proves it, finds out
which axis holds the heads, and records it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from interp.capture.arrangement import Arrangement, number_rows
from interp.capture.attention_packed import PackedMaps
from interp.capture.attention_weights import BlockedWeights, WeightBlocks
from interp.capture.mode import active
from interp.capture.modules import is_from_torch
from interp.capture.session import Place, Session, prepares
from interp.capture.tensor_tags import TensorTags, flat
from interp.capture.trails import Trail, Trails
from interp.sites import (
    ATTENTION,
    ATTENTION_SIGNALS,
    HEAD_OUTPUT,
    KEY,
    QUERY,
    VALUE,
    SiteName,
)

Watch = Callable[["AttentionRun", Callable[..., Any], tuple[Any, ...], Mapping[str, Any], Any], Any]
WATCHES: list[Watch] = []
"""What else looks at each function that ran while attention is recorded."""


def _nothing() -> None:
    return None


@dataclass
class AttentionCall:
    """One call that computes attention, in the layout in which the model makes it.

    Attributes
    ----------
    weights : Tensor or BlockedWeights
        (..., queries, keys); nobody else's, so that it is recorded without a copy.
    query, key, value : Tensor or None
        (..., queries, head_dim), (..., keys, head_dim); key and value may have fewer heads, as the
        model has them.
    result : Tensor or None
        The weighted values, (..., queries, head_dim), where the model computes them as a tensor.
    output : Tensor or None
        The tensor of the model that holds `result`, to be followed.
    as_output : callable
        Brings a tensor laid out like `result` into the layout of `output`.
    proof : callable
        Returns why the weights are not those behind what the model computed, or None.
    n_heads : int or None
        The second of two leading axes when it is certain that it holds the heads.
    batch_size : int or None
        Rows of the batch, by what the module was given, when the module may have ended since.
    has_queries : bool
        Whether the model has an axis of queries; one of length 1 stands for it otherwise.
    variant : hashable
        What else distinguishes calls that need a proof of their own.
    """

    weights: Tensor | BlockedWeights
    query: Tensor | None = None
    key: Tensor | None = None
    value: Tensor | None = None
    result: Tensor | None = None
    output: Tensor | None = None
    as_output: Callable[[Tensor], Tensor] = lambda values: values
    proof: Callable[[], str | None] = _nothing
    n_heads: int | None = None
    batch_size: int | None = None
    has_queries: bool = True
    variant: Hashable = None

    @property
    def kind(self) -> tuple[Any, ...]:
        """What calls have in common that are proven and arranged together."""
        shape = self.weights.shape
        value = self.value
        return (
            self.variant,
            len(shape),
            shape[-3] if len(shape) > 3 else None,
            None if value is None else (value.ndim, value.dtype, value.shape[-1]),
        )


class AttentionRun:
    """The attention calls of one session.

    Attributes
    ----------
    session : Session
        The session.
    tags : TensorTags
        Notes on the tensors that are followed through the model.
    seen : set of str
        Paths of modules whose attention was recorded or refused.
    called : dict of str to nn.Module
        The modules that were called and whose attention is wanted.
    weightless : set of str
        Paths of modules in which a softmax was seen that weights nothing.
    """

    def __init__(self, session: Session) -> None:
        # Weakly, as the session holds this: its maps must not wait for the collector.
        self.session: Session = weakref.proxy(session)
        self.tags = TensorTags()
        self.seen: set[str] = set()
        self.called: dict[str, nn.Module] = {}
        self.weightless: set[str] = set()
        self.said_slow = False
        self.said_unseen = False
        self.said_refused: set[str] = set()
        self.at_end: list[Callable[[], None]] = []
        self._known: dict[tuple[str, Any], Arrangement] = {}
        self._trails = Trails(self.tags)
        self._waiting: dict[Place, Trail] = {}
        self._refused: set[str] = set()

    def place(self) -> Place | None:
        """Return the innermost running module that is not one of torch's small ones."""
        for place in reversed(self.session.stack):
            if not is_from_torch(place.module) or isinstance(place.module, nn.MultiheadAttention):
                return place
        return self.session.stack[-1] if self.session.stack else None

    def wanted(self, place: Place | None) -> bool:
        """Return whether any signal of attention is wanted of a place and not refused."""
        if place is None or place.path in self._refused:
            return False
        return any(place.wants(signal) for signal in ATTENTION_SIGNALS)

    def refuse(self, place: Place, reason: str) -> None:
        """Say that the attention of a place can't be recorded; what was recorded is dropped."""
        self.seen.add(place.path)
        self._refused.add(place.path)
        for signal in ATTENTION_SIGNALS:
            name = _site(place, signal)
            if place.wants(signal):
                self.session.store.drop(name)
                self.session.refused[name] = f"{name!r} can't be recorded: {reason}."

    def capture(self, place: Place, call: AttentionCall) -> None:
        """Prove, arrange and record a call."""
        if place in self._waiting:  # calls are recorded in their order
            self._trails.end_here(self._waiting[place])
        key = place.path, call.kind
        arrangement = self._known.get(key)
        if arrangement is not None:
            self._record(place, call, arrangement)
            return
        why = call.proof()
        if why is not None:
            self.refuse(place, why)
            return
        self.seen.add(place.path)
        rows = call.batch_size or batch_size(place)
        kept = self._kept(place, call)

        def at_end(found: Arrangement | None) -> None:
            self._waiting.pop(place, None)
            arrangement = found or by_convention(place.module, kept, rows)
            if isinstance(arrangement, str):
                self.refuse(place, arrangement)
            elif self.wanted(place):
                self._known[key] = arrangement
                self._record(place, kept, arrangement)

        if call.n_heads is not None:
            at_end(Arrangement(call.n_heads))
            return
        shape = call.weights.shape if call.result is None else call.result.shape
        self._waiting[place] = trail = Trail(shape, at_end)
        numbers = None if call.result is None else call.as_output(number_rows(call.result))
        self._trails.start(trail, call.output, numbers)

    @staticmethod
    def _kept(place: Place, call: AttentionCall) -> AttentionCall:
        """Return what is wanted of a call that waits, and no other tensor.

        In copies, as the model may overwrite its tensors in the meantime.
        """

        def copied(signal: str, part: Tensor | None) -> Tensor | None:
            return None if part is None or not place.wants(signal) else part.detach().clone()

        return replace(
            call,
            weights=call.weights.kept() if isinstance(call.weights, WeightBlocks) else call.weights,
            query=copied(QUERY, call.query),
            key=copied(KEY, call.key),
            value=copied(VALUE, call.value),
            result=copied(HEAD_OUTPUT, call.result),
            output=None,
            proof=_nothing,
        )

    def watch(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
    ) -> None:
        """Follow tensors through a function that has run."""
        if self.session.stack:
            for watch in WATCHES:
                watch(self, function, args, kwargs, result)
            self._trails.follow(function, args, kwargs, result)

    def _record(self, place: Place, call: AttentionCall, arrangement: Arrangement) -> None:
        self.seen.add(place.path)
        if place.wants(ATTENTION):
            self._record_maps(place, call.weights, arrangement)
        for signal, values in ((QUERY, call.query), (HEAD_OUTPUT, call.result)):
            if values is not None and place.wants(signal):
                values = arrangement.apply(values)
                place.record(signal, values, per="call", n_heads=values.shape[1], copy=True)
        for signal, values in ((KEY, call.key), (VALUE, call.value)):
            if values is not None and place.wants(signal):
                values = arrangement.apply_to_keys(values, call.weights.shape[:-2])
                place.record(signal, values, per="call", n_heads=values.shape[1], copy=True)

    @staticmethod
    def _record_maps(
        place: Place, weights: Tensor | BlockedWeights, arrangement: Arrangement
    ) -> None:
        if isinstance(weights, PackedMaps):
            if not (arrangement.packed or place.per_step):
                place.record_packed(ATTENTION, weights.arranged(arrangement))
                return
            weights = weights.dense()
        blocks = weights if isinstance(weights, BlockedWeights) else [(0, 0, weights)]
        for first, _, block in blocks:
            maps = arrangement.apply(block)
            place.record(ATTENTION, maps, per="call", n_heads=maps.shape[1], first_query=first)

    def leave(self, place: Place) -> None:
        """Take note that a module's call has ended; with the outermost one a forward ends."""
        if place.path not in self.called and place.wants(ATTENTION):
            self.called[place.path] = place.module
        if not self.session.stack:
            self.end_forward()

    def end_forward(self) -> None:
        """Record what was waiting, and follow nothing any more."""
        with torch.no_grad():
            while self.at_end:
                self.at_end.pop(0)()
            self._trails.end_all()
        self.forget()

    def forget(self) -> None:
        """Drop what is followed, as it is after a forward that broke."""
        self.at_end.clear()
        self._trails.clear()
        self._waiting.clear()
        self.tags.clear()


def by_convention(module: nn.Module, call: AttentionCall, rows: int | None) -> Arrangement | str:
    """Return the arrangement when a model doesn't put heads side by side, or why it is unknown.

    Parameters
    ----------
    module : nn.Module
        Where the call was made.
    call : AttentionCall
        The call.
    rows : int or None
        Size of the batch, where it is known.
    """
    shape = call.weights.shape
    *leading, _, _ = shape
    n_heads = _n_heads(module)
    if not leading or (len(leading) == 1 and (leading[0] == rows or n_heads == 1)):
        return Arrangement(1)
    if len(leading) == 2 and (call.has_queries or leading[1] == n_heads):
        swapped = leading[1] == rows and leading[0] % rows > 0
        if not swapped:
            return Arrangement(leading[1])
    return (
        f"its weights have shape {tuple(shape)}, and what the model does with the result doesn't "
        "tell which axis holds the heads. Call interp.capture.name_value('attention', weights) in "
        "the model's code, with weights of shape (batch, heads, queries, keys)"
    )


def _site(place: Place, signal: str) -> str:
    return str(SiteName(place.path, signal))


def _n_heads(module: nn.Module) -> int | None:
    """Return how many heads a module says it has."""
    for name in ("num_heads", "n_heads", "num_attention_heads", "n_head", "nhead", "heads"):
        found = getattr(module, name, None)
        if isinstance(found, int) and not isinstance(found, bool):
            return found
    return None


def batch_size(place: Place) -> int | None:
    """Return the size of the batch, by the first tensor that the module was given."""
    args, kwargs = place.arguments[-1] if place.arguments else ((), {})
    for value in flat((*args, *kwargs.values())):
        if isinstance(value, Tensor) and value.ndim > 1:
            return value.shape[0 if value.ndim == 2 or place.session.batch_first else 1]
    return None


def run_of(session: Session) -> AttentionRun | None:
    """Return a session's attention calls; None when no attention is wanted."""
    return session.attached.get(ATTENTION)


@prepares
@contextmanager
def _prepare(session: Session) -> Iterator[None]:
    """Follow tensors while a session is open that wants attention."""
    wanted = any(
        session.wanted(SiteName(path, signal))
        for path in session.names.modules
        for signal in ATTENTION_SIGNALS
    )
    if not wanted:
        yield
        return
    run = session.attached[ATTENTION] = AttentionRun(session)
    active.watchers.append(run.watch)
    session.leaving.append(run.leave)
    try:
        yield
    finally:
        active.watchers.remove(run.watch)
        session.leaving.remove(run.leave)
        run.forget()
