"""The forward that shows what can be recorded: which documents it reads, which sites it leaves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from interp.errors import CaptureError
from interp.extraction.engine import probe_step
from interp.extraction.grouped_heads import count_groups, is_of_keys
from interp.extraction.schedule import Schedule, Step
from interp.extraction.site_streams import misfit
from interp.extraction.window_search import find_windows
from interp.extraction.windows import Windows
from interp.models.adapter import IMAGE
from interp.sites import ATTENTION
from interp.wording import count

if TYPE_CHECKING:
    from torch import nn

    from interp.capture import Recorder
    from interp.sites import SiteDescription

#: Positions of it, where the model can be fed in pieces.
_POSITIONS = 64
_SEVERAL = "called several times in a forward"


def probing_step(schedule: Schedule, in_pieces: bool) -> Step:
    """Return a step whose shapes tell what each axis is.

    Of two rows or more where there are, which tell a batch from a single table; of several
    positions, which show what a position sees; with streams of different lengths.

    Parameters
    ----------
    schedule : Schedule
        Of the run.
    in_pieces : bool
        Whether the model can be fed in pieces, so that a short one will do.
    """
    schedule = replace(schedule, prompts=None)
    begins = [step for step in islice(schedule.steps(), 256) if step.start == 0]
    several = [step for step in begins if len(step.documents) > 1]
    # The longest, whatever the batches: a short one doesn't show which keys are never seen.
    first = max(several or begins, key=lambda step: step.lead.n_fed)
    step = probe_step(first, 2, _POSITIONS if in_pieces else None)
    lead, *others = step.parts.values()
    if lead.n_fed > 1 and any(part.n_fed == lead.n_fed for part in others):
        return probe_step(step, 2, lead.n_fed - 1)
    return step


def usable_sites(
    recorder: Recorder,
    maps: Mapping[str, tuple[int, ...]],
    asked: Collection[str],
    n_rows: int,
    n_fed: Mapping[str, int],
) -> tuple[dict[str, SiteDescription], dict[str, tuple[int, ...]], str]:
    """Return the sites that a recording can hold, the shapes of their values, and what is left out.

    What only a pattern names, and is called several times in a forward (an embedding that an
    encoder shares with its decoder) or has no row per position (a table of positions), is left
    out; what is named exactly, or would leave nothing, is refused.

    Parameters
    ----------
    recorder : Recorder
        Behind one forward.
    maps : mapping of str to tuple of int
        Attention sites, whose maps were handed on, and their shapes.
    asked : collection of str
        Names and patterns.
    n_rows : int
        Documents in the forward.
    n_fed : mapping of str to int
        Positions that were fed, padding included, by stream.

    Raises
    ------
    CaptureError
        Saying what is wrong with a site.
    """
    sites: dict[str, SiteDescription] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    left_out, why = [], ""
    for name, site in recorder.sites.items():
        if name in maps:
            sites[name], shapes[name] = site, maps[name]
            continue
        calls = recorder.calls(name)
        shape = tuple(calls[0].shape)
        if len(shape) == 4 and is_of_keys(site.signal):
            site = replace(site, n_heads=count_groups(calls[0]))
            shape = (shape[0], site.n_heads or 1, *shape[2:])
        bad = misfit(site, shape, n_rows, n_fed) if len(calls) == 1 else _SEVERAL
        if bad is None:
            sites[name], shapes[name] = site, shape
            continue
        if name in asked:
            recorder.take()  # for several calls, this says what to do about it
            raise CaptureError(bad)
        left_out.append(name)
        why = why or bad
    if not sites and why:
        recorder.take()
        raise CaptureError(why)
    # Where nothing fired at all, the recorder says so when it is left.
    return sites, shapes, _left_out(left_out, "having no single row per position or document")


@dataclass(frozen=True)
class Placed:
    """Sites, and where the windows lie of those that attend within windows.

    Attributes
    ----------
    sites, shapes : dict
        As those of :func:`usable_sites`, the windows of an image side by side.
    windows : dict of str to Windows
    said : str
        What is left out, in words.
    """

    sites: dict[str, SiteDescription]
    shapes: dict[str, tuple[int, ...]]
    windows: dict[str, Windows]
    said: str


def placed_windows(
    model: nn.Module,
    run: Callable[[], object],
    sites: dict[str, SiteDescription],
    shapes: dict[str, tuple[int, ...]],
    asked: Collection[str],
    n_rows: int,
    n_fed: Mapping[str, int],
) -> Placed:
    """Find out where the windows lie of a model that attends within windows of an image.

    What only a pattern names and has windows that are no patches is left out; what is named
    exactly, or would leave nothing, is refused.

    Parameters
    ----------
    model, run
        See :func:`interp.extraction.window_search.find_windows`.
    sites, shapes, asked, n_rows, n_fed
        See :func:`usable_sites`.

    Raises
    ------
    CaptureError
        Saying what is wrong with a site.
    """
    in_windows = {
        name: site
        for name, site in sites.items()
        if IMAGE in n_fed and site.n_heads is not None and len(shapes[name]) == 4
        and shapes[name][0] != n_rows
    }  # fmt: skip
    found, why = find_windows(model, run, in_windows, shapes, n_rows, n_fed)
    for name, reason in why.items():
        if name in asked or len(why) == len(sites):
            raise CaptureError(
                f"Site {name} has shape {shapes[name]} for {count(n_rows, 'image')}, and {reason}. "
                "Choose others with --sites."
            )
    kept = {name: site for name, site in sites.items() if name not in why}
    wide = dict(shapes)
    for name, windows in found.items():
        n, n_heads = len(windows.places), shapes[name][1]
        last = n if sites[name].signal == ATTENTION else shapes[name][3]
        wide[name] = (n_rows, n_heads, n, last)
    reason = next(iter(why.values()), "")
    return Placed(kept, wide, found, _left_out(list(why), reason))


def _left_out(names: list[str], why: str) -> str:
    """Return which sites are left out, in words; empty if none is."""
    if not names:
        return ""
    shown = f"{', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
    return f"{count(len(names), 'site')} left out, {why}: {shown}."
