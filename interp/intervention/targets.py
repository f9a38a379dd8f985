"""Where clamps take hold: from the names of sites to modules, signals and heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import nn

from interp.capture.modules import ModuleNames, offered_by, unhookable
from interp.errors import CaptureError, SiteError
from interp.intervention.clamps import Clamp, check_distinct
from interp.sites import ATTENTION, HEAD_OUTPUT, HIDDEN, OUTPUT, SiteName, no_match

Signal = tuple[int | None, bool, str]
"""Layer, direction and name of a signal of a recurrent module."""


@dataclass
class Target:
    """What is clamped in one module.

    Attributes
    ----------
    outputs, heads : list of Clamp
        Of its output, and of its attention heads.
    signals : dict
        Clamps by layer, direction and signal of a recurrent module.
    """

    outputs: list[Clamp] = field(default_factory=list)
    heads: list[Clamp] = field(default_factory=list)
    signals: dict[Signal, list[Clamp]] = field(default_factory=dict)

    def sites(self) -> set[str]:
        """Return the names of the clamped sites."""
        nested = [self.outputs, self.heads, *self.signals.values()]
        return {clamp.site for clamps in nested for clamp in clamps}


def find_targets(names: ModuleNames, clamps: Sequence[Clamp]) -> dict[str, Target]:
    """Return what is clamped, by the path of the module.

    Raises
    ------
    SiteError
        When a site doesn't exist or can't be clamped.
    SelectionError
        When a recurrent layer has no such unit, or one is clamped twice in a row of the batch.
    CaptureError
        When a module runs without Python hooks.
    """
    targets: dict[str, Target] = {}
    closed = unhookable(names.modules[names.root])
    for clamp in clamps:
        site = SiteName.parse(clamp.site)
        path = names.canonical(site.module)
        if path not in names.modules:
            raise SiteError(no_match(clamp.site, list(clampable(names))))
        module = names.modules[path]
        if module in closed:
            raise CaptureError(f"{clamp.site} cannot be clamped: {closed[module]}.")
        target = targets.setdefault(path, Target())
        if site.signal == OUTPUT and site.layer is None:
            target.outputs.append(clamp)
        elif site.signal in (ATTENTION, HEAD_OUTPUT) and site.layer is None:
            target.heads.append(clamp)
        elif site.signal in _signals_of(module, site):
            clamp.check_units(_n_units(module, site.signal))
            key = site.layer, site.reverse, site.signal
            target.signals.setdefault(key, []).append(clamp)
        else:
            raise SiteError(no_match(clamp.site, list(clampable(names))))
    for target in targets.values():
        for together in (target.outputs, target.heads, *target.signals.values()):
            check_distinct(together)
    return targets


def clampable(names: ModuleNames) -> Iterator[str]:
    """Yield the sites that can be clamped, as far as they are known before the model runs."""
    for site in names.candidates():
        if site.signal == OUTPUT or site.signal in _signals_of(names.modules[site.module], site):
            yield str(site)


def _signals_of(module: nn.Module, site: SiteName) -> list[str]:
    """Return the signals inside the recurrence that a module has at a layer and direction."""
    if not isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return []
    return [
        known.signal
        for known in offered_by(module)
        if (known.layer, known.reverse) == (site.layer, site.reverse)
    ]


def _n_units(module: nn.Module, signal: str) -> int:
    projected = getattr(module, "proj_size", 0) if signal == HIDDEN else 0
    n_units: int = projected or getattr(module, "hidden_size", 0)
    return n_units
