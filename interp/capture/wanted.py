"""Which sites were asked for: patterns against what a model offers."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Sequence

from torch import nn

from interp.capture.modules import ModuleNames, is_from_torch, shows_all, unhookable
from interp.errors import CaptureError, SiteError
from interp.sites import (
    ATTENTION_SIGNALS,
    INPUT,
    OUTPUT,
    SiteName,
    as_patterns,
    compile_pattern,
    escape,
    no_match,
)


class Wanted:
    """The sites that were asked for; call it with a `SiteName`.

    Most sites are known before the model runs and matched at once. Values that code names with
    `name_value`, and functions called by the user's own modules, are known only when they fire:
    a pattern that may mean one of them is settled by `check_fired`.

    Parameters
    ----------
    names : ModuleNames
        The model's modules.
    patterns : str or iterable of str
        Names and patterns of sites.
    inputs : bool
        Whether a pattern with stars covers ``input`` sites; one that ends in ``/input`` does.

    Raises
    ------
    SiteError
        When a pattern can't match anything; the message has the nearest names.
    CaptureError
        When the module of an exact name can't be hooked.
    """

    def __init__(
        self, names: ModuleNames, patterns: Iterable[str] | str, inputs: bool = False
    ) -> None:
        self.patterns = as_patterns(patterns)
        self.unhookable = unhookable(names.modules[names.root])
        self._names = names
        self._inputs = inputs
        self._matches = [compile_pattern(pattern).fullmatch for pattern in self.patterns]
        self._known = self._spell(list(names.candidates()))
        self._cache = {site: self._is_wanted(site) for site in self._known.values()}
        for pattern in self.patterns:
            self._check(pattern)
        self._warn_of_gaps()

    @functools.cached_property
    def handled(self) -> bool:
        """Whether anything may be wanted that isn't the input or the output of a module."""
        return any(map(self._may_look_inside, self.patterns))

    def _may_look_inside(self, pattern: str) -> bool:
        head, _, tail = pattern.partition("/")
        if tail in (INPUT, OUTPUT):
            return False
        found = self._matching(pattern, self._known)
        modules = self._names.modules.values() if "*" in head else map(self._module, found)
        if not found or not all(map(is_from_torch, modules)):
            return True  # the user's code may name values, or call functions that show more
        return not all(
            site.signal in (INPUT, OUTPUT) or shows_all(self._module(site)) for site in found
        )

    def __call__(self, site: SiteName) -> bool:
        """Return whether the site was asked for."""
        wanted = self._cache.get(site)
        if wanted is None:
            wanted = self._cache[site] = self._is_wanted(site)
        return wanted

    def check_fired(self, fired: Sequence[str]) -> None:
        """Refuse when a pattern matched none of the sites that fired.

        Raises
        ------
        SiteError
            With the nearest names.
        """
        spelled = self._spell([SiteName.parse(name) for name in fired])
        for pattern in self.patterns:
            known = self._matching(pattern, self._known)
            if self._matching(pattern, spelled):
                continue
            if not fired:
                raise SiteError(
                    f"Nothing was recorded for {pattern!r}: no module of the model was called "
                    "in this thread while the recorder was active."
                )
            if known:
                raise SiteError(
                    f"{pattern!r} never fired: {known[0].module!r} was not called, or not with "
                    f"what the site needs. Sites that fired: {_some(fired)}."
                )
            raise SiteError(no_match(pattern, [*fired, *self._listed()]))

    def canonical(self, name: str) -> str:
        """Return the site's first name, for one spelled by an alias of its module."""
        module, slash, rest = name.partition("/")
        path = SiteName.parse(f"{module}/x").module if module else ""
        return escape(self._names.canonical(path)) + slash + rest

    def _spell(self, sites: Iterable[SiteName]) -> dict[str, SiteName]:
        """Return all spellings of the sites, aliases included, in model order."""
        return {
            str(SiteName(path, site.signal, site.layer, site.reverse)): site
            for site in sites
            for path in self._names.spellings(site.module)
        }

    def _is_wanted(self, site: SiteName) -> bool:
        spelled = list(self._spell([site]))
        for pattern, match in zip(self.patterns, self._matches, strict=True):
            if self._covers(pattern, site) and any(map(match, spelled)):
                return True
        return False

    def _covers(self, pattern: str, site: SiteName) -> bool:
        return site.signal != INPUT or self._inputs or pattern.endswith(f"/{INPUT}")

    def _matching(self, pattern: str, spelled: dict[str, SiteName]) -> list[SiteName]:
        match = self._matches[self.patterns.index(pattern)]
        return [
            site for name, site in spelled.items() if match(name) and self._covers(pattern, site)
        ]

    def _listed(self) -> list[str]:
        return [name for name, site in self._known.items() if site.signal != INPUT or self._inputs]

    def _likely(self, pattern: str) -> list[str]:
        """Return sites of attention that may fire, for a pattern that asks for one."""
        signal = pattern.rpartition("/")[2]
        if signal not in ATTENTION_SIGNALS:
            return []
        own = (path for path, module in self._names.modules.items() if not is_from_torch(module))
        return [str(SiteName(path, signal)) for path in own]

    def _module(self, site: SiteName) -> nn.Module:
        return self._names.modules[site.module]

    def _check(self, pattern: str) -> None:
        """Refuse a pattern of which it is certain now that nothing will ever match it."""
        found = self._matching(pattern, self._known)
        reasons = [self.unhookable.get(self._module(site)) for site in found]
        if found and all(reasons):
            raise CaptureError(
                f"{pattern!r} can't be recorded from {found[0].module!r}: {reasons[0]}."
            )
        if found:
            return
        head, slash, _ = pattern.partition("/")
        if not slash and "*" not in pattern:
            raise SiteError(no_match(pattern, self._listed()))
        if "*" in head:
            if all(map(is_from_torch, self._names.modules.values())):
                raise SiteError(no_match(pattern, self._listed()))
            return
        if "*" not in pattern:
            SiteName.parse(pattern)
        path = self._names.canonical(SiteName.parse(f"{head}/x").module)
        module = self._names.modules.get(path)
        if module is None or is_from_torch(module):
            raise SiteError(no_match(pattern, [*self._listed(), *self._likely(pattern)]))
        if module in self.unhookable:
            raise CaptureError(f"{pattern!r} can't be recorded: {self.unhookable[module]}.")

    def _warn_of_gaps(self) -> None:
        """Say once which matching modules are left out because they can't be hooked."""
        gaps = dict.fromkeys(
            site.module
            for site, wanted in self._cache.items()
            if wanted and self._module(site) in self.unhookable
        )
        if gaps:
            first = next(iter(gaps))
            warnings.warn(
                f"Not recorded: {_some(list(gaps))}. As for {first!r}, "
                f"{self.unhookable[self._names.modules[first]]}.",
                stacklevel=4,
            )


def _some(names: Sequence[str], n: int = 8) -> str:
    more = f" and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(names[:n]) + more
