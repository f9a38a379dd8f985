"""Which sites a question is about; what is the same values under another name is asked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from interp.errors import InterpError
from interp.sites import HIDDEN, OF_RECORDING, OUTPUT, as_patterns, match_sites

#: Positions at which two sites are compared, in runs spread over the recording.
_COMPARED, _N_RUNS = 1024, 8


@dataclass(frozen=True)
class ChosenSites:
    """The sites that patterns stand for.

    Attributes
    ----------
    names : list of str
        In model order.
    copies : dict of str to str
        Sites that a pattern matched but that hold the values of another one, which is among
        `names`: left out.
    """

    names: list[str]
    copies: dict[str, str] = field(default_factory=dict)


def sites_of(recording: Any, patterns: str | Sequence[str] | None, stream: str) -> list[str]:
    """Return the names of :func:`choose_sites`."""
    return choose_sites(recording, patterns, stream).names


def choose_sites(recording: Any, patterns: str | Sequence[str] | None, stream: str) -> ChosenSites:
    """Return the sites with a position axis on a stream that match, in model order.

    The output of a recurrent module is the hidden states of its top layer, and a module that
    passes on what it was given (dropout, for one) puts out what another one did. Such an output
    is left out beside the site whose values it has; a site that is named, not matched, stays.

    Parameters
    ----------
    recording : Recording
    patterns : str or sequence of str, optional
        Names or patterns; None: all.
    stream : str
        The stream that the labels belong to.

    Raises
    ------
    InterpError
        If a pattern matches nothing, or only sites that have no such positions.
    """
    usable = [
        name
        for name, site in recording.sites.items()
        if site.per == "position" and site.stream == stream and site.signal != "attention"
    ]
    if recording.attention_sites and not recording.sites:
        raise InterpError(
            f"{recording.path} holds attention maps and no units; record some as well, such as "
            "--sites '**/attention,**/output'. What its heads do is told by `interp heads`."
        )
    if patterns is None:
        chosen, named = usable, set()
    else:
        matched = match_sites(patterns, list(recording.sites), OF_RECORDING)
        chosen = [name for name in matched if name in usable]
        named = set(as_patterns(patterns))
    if not chosen:
        asked = "any site" if patterns is None else patterns
        raise InterpError(
            f"{asked} has no units at the positions of stream {stream!r}; there is: "
            f"{', '.join(usable) or 'none'}."
        )
    copies = _find_copies(recording, chosen, named)
    return ChosenSites([name for name in chosen if name not in copies], copies)


def _find_copies(recording: Any, chosen: Sequence[str], named: set[str]) -> dict[str, str]:
    """Return the outputs, of those that are not named, with the values of another site."""
    sites = {name: recording.sites[name] for name in chosen}
    asked = [name for name in chosen if sites[name].signal == OUTPUT and name not in named]
    first = [name for name in chosen if sites[name].signal == HIDDEN or name in named]
    widths = {sites[name].n_units for name in asked}
    if not asked or (len(asked) < 2 and not first):
        return {}
    known: dict[bytes, str] = {}
    for name in first:
        both = name.replace(f"/{HIDDEN}", f"_reverse/{HIDDEN}")
        if sites[name].n_units in widths:
            known.setdefault(_digest(recording, [name]), name)
        if sites[name].direction == "forward" and both in sites:
            known.setdefault(_digest(recording, [name, both]), f"{name} and {both}")
    copies = {}
    for name in asked:
        original = known.setdefault(_digest(recording, [name]), name)
        if original != name:
            copies[name] = original
    return copies


def _digest(recording: Any, names: Sequence[str]) -> bytes:
    """Return a hash of the values of some sites side by side, at some positions."""
    arrays = [recording[name] for name in names]
    n = arrays[0].shape[0]
    length = min(n, _COMPARED // _N_RUNS)
    hashed = sha256(str(arrays[0].dtype).encode())
    for start in np.unique(np.linspace(0, n - length, _N_RUNS).astype(np.int64)).tolist():
        parts = [np.asarray(array[start : start + length]) for array in arrays]
        hashed.update(np.ascontiguousarray(np.concatenate(parts, axis=1)).tobytes())
    return hashed.digest()


def copies_text(copies: dict[str, str]) -> list[str]:
    """Return one sentence about each site that was left out as a copy."""
    return [
        f"{name} holds the values of {original} and was left out; name it to have it"
        for name, original in copies.items()
    ]
