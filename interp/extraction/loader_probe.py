"""What the maps of a DataLoader's first batch tell: streams, windows, and which keys are seen."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from interp.errors import CaptureError
from interp.extraction.attention_patterns import MapProbe, Pattern
from interp.extraction.batch_streams import BatchStreams
from interp.extraction.loader_sites import LoaderSite
from interp.extraction.options import Options
from interp.sites import SiteDescription
from interp.storage import AttentionSite
from interp.storage.attention_site import parse_form

#: One window of any length.
WHOLE = 1, 0


class LoaderProbe:
    """Looks at the maps of the first batch; a recorder's `consume`.

    Parameters
    ----------
    n_rows : int or None
        Rows of the batch, where its tensors tell.
    streams : BatchStreams
        Its streams.

    Attributes
    ----------
    lengths : dict of str to ndarray (n_rows,)
        Positions of each row of the batch by stream, as far as maps tell.
    """

    def __init__(self, n_rows: int | None, streams: BatchStreams) -> None:
        self._n_rows, self._streams = n_rows, streams
        self._probe = MapProbe({}, {})
        self._windows: dict[str, tuple[int, int]] = {}
        self._axes: dict[str, tuple[int, int]] = {}
        self._sites: dict[str, SiteDescription] = {}
        self.lengths: dict[str, np.ndarray] = {}

    def __call__(self, site: SiteDescription, weights: Tensor, first_query: int) -> None:
        """Take note of a map."""
        n_rows = self._n_rows or len(weights)
        n_windows, rest = divmod(len(weights), n_rows)
        n_queries, n_keys = first_query + weights.shape[2], weights.shape[3]
        is_pair = len(self._streams.names) > 1
        if rest or (n_windows > 1 and (n_queries != n_keys or is_pair)):
            raise CaptureError(
                f"Attention site {site.name} has maps of shape {tuple(weights.shape)} in a batch "
                f"of {n_rows}; they belong to no rows of it. Leave it out with sites=[...]."
            )
        self._sites[site.name] = site
        self._axes[site.name] = n_queries, n_keys
        self._windows[site.name] = (n_windows, n_queries) if n_windows > 1 else WHOLE
        row, length, begin = 0, n_keys, 0
        key_stream = self._streams.names[0]
        lengths = np.full(n_rows, n_windows * n_keys)
        if n_windows == 1:
            key_stream = self._streams.stream_of(site.name, n_keys)
            lengths = self._streams.lengths(key_stream, n_rows, n_keys)
            row, length = int(lengths.argmax()), int(lengths.max())
            begin = int(self._streams.offsets(key_stream, n_rows, n_keys)[row])
        if n_windows == 1 or not self.lengths:
            self.lengths[key_stream] = lengths
        first, rows = real_rows(weights[row], begin, length, first_query)
        self._probe(site, rows[None, :, :, begin : begin + length], first)

    def sites(self, options: Options, has_matrices: bool) -> dict[str, LoaderSite]:
        """Return what was found, by name.

        Parameters
        ----------
        options : Options
        has_matrices : bool
            Whether there are sites of another kind, whose rows the main stream is.

        Raises
        ------
        CaptureError
            If a site was called several times, or its queries and keys are of no known streams.
        """
        main = self._streams.names[0]
        own: dict[tuple[int, int], str] = {}
        if has_matrices or WHOLE in self._windows.values():
            own[WHOLE] = main
        found = {}
        for name, site in self._sites.items():
            if self._probe.n_calls[name] > 1:
                raise CaptureError(
                    f"Attention site {name} was called {self._probe.n_calls[name]} times in a "
                    "forward, so there is no single map. Leave it out with sites=[...]."
                )
            windows = self._windows[name]
            if windows == WHOLE:
                stream, key_stream = self._streams_of(name)
                found[name] = self._whole(site, stream, key_stream, options)
                continue
            called = "windows of {1} ({0} per document)".format(*windows) if own else main
            called = own.setdefault(windows, called)
            made = self._described(site, called, called, "given", options)
            found[name] = LoaderSite(made, Pattern(), main, main, *windows)
        return found

    def _streams_of(self, name: str) -> tuple[str, str]:
        n_queries, n_keys = self._axes[name]
        stream, key_stream = (self._streams.stream_of(name, n) for n in (n_queries, n_keys))
        if stream == key_stream and n_queries != n_keys:
            raise CaptureError(
                f"Attention site {name} has {n_queries} queries and {n_keys} keys. If they are of "
                "two sequences (cross-attention), say how long both are: lengths=lambda batch: "
                "{'source': ..., 'target': ...}, lengths (rows,) or masks (rows, steps). Keys that "
                "are no positions cannot be recorded; leave the site out with sites=[...]."
            )
        if stream != key_stream:
            n_rows = len(self.lengths[key_stream])
            self.lengths[stream] = self._streams.lengths(stream, n_rows, n_queries)
        return stream, key_stream

    def _whole(
        self, site: SiteDescription, stream: str, key_stream: str, options: Options
    ) -> LoaderSite:
        """Return a site whose keys are all that stand in a document, as far as it sees."""
        may_narrow = stream == key_stream and options.attention_keys == "auto"
        pattern = self._probe.pattern(site.name) if may_narrow else Pattern()
        made = self._described(site, stream, key_stream, str(pattern), options)
        may_narrow = may_narrow and None in (pattern.before, pattern.behind)
        return LoaderSite(made, pattern, stream, key_stream, may_narrow=may_narrow)

    def _described(
        self, site: SiteDescription, stream: str, key_stream: str, keys: str, options: Options
    ) -> AttentionSite:
        form, mass = parse_form(options.attention)
        n_heads = self._probe.shapes[site.name][1]
        return AttentionSite(
            site.name, site.module, site.signal, n_heads, options.attention_dtype, stream,
            site.layer, site.direction, n_heads=n_heads, key_stream=key_stream,
            form=form, mass=mass, keys=keys,
        )  # fmt: skip


def real_rows(weights: Tensor, begin: int, length: int, first_query: int) -> tuple[int, Tensor]:
    """Return the real queries among some rows of a map, and how many real ones come before.

    Parameters
    ----------
    weights : Tensor (n_heads, queries, keys)
        The rows from `first_query` on.
    begin, length : int
        The first real query of the whole map, and the number of real ones.
    first_query : int
    """
    first = max(begin, first_query)
    last = min(begin + length, first_query + weights.shape[1])
    return first - begin, weights[:, first - first_query : max(first, last) - first_query]
