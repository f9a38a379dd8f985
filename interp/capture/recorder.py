"""The recorder: what a user holds while a model runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any

import torch
from torch import Tensor, nn

import interp.capture.cells
import interp.capture.dot_product
import interp.capture.fused_attention
import interp.capture.recurrent
import interp.capture.single_layer
import interp.capture.softmax_rule  # noqa: F401  (these register their handlers)
from interp.capture.attention_report import report
from interp.capture.modules import ModuleNames
from interp.capture.records import Call, Captured, Consume, Store
from interp.capture.session import TRAIN_MODE, Session
from interp.capture.wanted import Wanted
from interp.errors import CaptureError, SiteError, unknown_name
from interp.sites import SiteDescription, SiteName, compile_pattern


class Recorder:
    """Records what happens at some sites of a model while it runs; a context manager.

    The model's outputs are bitwise what they are without a recorder. Hooks and modes exist inside
    the ``with`` block only and are gone however it ends. What the block recorded stays readable
    until the next one begins.

    Parameters
    ----------
    model : nn.Module
        Any module, in eval mode.
    sites : str or iterable of str
        Names of sites, or patterns: ``*`` and ``**`` stand for any run of characters.
    train_mode : bool
        Accept a model in train mode.
    inputs : bool
        Whether a pattern with stars covers the ``input`` of modules. A name or pattern that ends
        in ``/input`` always does.
    steps : str or iterable of str
        Modules (by path or pattern) that the model calls once per step of a sequence, such as a
        hand-written cell. What they and the modules inside them record is stacked to
        (batch, steps, n_units). torch's own cells need not be named.
    batch_first : bool
        Layout of the three-axis inputs and outputs of modules that don't say it themselves. With
        False their first two axes are swapped.
    lengths : Tensor, optional
        (batch,) steps of each row of a padded batch; values past them are recorded as 0.
    attention : str or iterable of str
        Modules (by path or pattern) in which every softmax over the last axis is attention,
        also where it isn't seen to weight values. Few models need it; see `docs/attention.md`.
    consume : callable, optional
        ``consume(site, weights, first_query)`` takes the maps of attention sites as they are
        made, (batch, n_heads, queries, keys), so that one layer's are in memory at a time; the
        recorder holds none of them then.

    Raises
    ------
    SiteError
        When a site doesn't exist; the message has the nearest names.
    CaptureError
        When the model is in train mode, or a module can't be hooked.

    Examples
    --------
    >>> import torch
    >>> from interp.capture import Recorder
    >>> model = torch.nn.LSTM(3, 4, batch_first=True).eval()
    >>> with Recorder(model, sites=["**/cell"]) as recorder:
    ...     _ = model(torch.randn(2, 5, 3))
    >>> recorder["lstm/l0/cell"].shape
    torch.Size([2, 5, 4])
    """

    def __init__(
        self,
        model: nn.Module,
        sites: Iterable[str] | str,
        *,
        train_mode: bool = False,
        inputs: bool = False,
        steps: Iterable[str] | str = (),
        batch_first: bool = True,
        lengths: Tensor | None = None,
        attention: Iterable[str] | str = (),
        consume: Consume | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise CaptureError(f"A recorder needs a torch.nn.Module, not {type(model).__name__}.")
        self.model = model
        self._train_mode = train_mode
        self._batch_first = batch_first
        self._names = ModuleNames(model)
        self._wanted = Wanted(self._names, sites, inputs)
        self._steps = _StepModules(self._names, steps)
        self._attention = _named_modules(self._names, attention)
        self._lengths = _as_lengths(lengths)
        self._consume = consume
        self._session: Session | None = None
        self._is_open = False
        self._order: list[str] = []

    def __enter__(self) -> Recorder:
        if self._is_open:
            raise CaptureError("This recorder is recording already; use a second one to nest.")
        if not self._train_mode:
            self._check_eval()
        session = Session(
            self._names,
            self._wanted,
            self._steps,
            self._train_mode,
            self._batch_first,
            self._lengths,
            self._attention,
        )
        session.store.consume = self._consume
        session.open()
        self._session, self._is_open, self._order = session, True, []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        self._opened().close()
        if kind is None and (not self._order or len(self._order) != len(self._settled())):
            self._check_fired()

    @property
    def sites(self) -> Mapping[str, SiteDescription]:
        """The sites that fired, by name, in model order."""
        found = sorted(
            self._opened().store.descriptions(),
            key=lambda site: self._names.order(SiteName.parse(site.name)),
        )
        return MappingProxyType({site.name: site for site in found})

    def __getitem__(self, site: str) -> Tensor:
        """Return the values of a site that was called once.

        Returns
        -------
        Tensor
            On the CPU, batch first: (batch, steps, n_units), zero past the end of shorter rows;
            the module's own shape where there is no axis of steps.

        Raises
        ------
        SiteError
            When the site didn't fire.
        CaptureError
            When it was called several times; `calls` has the list then.
        """
        return self._settled().single(self._fired(site)).values.cpu()

    def calls(self, site: str) -> list[Tensor]:
        """Return the values of a site, one tensor per call, in order."""
        return [call.values.cpu() for call in self._settled().calls(self._fired(site))]

    def lengths(self, site: str) -> Tensor:
        """Return the steps of each row, (batch,) int64."""
        captured = self._settled().single(self._fired(site))
        if captured.lengths is not None:
            return captured.lengths.cpu()
        if captured.values.ndim < 3:
            raise CaptureError(f"{site!r} has no axis of steps; its values are {_shape(captured)}.")
        n_rows, n_steps = captured.values.shape[:2]
        return torch.full((n_rows,), n_steps, device="cpu")

    def take(self) -> dict[str, Captured]:
        """Return what was recorded since the last `take`, and forget it.

        Meant to be called after each run of the model when there are many.

        Returns
        -------
        dict of str to Captured
            In model order; tensors are detached and stay on the model's device.

        Raises
        ------
        SiteError
            When something that was asked for never fired.
        CaptureError
            When a site was called several times since the last `take`.
        """
        store = self._settled()
        if len(self._order) != len(store):
            self._order = self._check_fired()
        taken = store.take()
        return {name: taken[name] for name in self._order if name in taken}

    def set_lengths(self, lengths: Tensor | None) -> None:
        """Give the steps of each row, (batch,), of the padded batches that follow."""
        self._lengths = _as_lengths(lengths)
        if self._session is not None:
            self._settled().lengths = self._lengths

    def _opened(self) -> Session:
        if self._session is None:
            raise CaptureError("Nothing is recorded yet: run the model inside `with recorder:`.")
        return self._session

    def _settled(self) -> Store:
        store = self._opened().store
        store.end_forward()
        return store

    def _check_fired(self) -> list[str]:
        """Return the sites that fired; refuse or warn where something asked for is missing."""
        self._settled()
        report(self._opened())
        fired = list(self.sites)
        self._wanted.check_fired(fired)
        return fired

    def _fired(self, site: str) -> str:
        name = self._wanted.canonical(site)
        if name in self._opened().refused:
            raise CaptureError(self._opened().refused[name])
        if name not in self._opened().store:
            hint = "These sites fired; name others in sites=[...] when making the recorder."
            raise SiteError(unknown_name("recorded site", site, self.sites, hint))
        return name

    def _check_eval(self) -> None:
        for path, module in self._names.modules.items():
            if module.training:
                what = "The model" if module is self.model else f"Its module {path!r}"
                raise CaptureError(TRAIN_MODE.format(what=what))


class _StepModules:
    """Tells which modules are called once per step."""

    def __init__(self, names: ModuleNames, patterns: Iterable[str] | str) -> None:
        self._paths = _named_modules(names, patterns)
        self._all = names.root in self._paths

    def __call__(self, path: str, module: nn.Module) -> bool:
        return (
            self._all
            or isinstance(module, nn.RNNCellBase)
            or any(path == own or path.startswith(f"{own}.") for own in self._paths)
        )


def _named_modules(names: ModuleNames, patterns: Iterable[str] | str) -> frozenset[str]:
    """Return the paths of the modules that patterns match, or refuse."""
    paths: set[str] = set()
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        match = compile_pattern(names.canonical(pattern)).fullmatch
        found = [path for path in names.modules if match(path)]
        if not found:
            raise SiteError(unknown_name("module", pattern, names.modules))
        paths.update(found)
    return frozenset(paths)


def _as_lengths(lengths: Tensor | None) -> Tensor | None:
    return None if lengths is None else torch.as_tensor(lengths, dtype=torch.int64, device="cpu")


def _shape(captured: Call) -> str:
    return str(tuple(captured.values.shape))


def list_sites(model: nn.Module, forward: Callable[[], Any]) -> dict[str, SiteDescription]:
    """Run a model once and return everything that can be recorded of it.

    Parameters
    ----------
    model : nn.Module
        The model.
    forward : callable
        Runs the model, without arguments.

    Returns
    -------
    dict of str to SiteDescription
        In model order. The ``input`` of modules isn't listed; every module has one.
    """
    with Recorder(model, sites="**", train_mode=True) as recorder:
        forward()
    return dict(recorder.sites)
