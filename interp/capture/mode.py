"""The function mode: which torch functions are handled, and by whom.

A handler is registered for torch functions by `handles`. While a recorder is active in a thread,
one `CaptureMode` per thread sees every call of a torch function; a call that has a handler goes to
it together with the places (one per recorder) at which the call happens. Adding a family of
functions means one more file with a handler in it. What a session needs to see of all other
functions, after they ran, goes to its `watchers`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from interp.capture.session import Place, Session

Function = Callable[..., Any]
Handler = Callable[[Sequence["Place"], Function, tuple[Any, ...], Mapping[str, Any]], Any]
Watcher = Callable[[Function, tuple[Any, ...], Mapping[str, Any], Any], None]
"""Is given a function that has run, its arguments and what it returned."""
_HANDLERS: dict[Function, Handler] = {}


def handles(*functions: Function) -> Callable[[Handler], Handler]:
    """Register a handler for torch functions.

    The handler is called as ``handler(places, function, args, kwargs)`` instead of the function
    and must return what the function returns, to the bit. Inside it, torch functions are not
    intercepted.
    """

    def register(handler: Handler) -> Handler:
        _HANDLERS.update(dict.fromkeys(functions, handler))
        return handler

    return register


class CaptureMode(TorchFunctionMode):
    """Passes the functions that have a handler to it; every other one runs as it is.

    It is on the way of everything a model's code does with a tensor, so it does next to nothing.

    Parameters
    ----------
    watchers : list of callable
        Those of its thread.
    """

    def __init__(self, watchers: list[Watcher]) -> None:
        super().__init__()
        self._watchers = watchers

    def __torch_function__(
        self,
        func: Function,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        handler = _HANDLERS.get(func)
        if handler is not None and (places := active.places()):
            return handler(places, func, args, kwargs or {})
        result = func(*args, **kwargs) if kwargs else func(*args)
        for watch in self._watchers:
            watch(func, args, kwargs or {}, result)
        return result


class _Active(threading.local):
    """The sessions that are recording in this thread, outermost first.

    Several sessions share one mode: with a mode each, the outer one would see the calls that the
    inner one's handlers make.
    """

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.watchers: list[Watcher] = []
        self._mode: CaptureMode | None = None

    def enter(self, session: Session) -> None:
        """Let `session` take part, and start the mode if it is the first that needs it."""
        if session.needs_mode and self._mode is None:
            mode = CaptureMode(self.watchers)
            mode.__enter__()
            self._mode = mode
        self.sessions.append(session)

    def leave(self, session: Session) -> None:
        """Let `session` no longer take part, and end the mode with the last that needs it."""
        self.sessions.remove(session)
        if self._mode is not None and not any(other.needs_mode for other in self.sessions):
            mode, self._mode = self._mode, None
            mode.__exit__(None, None, None)

    def places(self) -> list[Place]:
        """Return where each session's model is at this moment, for those that are inside it."""
        return [session.stack[-1] for session in self.sessions if session.stack]


active = _Active()
