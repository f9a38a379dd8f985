"""From the sites of a probing forward to what a recording will hold of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from interp.errors import CaptureError
from interp.extraction.attention_patterns import MapProbe, Pattern
from interp.extraction.options import Options
from interp.extraction.schedule import Schedule
from interp.extraction.windows import Windows
from interp.sites import ATTENTION, SiteDescription
from interp.storage import AttentionPlan, AttentionSite, StreamPlan
from interp.storage.attention_site import FULL, WINDOW_STATISTICS, parse_form, statistics_of


def matrices_of(
    sites: Mapping[str, SiteDescription], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, SiteDescription]:
    """Return the sites that are matrices of positions and units.

    Queries, keys, values and head outputs, (batch, heads, steps, width), have the units of all
    heads side by side.
    """
    found = {}
    for name, site in sites.items():
        if site.signal == ATTENTION and site.n_heads is not None:
            continue
        shape = shapes.get(name, ())
        if site.n_heads is not None and len(shape) == 4:
            site = replace(site, n_units=shape[1] * shape[3], per="position")
        found[name] = site
    return found


def statistics_for(site: AttentionSite, has_tokens: bool, in_windows: bool) -> tuple[str, ...]:
    """Return the statistics that are kept of a site; of full maps none."""
    if site.form == FULL:
        return ()
    return WINDOW_STATISTICS if in_windows else statistics_of(site.is_cross, has_tokens)


class AttentionPlanner:
    """Lays out the attention sites of a run.

    Parameters
    ----------
    streams : sequence of StreamPlan
    schedule : Schedule
        Which keys are fed with each position.
    options : Options
        Form, type and keys, as the user chose.
    windows : mapping of str to Windows
        Of the sites that attend within windows.
    """

    def __init__(
        self,
        streams: Sequence[StreamPlan],
        schedule: Schedule,
        options: Options,
        windows: Mapping[str, Windows],
    ) -> None:
        self._windows = windows
        self._streams = {stream.name: stream for stream in streams}
        self._schedule = schedule
        self._options = options
        self._tables: dict[tuple[str, str, Pattern], np.ndarray] = {}

    def plans(
        self, sites: Mapping[str, SiteDescription], probe: MapProbe
    ) -> dict[str, AttentionPlan]:
        """Return the plan of each attention site among the sites of a forward.

        Raises
        ------
        CaptureError
            If a site was called several times in the forward.
        """
        form, mass = parse_form(self._options.attention)
        plans = {}
        for name, site in sites.items():
            if name not in probe.shapes:
                continue
            if probe.n_calls[name] > 1:
                raise CaptureError(
                    f"Attention site {name} was called {probe.n_calls[name]} times in a forward, "
                    "so there is no single map. Leave it out with --sites; where each call is one "
                    "step of a sequence, name its module with --steps."
                )
            key_stream = site.key_stream or site.stream
            windows, pattern = self._windows.get(name), Pattern()
            if (
                windows is None
                and key_stream == site.stream
                and self._options.attention_keys == "auto"
            ):
                pattern = probe.pattern(name)
            given = {field.name: getattr(site, field.name) for field in fields(SiteDescription)}
            n_heads = probe.shapes[name][1]
            given |= {"n_units": n_heads, "n_heads": n_heads, "per": "position"}
            given |= {"dtype": self._options.attention_dtype, "key_stream": key_stream}
            keys = str(pattern) if windows is None else f"windows:{windows.size}"
            made = AttentionSite(**given, form=form, mass=mass, keys=keys)
            has_tokens = self._streams[site.stream].token_ids is not None
            statistics = statistics_for(made, has_tokens, windows is not None)
            if windows is None:
                ranges, order = self._ranges(site.stream, key_stream, pattern), None
            else:
                n = self._streams[site.stream].n_documents
                ranges, order = np.tile(windows.ranges, (n, 1)), np.tile(windows.order, n)
            plans[name] = AttentionPlan(made, ranges, statistics, key_order=order)
        return plans

    def _ranges(self, stream: str, key_stream: str, pattern: Pattern) -> np.ndarray:
        """Return the keys that each position sees, (n_positions, 2); sites share tables."""
        key = stream, key_stream, pattern
        if key not in self._tables:
            start = self._streams[stream].document_start
            if stream == key_stream:
                ranges = self._schedule.key_ranges(stream)
                positions = np.arange(len(ranges)) - np.repeat(start[:-1], np.diff(start))
                ranges = pattern.narrow(ranges, positions)
            else:
                n_keys = np.diff(self._streams[key_stream].document_start)
                stop = np.repeat(n_keys, np.diff(start))
                ranges = np.stack([np.zeros_like(stop), stop], axis=1)
            self._tables[key] = ranges.astype("<u4")
        return self._tables[key]
