"""Finding the windows of a model that attends within windows of an image.

Which patch stands at which place of which window is not told from names: the module is called again
with some of its patches changed, and the places whose values change hold these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interp.capture import Recorder
from interp.errors import CaptureError, InterpError
from interp.extraction.windows import MASKED_WEIGHT, Windows, groups_of
from interp.sites import ATTENTION, QUERY, VALUE, SiteDescription, SiteName

#: Random sets of patches by which places that were found are checked.
_CHECKS = 3
#: A value has changed if it did by more than this part of the largest change.
_LEAST_CHANGE = 1e-4


def find_windows(
    model: nn.Module,
    run: Callable[[], object],
    sites: Mapping[str, SiteDescription],
    shapes: Mapping[str, tuple[int, ...]],
    n_rows: int,
    n_fed: Mapping[str, int],
) -> tuple[dict[str, Windows], dict[str, str]]:
    """Return where the windows of sites lie, and why of others that can't be told.

    Parameters
    ----------
    model : nn.Module
    run : callable
        Runs it once, on a batch of `n_rows` images.
    sites : mapping of str to SiteDescription
        Of attention, its queries, keys, values or head outputs, in windows.
    shapes : mapping of str to tuple of int
        (n_rows · windows, n_heads, size, ...) of each.
    n_rows : int
    n_fed : mapping of str to int
        Patches of each stream.

    Returns
    -------
    found : dict of str to Windows
    why : dict of str to str
        What is wrong, for a message, with the others.
    """
    if not sites:
        return {}, {}
    inputs = _inputs_of(model, run, {site.module for site in sites.values()}, n_rows, n_fed)
    by_module: dict[tuple[str, int, int], Windows | str] = {}
    known: list[Windows] = []
    found, why = {}, {}
    for name, site in sites.items():
        n_windows, size = shapes[name][0] // n_rows, shapes[name][2]
        key = site.module, n_windows, size
        if key not in by_module:
            by_module[key] = _windows_of(site.module, n_windows, size, inputs, known)
        windows = by_module[key]
        if isinstance(windows, str):
            why[name] = windows
        else:
            found[name] = windows
    return found, why


def _windows_of(
    path: str, n_windows: int, size: int, inputs: Mapping[str, list[_Input]], known: list[Windows]
) -> Windows | str:
    """Return the windows of one module, or why they can't be told."""
    given = [one for outer in _outwards(path) for one in inputs.get(outer, ())]
    if not given:
        return (
            "no module around it is given rows of patches that the adapter knows; if the model "
            "merges patches, the adapter's `coarser` says which there are then"
        )
    why = (
        f"{n_windows} windows of {size} have other places than the {given[0].n_patches} patches of "
        "the image: windows that overlap, or that the image does not fill, are no patches"
    )
    # From the inside to the outside: farther out a query depends on more than its patch.
    for one in given:
        if one.n_patches != n_windows * size:
            continue
        why = "its places hold no single patches of the image, each of them once"
        try:
            probe = _Probe(one, path)
            places = _places(probe, size, known)
        except InterpError as error:
            why = str(error)
            continue
        if places is not None and np.array_equal(np.sort(places), np.arange(one.n_patches)):
            known.append(Windows(one.stream, size, places, groups_of(probe.seen)))
            return known[-1]
    return why


def _places(probe: _Probe, size: int, known: list[Windows]) -> np.ndarray | None:
    """Return the patch at each place; that of an earlier site where it is the same."""
    earlier = (other.places for other in known if other.size == size)
    same = next((places for places in earlier if probe.agrees(places)), None)
    return probe.places() if same is None else same


