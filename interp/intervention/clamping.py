"""A model under clamps: the hooks and the function mode, on while the context lasts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from interp.capture.fused_attention import without_fast_path
from interp.capture.mode import Function, active
from interp.capture.modules import ModuleNames
from interp.capture.recurrent import SIGNALS_OF, Call
from interp.capture.session import first_tensor
from interp.capture.single_layer import derives
from interp.capture.softmax_rule import SOFTMAXES
from interp.errors import CaptureError, SiteError
from interp.intervention import heads
from interp.intervention.clamps import Clamp, Entries
from interp.intervention.outputs import with_units
from interp.intervention.recurrence import (
    CELL_FUNCTIONS,
    as_computed,
    run_cell_clamped,
    run_clamped,
)
from interp.intervention.targets import Target, find_targets
from interp.sites import HEAD_OUTPUT


class Clamped:
    """Holds units of a model at given values while it runs; a context manager.

    Hidden states, cells and gates are clamped inside the recurrence: layers with a clamp run step
    by step, and the clamped value is what the rest of the step and the next step see. The output
    of any module is clamped where it leaves the module. Heads are replaced before the output
    projection.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    clamps : sequence of Clamp
        No two of them for the same entry of the same row.
    batch_first : bool
        Layout of the three-axis outputs of modules that don't say it themselves, as of `Recorder`.

    Raises
    ------
    SiteError
        When a site doesn't exist or can't be clamped; at the end, when one never fired.
    SelectionError
        When a site has no such unit, or a batch no such row; when values for each step are not as
        many as the steps.
    CaptureError
        When the model is in train mode; when gates or cells of a clamped layer, or outputs of
        clamped heads, are being recorded; when a clamp around this one holds the same layer.

    Examples
    --------
    >>> import torch
    >>> from interp.intervention import Clamp, Clamped
    >>> model = torch.nn.LSTM(3, 4, batch_first=True).eval()
    >>> with torch.no_grad(), Clamped(model, [Clamp("lstm/l0/hidden", (2,), 0.5)]):
    ...     output, _ = model(torch.randn(2, 5, 3))
    >>> output[..., 2].unique()
    tensor([0.5000])
    """

    def __init__(
        self, model: nn.Module, clamps: Sequence[Clamp], *, batch_first: bool = True
    ) -> None:
        if not isinstance(model, nn.Module):
            raise CaptureError(f"A clamp needs a torch.nn.Module, not {type(model).__name__}.")
        self._names = ModuleNames(model)
        self._targets: Mapping[str, Target] = find_targets(self._names, clamps)
        self._fired: set[str] = set()
        self._stack: list[tuple[str, tuple[Any, ...]]] = []
        self._n_rows = 0
        self._batch_first = batch_first
        self._n_steps: Counter[str] = Counter()
        self._thread = 0
        self._resources = ExitStack()
        self._model = model

    def __enter__(self) -> Clamped:
        if self._model.training:
            raise CaptureError("The model is in train mode; call model.eval() before a clamp.")
        self._thread, self._fired = threading.get_ident(), set()
        self._n_steps.clear()
        self._refuse_another()
        with ExitStack() as undo:
            _open.clamps.append(self)
            undo.callback(_open.clamps.remove, self)
            everywhere = any(target.heads for target in self._targets.values())
            for path, module in self._names.modules.items():
                if everywhere or path in self._targets or path == self._names.root:
                    for handle in self._hook(path, module):
                        undo.callback(handle.remove)
            if everywhere:
                undo.enter_context(without_fast_path())
            for session in active.sessions:
                session.hooks.go_last()  # what the clamp leaves is what the module returns
            undo.enter_context(_ClampMode(self))
            self._resources = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.clear()
        self._resources.close()
        unfired = [site for t in self._targets.values() for site in t.sites() - self._fired]
        if kind is None and unfired:
            raise SiteError(
                f"{sorted(unfired)[0]} was never clamped: its module was not called inside the "
                "clamp, or computes in a way that isn't seen (docs/ablation.md)."
            )

    def _refuse_another(self) -> None:
        """Refuse a recurrent layer that a clamp around this one holds: one runs its steps."""
        modules = self._names.modules
        mine = {modules[path]: t for path, t in self._targets.items() if t.signals}
        for other in _open.clamps:
            for path, target in other._targets.items():
                if target.signals and (own := mine.get(other._names.modules[path])):
                    raise CaptureError(
                        f"{sorted(own.sites())[0]} is clamped inside a recurrent layer of which a "
                        f"clamp around it holds {sorted(target.sites())[0]}; give both to one "
                        "Clamped."
                    )

    def _hook(self, path: str, module: nn.Module) -> tuple[Any, Any]:
        is_root = path == self._names.root

        # Of other threads, and of copies of the module, see `interp.capture.hooks`.
        def before(own: nn.Module, *given: Any) -> None:
            if threading.get_ident() != self._thread or own is not module:
                return
            args, kwargs = given
            if is_root and not self._stack:
                self._n_steps.clear()
                found = first_tensor((args, kwargs))
                self._n_rows = len(found) if isinstance(found, Tensor) and found.ndim else 0
            self._stack.append((path, (args, kwargs)))

        def after(own: nn.Module, args: Any, *given: Any) -> Any:
            if threading.get_ident() != self._thread or own is not module or not self._stack:
                return None
            while self._stack.pop()[0] != path:
                pass  # left behind by an exception that no hook saw
            clamps = self._targets[path].outputs if path in self._targets else []
            if not clamps:
                return None
            self._fired.add(clamps[0].site)
            return with_units(given[-1], clamps, module, self._batch_first)

        return (
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after, with_kwargs=True, always_call=True),
        )

    def here(self) -> Target | None:
        """Return what is clamped in the module that is running."""
        if threading.get_ident() != self._thread or not self._stack:
            return None
        return self._targets.get(self._stack[-1][0])

    def run_recurrent(self, target: Target, function: Function, args: tuple[Any, ...]) -> Any:
        """Run a fused recurrent function with the clamps of a module."""
        _refuse_recorder(target)
        given, named = self._stack[-1][1]
        call = Call.bind(function, args, (*given, *named.values()))
        if torch.is_autocast_enabled(call.data.device.type):
            call = as_computed(call)
        order = call.order.unsorted_indices
        n_rows = call.state[0].shape[1]
        entries: dict[tuple[int, bool], dict[str, Entries]] = {}
        for (layer, reverse, signal), clamps in target.signals.items():
            found = Entries.of(clamps, call.data, n_rows)
            found.check_steps(call.n_steps)
            found = found if order is None else found.reordered(order)
            entries.setdefault((layer or 0, reverse), {})[signal] = found
            self._fired.add(clamps[0].site)
        with torch.autocast(call.data.device.type, enabled=False):
            return run_clamped(call, entries)

    def run_cell(
        self, target: Target, function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Run a cell function with the clamps of a module."""
        _refuse_recorder(target)
        names = ("input", "hx", "w_ih", "w_hh", "b_ih", "b_hh")
        named = dict(zip(names, args, strict=False)) | dict(kwargs)
        is_lstm = function is torch.lstm_cell
        state = tuple(named["hx"]) if is_lstm else (named["hx"],)
        data, flat = named["input"], [named.get(name) for name in names[2:]]
        if torch.is_autocast_enabled(data.device.type):
            with torch.no_grad():
                result = function(*args, **kwargs)
            dtype = (result[0] if is_lstm else result).dtype
            data, state = data.to(dtype), tuple(part.to(dtype) for part in state)
            flat = [None if part is None else part.to(dtype) for part in flat]
        entries = {}
        for (_, _, signal), clamps in target.signals.items():
            entries[signal] = Entries.of(clamps, data, len(data))
            self._fired.add(clamps[0].site)
        path = self._stack[-1][0]
        step, self._n_steps[path] = self._n_steps[path], self._n_steps[path] + 1
        with torch.autocast(data.device.type, enabled=False):
            found = run_cell_clamped(function, data, state, flat, entries, step)
        return found if is_lstm else found[0]

    def run_attention(
        self, target: Target, function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Run a function that may be attention with the heads of a module replaced."""
        result, applied = heads.HANDLERS[function](
            target.heads, self._n_rows, function, args, kwargs
        )
        if applied and function not in SOFTMAXES:
            _refuse_recorder_of_heads(target)
        if applied:
            self._fired.update(clamp.site for clamp in target.heads)
        return result


class _ClampMode(TorchFunctionMode):
    """Hands the functions that are clamped to a `Clamped`; every other one runs as it is."""

    def __init__(self, clamped: Clamped) -> None:
        super().__init__()
        self._clamped = clamped

    def __torch_function__(
        self,
        func: Function,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        target = None
        if func in _CLAMPED:
            target = self._clamped.here()
        if target is not None:
            if func in SIGNALS_OF and target.signals:
                return self._clamped.run_recurrent(target, func, args)
            if func in CELL_FUNCTIONS and target.signals:
                return self._clamped.run_cell(target, func, args, kwargs)
            if func in heads.HANDLERS and target.heads:
                return self._clamped.run_attention(target, func, args, kwargs)
        return func(*args, **kwargs)


_CLAMPED = {*SIGNALS_OF, *CELL_FUNCTIONS, *heads.HANDLERS}


def _refuse_recorder(target: Target) -> None:
    if any(place.session.needs_mode or derives(place) for place in active.places()):
        raise CaptureError(
            f"{sorted(target.sites())[0]} is clamped inside a recurrent layer while a recorder "
            "asks for more than outputs of modules; cells and gates are derived from an "
            "unclamped recurrence. Record sites that end in /output, or without the clamp."
        )


def _refuse_recorder_of_heads(target: Target) -> None:
    if any(place.wants(HEAD_OUTPUT) for place in active.places()):
        raise CaptureError(
            f"{target.heads[0].site} is clamped while a recorder asks for {HEAD_OUTPUT} of that "
            "module, which it would see unclamped. Record other sites, or without the clamp."
        )


class _Open(threading.local):
    """The clamps that are on in this thread, outermost first."""

    def __init__(self) -> None:
        self.clamps: list[Clamped] = []


_open = _Open()
