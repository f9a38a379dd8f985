"""One run of a recorder: the hooks on the model, the stack of running modules, the records."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from interp.capture.attention_packed import PackedCall, PackedMaps
from interp.capture.hooks import Hooks
from interp.capture.mode import active
from interp.capture.modules import (
    HOOKS_ON_ALL_MODULES,
    ModuleNames,
    is_from_torch,
    offered_by,
    shows_all,
)
from interp.capture.records import Captured, Store, dtype_name
from interp.capture.steps import unpack
from interp.capture.wanted import Wanted
from interp.errors import CaptureError
from interp.sites import INPUT, OUTPUT, SiteDescription, SiteName

Preparation = Callable[["Session"], AbstractContextManager[None]]
_PREPARATIONS: list[Preparation] = []


def prepares(function: Preparation) -> Preparation:
    """Register a context manager that is entered for every session while it is open."""
    _PREPARATIONS.append(function)
    return function


TRAIN_MODE = (
    "{what} is in train mode, where dropout and batch statistics change what is recorded. "
    "Call model.eval() first, or pass Recorder(..., train_mode=True) to record it as it is."
)


class Place:
    """A module of a model while one recorder watches it; what a handler talks to.

    Attributes
    ----------
    path : str
        The module's path.
    session : Session
        The run of the recorder.
    module : nn.Module
        The module.
    per_step : bool
        Whether each call of the module is one step of a sequence.
    shows_all : bool
        Whether the module is recorded from its arguments and output, and no function inside it.
    arguments : list of (tuple, dict)
        The arguments of the calls that are running, innermost last.
    plans : dict
        What handlers found out about the place that holds for every forward.
    """

    def __init__(self, session: Session, path: str, module: nn.Module, per_step: bool) -> None:
        self.path = path
        self.module = module
        self.per_step = per_step
        self.shows_all = shows_all(module)
        self.arguments: list[tuple[tuple[Any, ...], Mapping[str, Any]]] = []
        self.session = session
        self.plans: dict[Any, Any] = {}
        self._wants: dict[tuple[str, int | None, bool], bool] = {}
        self._descriptions: dict[tuple[str, int | None, bool], SiteDescription] = {}

    def wants(self, signal: str, layer: int | None = None, reverse: bool = False) -> bool:
        """Return whether the recorder was asked for this signal of the module."""
        key = signal, layer, reverse
        if key not in self._wants:
            site = SiteName(self.path, signal, layer, reverse)
            self._wants[key] = self.session.wanted(site)
        return self._wants[key]

    def record(
        self,
        signal: str,
        values: Tensor,
        *,
        layer: int | None = None,
        reverse: bool = False,
        lengths: Tensor | None = None,
        per: str | None = None,
        copy: bool = False,
        n_heads: int | None = None,
        first_query: int = 0,
    ) -> None:
        """Record the values of one call.

        Parameters
        ----------
        signal : str
            The signal.
        values : Tensor
            (batch, steps, n_units), or the module's own shape.
        layer, reverse
            The layer and direction inside a fused recurrent module.
        lengths : Tensor, optional
            (batch,) int64, where rows have different numbers of steps.
        per : {"position", "call"}, optional
            Whether there is an axis of steps; tensors of three axes have one unless said.
        copy : bool
            Must be true for a tensor that the model's code can reach: it may change it in place.
        n_heads : int, optional
            Heads, the second axis of the values of an attention site; its third axis is the steps.
        first_query : int
            Where maps that are consumed come in blocks of queries: the first of them.
        """
        if values.requires_grad:
            values = values.detach()
        if self.per_step and n_heads is not None:
            description = self._describe(signal, layer, reverse, values, "call", n_heads)
            self.session.store.add_step(description, values.clone() if copy else values)
            return
        is_one_step = values.ndim == 3 and values.shape[1] == 1 and lengths is None
        if self.per_step and (values.ndim <= 2 or is_one_step):
            step = values[:, 0] if is_one_step else values
            self.record_step(signal, step, copy, layer, reverse)
            return
        if per is None:
            per = "position" if values.ndim == 3 else "call"
        if per == "position" and lengths is None:
            values, lengths, copy = self.session.store.trim(values, copy)
        description = self._describe(signal, layer, reverse, values, per, n_heads)
        captured = Captured(values.clone() if copy else values, lengths)
        self.session.store.add(description, captured, first_query)

    def record_packed(self, signal: str, maps: PackedMaps) -> None:
        """Record attention maps that stay packed until they are asked for."""
        description = self._describe(signal, None, False, maps, "call", maps.shape[1])
        self.session.store.add(description, PackedCall(maps))

    def record_step(
        self,
        signal: str,
        values: Tensor,
        copy: bool = False,
        layer: int | None = None,
        reverse: bool = False,
    ) -> None:
        """Record one step, (batch, n_units); the steps of a forward are stacked."""
        values = values.detach()
        step = values if values.ndim == 2 else values.reshape(1, -1)
        description = self._describe(signal, layer, reverse, step, "position")
        self.session.store.add_step(description, step.clone() if copy else step)

    def _describe(
        self,
        signal: str,
        layer: int | None,
        reverse: bool,
        values: Tensor | PackedMaps,
        per: str,
        n_heads: int | None = None,
    ) -> SiteDescription:
        key = signal, layer, reverse
        description = self._descriptions.get(key)
        if description is None:
            site = SiteName(self.path, signal, layer, reverse)
            description = self._descriptions[key] = SiteDescription(
                name=str(site),
                module=self.path,
                signal=signal,
                n_units=values.shape[-1] if values.ndim else 1,
                dtype=dtype_name(values.dtype),
                layer=layer,
                direction=site.direction,
                per=per,
                n_heads=n_heads,
            )
        return description


class Session:
    """What exists while a recorder records: hooks, stack and store, for one thread.

    Parameters
    ----------
    names : ModuleNames
        The model's modules.
    wanted : Wanted
        The sites that were asked for.
    per_step : callable
        Whether a module, by its path, is called once per step.
    train_mode : bool
        Whether a model in train mode is accepted.
    batch_first : bool
        Layout of the three-axis tensors of plain modules.
    lengths : Tensor or None
        (batch,) steps of the rows of a padded batch.
    attention : frozenset of str
        Paths of the modules that the user named as attention.

    Attributes
    ----------
    leaving : list of callable
        Each is given the place of a module whose call has ended.
    refused : dict of str to str
        Why a site that was asked for is not recorded.
    attached : dict of str to object
        What handlers keep with the session. They must not refer to it strongly: what was recorded
        is to go with the recorder, not when the collector finds a cycle.
    """

    def __init__(
        self,
        names: ModuleNames,
        wanted: Wanted,
        per_step: Callable[[str, nn.Module], bool],
        train_mode: bool = False,
        batch_first: bool = True,
        lengths: Tensor | None = None,
        attention: frozenset[str] = frozenset(),
    ) -> None:
        self.names = names
        self.wanted = wanted
        self.store = Store(lengths)
        self.stack: list[Place] = []
        self.needs_mode = wanted.handled or bool(HOOKS_ON_ALL_MODULES)
        self.attention = attention
        self.leaving: list[Callable[[Place], None]] = []
        self.refused: dict[str, str] = {}
        self.attached: dict[str, Any] = {}
        self._per_step = per_step
        self._train_mode = train_mode
        self.batch_first = batch_first
        self.thread = threading.get_ident()
        self.hooks = Hooks()
        self._resources = ExitStack()

    def open(self) -> None:
        """Put the hooks on the model and start the mode."""
        with ExitStack() as undo:
            undo.callback(self.hooks.remove)
            for path, module, is_observed in self._hooked():
                place = Place(self, path, module, self._per_step(path, module))
                is_root = path == self.names.root
                self.hooks.add(place, is_root=is_root, is_observed=is_observed)
            active.enter(self)
            undo.callback(active.leave, self)
            for preparation in _PREPARATIONS:
                undo.enter_context(preparation(self))
            self._resources = undo.pop_all()

    def close(self) -> None:
        """Take everything off again."""
        self.stack.clear()
        self._resources.close()
        self.store.end_forward()

    def _hooked(self) -> Iterator[tuple[str, nn.Module, bool]]:
        """Yield the modules that need hooks, and whether each is observed (see `Hooks.add`).

        Besides those whose input or output is wanted these are the model itself, which begins
        and ends a forward, and, when functions are handled, every module that may call one: so
        that a call is never put down to a module further out.
        """
        for path, module in self.names.modules.items():
            if module in self.wanted.unhookable:
                continue
            is_observed = self._is_observed(path, module)
            if (
                is_observed
                or path == self.names.root
                or self.wanted(SiteName(path, OUTPUT))
                or self.wanted(SiteName(path, INPUT))
                or (self.needs_mode and (not is_from_torch(module) or offered_by(module)))
            ):
                yield path, module, is_observed

    def _is_observed(self, path: str, module: nn.Module) -> bool:
        """Return whether a module is recorded from its arguments and output."""
        return shows_all(module) and any(
            self.wanted(SiteName(path, site.signal, site.layer, site.reverse))
            for site in offered_by(module)
        )

    def begin_forward(self, model: nn.Module) -> None:
        """Refuse a model in train mode, unless that was asked for."""
        if not self._train_mode and model.training:
            raise CaptureError(TRAIN_MODE.format(what="The model"))

    def record_whole(self, place: Place, signal: str, value: Any) -> None:
        """Record a module's input or output, with the batch first where the layout is known."""
        found = first_tensor(value)
        if found is None:
            return
        if isinstance(found, PackedSequence):
            values, lengths = unpack(found)
            place.record(signal, values, lengths=lengths)
            return
        recurrent = isinstance(place.module, nn.RNNBase)
        if recurrent and found.ndim == 2:
            found = found.unsqueeze(0)
        elif found.ndim == 3 and not (place.module.batch_first if recurrent else self.batch_first):
            found = found.transpose(0, 1)
        place.record(signal, found, copy=True)


def first_tensor(value: Any) -> Tensor | PackedSequence | None:
    """Return the first tensor or packed sequence inside tuples, lists and mappings."""
    if isinstance(value, Tensor | PackedSequence):
        return value
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return None
    found = (first_tensor(item) for item in value)
    return next((item for item in found if item is not None), None)