@dataclass
class _Input:
    """What a module was given: rows of patches, with axes (batch, positions..., channels)."""

    path: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    at: int | str
    stream: str
    n_patches: int
    channels_first: bool

    @property
    def patches(self) -> Tensor:
        """The tensor that holds the patches."""
        found: Tensor = self.args[self.at] if isinstance(self.at, int) else self.kwargs[self.at]
        return found

    def changed(self, patches: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with other patches."""
        if isinstance(self.at, str):
            return self.args, self.kwargs | {self.at: patches}
        return (*self.args[: self.at], patches, *self.args[self.at + 1 :]), self.kwargs


def _inputs_of(
    model: nn.Module,
    run: Callable[[], object],
    paths: set[str],
    n_rows: int,
    n_fed: Mapping[str, int],
) -> dict[str, list[_Input]]:
    """Return what the modules around some modules are given, where it is rows of patches."""
    modules = dict(model.named_modules(remove_duplicate=False))
    found: dict[str, list[_Input]] = {}
    hooks = []
    try:
        for path in {outer for inner in paths for outer in _outwards(inner)} & modules.keys():

            def note(
                module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], path: str = path
            ) -> None:
                if path not in found:
                    found[path] = list(_read(path, module, args, kwargs, n_rows, n_fed))

            hooks.append(modules[path].register_forward_pre_hook(note, with_kwargs=True))
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _read(
    path: str,
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    n_rows: int,
    n_fed: Mapping[str, int],
) -> Iterator[_Input]:
    """Yield what a module is given, wherever it may be rows of patches of a stream."""
    streams = {n: stream for stream, n in n_fed.items()}
    parts: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    for at, part in parts:
        if not isinstance(part, Tensor) or not part.is_floating_point() or len(part) != n_rows:
            continue
        shape = tuple(part.shape)
        readings = {3: [(shape[1:2], False)], 4: [(shape[1:3], False), (shape[2:4], True)]}
        for sides, channels_first in readings.get(part.ndim, []):
            n = int(np.prod(sides))
            if n in streams:
                given = _copied(args), _copied(kwargs)
                yield _Input(path, module, *given, at, streams[n], n, channels_first)


def _copied(part: Any) -> Any:
    """Return arguments of their own: the model may overwrite its tensors."""
    if isinstance(part, Tensor):
        return part.clone()
    if isinstance(part, dict):
        return {key: _copied(value) for key, value in part.items()}
    if type(part) in (tuple, list):
        return type(part)(_copied(value) for value in part)
    return part


def _outwards(path: str) -> Iterator[str]:
    """Yield a module's path, then those of the modules around it, to the model itself."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""


class _Alone(nn.Module):
    """A module as a model of its own, so that it can be recorded alone."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.block(*args, **kwargs)


class _Probe:
    """Calls a module with some patches changed, and tells at which places of its windows it shows.

    Parameters
    ----------
    given : _Input
        The module, and what it is given.
    path : str
        The module in it that attends.

    Attributes
    ----------
    seen : ndarray (n_windows, size, size) bool
        Whether any head gives a key any weight, on any image.
    """

    def __init__(self, given: _Input, path: str) -> None:
        self._given = given
        self._model = _Alone(given.module).eval()
        inner = path.removeprefix(given.path).lstrip(".") if path != given.path else ""
        module = (
            f"block.{inner}" if inner and inner in dict(given.module.named_modules()) else "block"
        )
        query, value, maps = (str(SiteName(module, signal)) for signal in (QUERY, VALUE, ATTENTION))
        try:
            self._before = self._values(given.patches, query, value, maps)
        except InterpError:
            # Of scores that are a sum of several products the queries are not known; what is
            # weighted, the values, always is.
            self._before = self._values(given.patches, value, maps)
        weights = self._before.pop(maps).unflatten(0, (len(given.patches), -1))
        self.seen = (weights > MASKED_WEIGHT).any(2).any(0).cpu().numpy()
        self._random = torch.Generator().manual_seed(0)
        noise = torch.randn(given.patches.shape, generator=self._random)
        patches = given.patches
        self._noise = noise.to(patches) * patches.float().std().clamp_min(1e-3).to(patches)

    def places(self) -> np.ndarray | None:
        """Return the patch at each place, (n_patches,) int64; None if no single one is."""
        n = self._given.n_patches
        found = np.zeros(n, np.int64)
        for bit in range((n - 1).bit_length()):
            found += self._shows((np.arange(n) >> bit & 1).astype(bool)).astype(np.int64) << bit
        return found if (found < n).all() and self.agrees(found) else None

    def agrees(self, places: np.ndarray) -> bool:
        """Whether random sets of patches show at these places and nowhere else."""
        n = self._given.n_patches
        if n != len(places):
            return False
        for _ in range(_CHECKS):
            some = (torch.rand(n, generator=self._random) < 0.5).numpy()
            some[int(torch.randint(n, (), generator=self._random))] = True
            if not np.array_equal(self._shows(some), some[places]):
                return False
        return True

    def _shows(self, chosen: np.ndarray) -> np.ndarray:
        """Return the places whose values change with the chosen patches, (n_patches,) bool."""
        given = self._given
        mask = torch.from_numpy(chosen).to(given.patches.device)
        shape = given.patches.shape
        if given.channels_first:
            mask = mask.reshape(1, 1, *shape[2:])
        else:
            mask = mask.reshape(1, *shape[1:-1], 1)
        values = self._values(given.patches + self._noise * mask, *self._before)
        found = None
        for site, after in values.items():
            change = (after - self._before[site]).abs().float().amax((1, 3))
            shows = (change > _LEAST_CHANGE * change.max()).reshape(len(given.patches), -1)
            if not bool((shows == shows[:1]).all()) or shows.shape[1] != given.n_patches:
                raise CaptureError("its windows hold other patches in one image than in another")
            if found is not None and not torch.equal(found, shows[0]):
                raise CaptureError("its queries and its keys are not the same patches")
            found = shows[0]
        assert found is not None
        return found.cpu().numpy()

    def _values(self, patches: Tensor, *sites: str) -> dict[str, Tensor]:
        """Return what sites hold of all windows, (batch · windows, n_heads, size, width)."""
        args, kwargs = self._given.changed(patches)
        with Recorder(self._model, sites=sites) as recorder:
            self._model(*_copied(args), **_copied(kwargs))
        return {site: part.values for site, part in recorder.take().items()}
