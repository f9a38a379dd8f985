"""Attention of any model: what becomes of one call once its weights are known.

Three kinds of calls are seen: scaled dot product attention (`dot_product`), torch's multi-head
attention function (`fused_attention`), and softmax whose result weights values (`softmax_rule`).
Each hands an `AttentionCall` to the `AttentionRun` of its session, which proves it, finds out
which axis holds the heads, and records it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from interp.capture.arrangement import (
    ELEMENTWISE,
    JOINS,
    LAYOUT,
    Arrangement,
    function_name,
    number_rows,
    read,
    replay,
)
from interp.capture.mode import active
from interp.capture.modules import is_from_torch
from interp.capture.session import Place, Session, prepares
from interp.capture.tensor_tags import TensorTags, flat
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


@dataclass
class AttentionCall:
    """One call that computes attention, in the layout in which the model makes it.

    Attributes
    ----------
    weights : Tensor
        (..., queries, keys); nobody else's, so that it is recorded without a copy.
    query, key, value : Tensor or None
        (..., queries, head_dim), (..., keys, head_dim); key and value may have fewer heads, as the
        model has them.
    result : Tensor or None
        The weighted values, (..., queries, head_dim), where the model computes them as a tensor.
    output : Tensor or None
        The tensor of the model that holds `result`, to be followed.
    as_output : callable or None
        Brings a tensor laid out like `result` into the layout of `output`.
    proof : callable
        Returns why the weights are not those behind what the model computed, or None.
    n_heads : int or None
        The second of two leading axes when it is certain that it holds the heads.
    batch_size : int or None
        Rows of the batch, by what the module was given, when the module may have ended since.
    """

    weights: Tensor
    query: Tensor | None = None
    key: Tensor | None = None
    value: Tensor | None = None
    result: Tensor | None = None
    output: Tensor | None = None
    as_output: Callable[[Tensor], Tensor] | None = None
    proof: Callable[[], str | None] = lambda: None
    n_heads: int | None = None
    batch_size: int | None = None

    @property
    def kind(self) -> tuple[Any, ...]:
        """What calls have in common that are proven and arranged together."""
        shape = self.weights.shape
        value = self.value
        return (
            len(shape),
            shape[-3] if len(shape) > 3 else None,
            None if value is None else (value.ndim, value.dtype, value.shape[-1]),
        )


@dataclass
class _Trail:
    """The note on a tensor that the result of a call has become."""

    numbers: Tensor
    pending: _Pending


@dataclass
class _Pending:
    """A call that is recorded when it is known where its heads go."""

    place: Place
    call: AttentionCall
    shape: Sequence[int]
    batch_size: int | None
    is_open: bool = True


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
        self.session = session
        self.tags = TensorTags()
        self.seen: set[str] = set()
        self.called: dict[str, nn.Module] = {}
        self.weightless: set[str] = set()
        self.said_slow = False
        self.said_unseen = False
        self.said_refused: set[str] = set()
        self.at_end: list[Callable[[], None]] = []
        self._known: dict[tuple[str, Any], Arrangement] = {}
        self._pending: list[_Pending] = []

    def place(self) -> Place | None:
        """Return the innermost running module that is not one of torch's small ones."""
        for place in reversed(self.session.stack):
            if not is_from_torch(place.module) or isinstance(place.module, nn.MultiheadAttention):
                return place
        return self.session.stack[-1] if self.session.stack else None

    def wanted(self, place: Place | None) -> bool:
        """Return whether any signal of attention is wanted of a place and not refused."""
        if place is None or _site(place, ATTENTION) in self.session.refused:
            return False
        return any(place.wants(signal) for signal in ATTENTION_SIGNALS)

    def refuse(self, place: Place, reason: str) -> None:
        """Say that the attention of a place can't be recorded; what was recorded is dropped."""
        self.seen.add(place.path)
        for signal in ATTENTION_SIGNALS:
            name = _site(place, signal)
            if place.wants(signal):
                self.session.store.drop(name)
                self.session.refused[name] = f"{name!r} can't be recorded: {reason}."

    def capture(self, place: Place, call: AttentionCall) -> None:
        """Prove, arrange and record a call."""
        key = place.path, call.kind
        arrangement = self._known.get(key)
        if arrangement is not None:
            self._record(place, call, arrangement)
            return
        why = call.proof()
        if why is not None:
            self.refuse(place, why)
            return
        if call.n_heads is not None:
            self._known[key] = Arrangement(call.n_heads)
            self._record(place, call, self._known[key])
            return
        self.seen.add(place.path)
        for pending in self._pending:
            if pending.place is place:
                self._settle(pending, None)
        shape = call.weights.shape if call.result is None else call.result.shape
        pending = _Pending(place, call, shape, call.batch_size or batch_size(place))
        self._pending.append(pending)
        if call.output is not None and call.result is not None:
            numbers = number_rows(call.result)
            if call.as_output is not None:
                numbers = call.as_output(numbers)
            self.tags[call.output] = _Trail(numbers, pending)

    def watch(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any, result: Any
    ) -> None:
        """Follow tensors through a function that has run."""
        if not self.session.stack:
            return
        for watch in WATCHES:
            watch(self, function, args, kwargs, result)
        if not self._pending:
            return
        trails = [
            note
            for _, note in self.tags.among((*args, *kwargs.values()))
            if isinstance(note, _Trail) and note.pending.is_open
        ]
        if trails:
            with torch.no_grad():
                if function_name(function) in JOINS and len({t.pending.place for t in trails}) > 1:
                    for trail in trails:
                        self._settle(trail.pending, trail.numbers)
                    return
                self._follow(trails[0], function, args, kwargs, result)

    def _follow(
        self,
        trail: _Trail,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Any,
        result: Any,
    ) -> None:
        tensors = [value for value in flat((result,)) if isinstance(value, Tensor)]
        name = function_name(function)
        if not tensors:
            return
        if name in ELEMENTWISE and tensors[0].shape == trail.numbers.shape:
            self.tags[tensors[0]] = trail
        elif name in LAYOUT and not (name in JOINS and self._has_others(trail, args, kwargs)):
            moved = replay(function, args, kwargs, self._stand_in(trail.pending))
            parts = [part for part in flat((moved,)) if isinstance(part, Tensor)]
            if [part.shape for part in parts] != [tensor.shape for tensor in tensors]:
                self._settle(trail.pending, None)
                return
            for tensor, part in zip(tensors, parts, strict=True):
                self.tags[tensor] = _Trail(part, trail.pending)
        else:
            self._settle(trail.pending, trail.numbers)

    def _has_others(self, trail: _Trail, args: tuple[Any, ...], kwargs: Any) -> bool:
        """Return whether tensors that a call did not lead to are among the arguments."""
        tensors = [x for x in flat((*args, *kwargs.values())) if isinstance(x, Tensor)]
        notes = map(self.tags.get, tensors)
        return not all(isinstance(n, _Trail) and n.pending is trail.pending for n in notes)

    def _stand_in(self, pending: _Pending) -> Callable[[Any], Any]:
        def stand_in(value: Any) -> Any:
            note = self.tags.get(value)
            if isinstance(note, _Trail) and note.pending is pending:
                return note.numbers
            return value

        return stand_in

    def _settle(self, pending: _Pending, numbers: Tensor | None) -> None:
        """Record a call that had to wait, now that its result is used."""
        if not pending.is_open:
            return
        pending.is_open = False
        self._pending.remove(pending)
        found = None if numbers is None else read(numbers, pending.shape)
        place, call = pending.place, pending.call
        arrangement = found or _by_convention(pending)
        if isinstance(arrangement, str):
            self.refuse(place, arrangement)
        elif self.wanted(place):
            self._known[place.path, call.kind] = arrangement
            self._record(place, call, arrangement)

    def _record(self, place: Place, call: AttentionCall, arrangement: Arrangement) -> None:
        self.seen.add(place.path)
        if place.wants(ATTENTION):
            weights = arrangement.apply(call.weights)
            place.record(ATTENTION, weights, per="call", n_heads=weights.shape[1])
        for signal, values in ((QUERY, call.query), (HEAD_OUTPUT, call.result)):
            if values is not None and place.wants(signal):
                values = arrangement.apply(values)
                place.record(signal, values, per="call", n_heads=values.shape[1], copy=True)
        for signal, values in ((KEY, call.key), (VALUE, call.value)):
            if values is not None and place.wants(signal):
                if values.ndim == 3:
                    values = arrangement.apply(values)
                place.record(signal, values, per="call", n_heads=values.shape[1], copy=True)

    def leave(self, place: Place) -> None:
        """Take note that a module's call has ended; with the outermost one a forward ends."""
        if place.path not in self.called and place.wants(ATTENTION):
            self.called[place.path] = place.module
        if not self.session.stack:
            self.end_forward()

    def end_forward(self) -> None:
        """Record what was waiting, and follow nothing any more."""
        with torch.no_grad():
            for pending in list(self._pending):
                self._settle(pending, None)
            while self.at_end:
                self.at_end.pop(0)()
        self.tags.clear()


def _by_convention(pending: _Pending) -> Arrangement | str:
    """Return the arrangement when a model doesn't put heads side by side, or why it is unknown."""
    shape = pending.call.weights.shape
    *leading, _, _ = shape
    if len(leading) == 2:
        return Arrangement(leading[1])
    if not leading or (
        len(leading) == 1
        and (leading[0] == pending.batch_size or _n_heads(pending.place.module) == 1)
    ):
        return Arrangement(1)
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


_runs: weakref.WeakKeyDictionary[Session, AttentionRun] = weakref.WeakKeyDictionary()


def run_of(session: Session) -> AttentionRun | None:
    """Return a session's attention calls; None when no attention is wanted."""
    return _runs.get(session)


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
    run = _runs[session] = AttentionRun(session)
    active.watchers.append(run.watch)
    session.leaving.append(run.leave)
    try:
        yield
    finally:
        active.watchers.remove(run.watch)
        session.leaving.remove(run.leave)
        run.tags.clear()
