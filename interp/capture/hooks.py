"""The hooks of a recorder on the modules of a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn
from torch.utils.hooks import RemovableHandle

from interp.capture.modules import HOOKS_ON_ALL_MODULES
from interp.errors import CaptureError
from interp.sites import INPUT, OUTPUT

if TYPE_CHECKING:
    from interp.capture.session import Place

Observer = Callable[["Place", tuple[Any, ...], Mapping[str, Any], Any], None]
_OBSERVERS: list[Observer] = []


def observes(function: Observer) -> Observer:
    """Register what records a module of which `shows_all` is true.

    It is called as ``observer(place, args, kwargs, output)`` when the module has returned.
    """
    _OBSERVERS.append(function)
    return function


class Hooks:
    """Hooks that are on modules until `remove`."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []
        self._at_end: list[tuple[nn.Module, Callable[..., None]]] = []
        self._last: list[RemovableHandle] = []

    def add(self, place: Place, *, is_root: bool, is_observed: bool) -> None:
        """Put hooks on the module of a place.

        Parameters
        ----------
        place : Place
            The place.
        is_root : bool
            Whether the module is the model itself, which begins and ends a forward.
        is_observed : bool
            Whether observers are to be shown what the module itself has returned.
        """
        module, hooks = place.module, _hooks(place, is_root, is_observed)
        self._handles.append(module.register_forward_pre_hook(hooks.before, with_kwargs=True))
        if is_observed:
            # ahead of hooks of the user's, which may change what the module returns
            self._handles.append(
                module.register_forward_hook(hooks.first, prepend=True, with_kwargs=True)
            )
        self._at_end.append((module, hooks.after))
        self._put_last(module, hooks.after)

    def go_last(self) -> None:
        """Let outputs be recorded after hooks that were added since, such as those of a clamp."""
        for handle in self._last:
            handle.remove()
        self._last.clear()
        for module, after in self._at_end:
            self._put_last(module, after)

    def remove(self) -> None:
        """Take all hooks off."""
        for handle in (*self._handles, *self._last):
            handle.remove()
        # They refer to the session, and it to them: what was recorded would wait for the collector.
        self._handles, self._at_end, self._last = [], [], []

    def _put_last(self, module: nn.Module, after: Callable[..., None]) -> None:
        self._last.append(module.register_forward_hook(after, with_kwargs=True, always_call=True))


class _Hooked(NamedTuple):
    before: Callable[..., None]
    first: Callable[..., None]
    after: Callable[..., None]


def _hooks(place: Place, is_root: bool, is_observed: bool) -> _Hooked:
    """Return the hooks of a place.

    They do nothing for other threads: where one takes its hooks off a shared module while this one
    runs it, torch calls them once more, and without keyword arguments. Nor do they for a copy of
    the module that was made while they were on it.
    """
    session, own = place.session, place.module
    stack, leaving, thread, this_thread = (
        session.stack, session.leaving, session.thread, threading.get_ident,
    )  # fmt: skip
    everywhere = HOOKS_ON_ALL_MODULES
    wants_input, wants_output = place.wants(INPUT), place.wants(OUTPUT)

    def before(module: nn.Module, *given: Any) -> None:
        if this_thread() != thread or module is not own:
            return
        if is_observed and (everywhere or next(iter(own._forward_hooks.values())) is not first):
            _check_that_first_is_first(place, first)
        if is_root:
            session.begin_forward(module)
        if wants_input:
            session.record_whole(place, INPUT, given)
        place.arguments.append(given)
        stack.append(place)

    def first(module: nn.Module, args: Any, *given: Any) -> None:
        if this_thread() == thread and module is own:
            for observe in _OBSERVERS:
                observe(place, args, *given)

    def after(module: nn.Module, args: Any, *given: Any) -> None:
        if this_thread() != thread or place not in stack or module is not own:
            return
        while stack.pop() is not place:
            pass  # left behind by an exception that no hook saw
        place.arguments.pop()
        for leave in leaving:
            leave(place)
        if wants_output:
            session.record_whole(place, OUTPUT, given[-1])
        if is_root and not place.per_step and not stack:
            session.store.end_forward()

    return _Hooked(before, first, after)


def _check_that_first_is_first(place: Place, first: Callable[..., None]) -> None:
    """Refuse where another hook would see, and could change, the output before `first` does."""
    ahead = takewhile(lambda hook: hook is not first, place.module._forward_hooks.values())
    if HOOKS_ON_ALL_MODULES or any(not _is_ours(hook) for hook in ahead):
        raise CaptureError(
            f"A forward hook was put ahead of the recorder's on {place.path!r} (by prepend=True, "
            "or on all modules) after the recorder was opened, and may change what is recorded. "
            "Register it before the recorder is opened."
        )


def _is_ours(hook: Any) -> bool:
    return getattr(hook, "__module__", None) == __name__  # a recorder's inside this one
