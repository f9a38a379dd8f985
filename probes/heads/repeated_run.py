"""A model run over documents of random tokens with a repetition, and what its heads do there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.heads.findings import head_names
from probes.heads.repeats import RepeatedDocuments
from probes.heads.rows import MapRows, as_key_range
from probes.heads.site_tally import BEST_OFFSET, SiteTally
from probes.heads.sources import DocumentMaps
from probes.heads.tallies import RowMeans
from probes.heads.targets import Context

METRICS = ("previous", "duplicate", "induction", BEST_OFFSET)
BATCH = 8


@dataclass
class _LiveSite:
    """A site whose documents come one after the other."""

    name: str
    heads: Sequence[str]
    n_documents: int
    note: str = ""

    def blocks(self, index: int) -> list[DocumentMaps]:
        raise NotImplementedError


class RepeatedRun:
    """One pass over documents with a repetition, and one over their controls.

    Parameters
    ----------
    adapter : Adapter
    start : ndarray (n_start,) int64
        What comes before the random tokens of every document.
    drawn : RepeatedDocuments
    sites : str or sequence of str
        Attention sites, names or patterns.

    Attributes
    ----------
    tallies : dict of str to SiteTally
        What the heads do on repetitions, by site.
    control : dict of str to RowMeans
        Their attention to the same keys without one.
    losses : dict of str to list
        Sum of losses, number of right guesses and of tokens, ``"repeated"`` and ``"control"``.
    skipped : set of str
        Sites whose maps are not square.
    """

    def __init__(
        self, adapter: Any, start: np.ndarray, drawn: RepeatedDocuments, sites: Any
    ) -> None:
        self.adapter, self.start, self.drawn, self.sites = adapter, start, drawn, sites
        self.tallies: dict[str, SiteTally] = {}
        self.control: dict[str, RowMeans] = {}
        self.losses = {name: [0.0, 0.0, 0] for name in ("repeated", "control")}
        self.skipped: set[str] = set()

    def go(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Run the model over all documents.

        Parameters
        ----------
        progress : callable, optional
            Called with the documents run and the documents in all, controls included.

        Raises
        ------
        InterpError
            If no site has square maps.
        """
        runs = (("control", self.drawn.control_ids), ("repeated", self.drawn.ids))
        done, total = 0, sum(len(ids) for _, ids in runs)
        for name, ids in runs:
            for first in range(0, len(ids), BATCH):
                maps = self._forward(name, ids, slice(first, first + BATCH))
                for site, weights in maps.items():
                    for index, document in enumerate(weights.numpy(), first):
                        self._add(name, site, index, document, ids[index])
                done += len(ids[first : first + BATCH])
                if progress is not None:
                    progress(done, total)
        if not self.tallies:
            raise InterpError(
                "No attention site of the model has as many keys as queries"
                + (f" ({', '.join(sorted(self.skipped))})." if self.skipped else ".")
            )

    def _forward(self, name: str, ids: np.ndarray, rows: slice) -> dict[str, Any]:
        import torch

        from interp import Recorder

        given = self.with_start(ids[rows])
        device = next(self.adapter.module.parameters()).device
        lengths = torch.full((len(given),), given.shape[1])
        with torch.no_grad(), Recorder(self.adapter.module, sites=self.sites) as recorder:
            tensor = torch.from_numpy(given).to(device)
            logits = self.adapter.forward(tensor, lengths, None)[0]
        found = {}
        for site in recorder.sites:
            weights = recorder[site]
            if weights.shape[0] == len(given) and weights.shape[2:] == (given.shape[1],) * 2:
                found[site] = weights.float().cpu()
            else:
                self.skipped.add(site)
        if logits is not None:
            self._add_loss(name, logits.float().cpu(), ids[rows], self.drawn.scored[rows])
        return found

    def with_start(self, ids: np.ndarray) -> np.ndarray:
        """Return ids (n, length) with what the tokenizer puts before any text."""
        return np.concatenate([np.tile(self.start, (len(ids), 1)), ids], axis=1)

    def _add_loss(self, name: str, logits: Any, ids: np.ndarray, scored: np.ndarray) -> None:
        import torch

        row, position = np.nonzero(scored)
        actual = torch.from_numpy(ids[row, position + 1])
        found = logits[row, position + len(self.start)]
        totals = self.losses[name]
        totals[0] += float(torch.nn.functional.cross_entropy(found, actual, reduction="sum"))
        totals[1] += float((found.argmax(dim=1) == actual).sum())
        totals[2] += len(row)

    def _add(self, run: str, site: str, index: int, weights: np.ndarray, ids: np.ndarray) -> None:
        if run == "control":
            self._add_control(site, index, weights)
        else:
            self._add_repeated(site, index, weights, ids)

    def _add_repeated(self, site: str, index: int, weights: np.ndarray, ids: np.ndarray) -> None:
        names = head_names(site, len(weights))
        if site not in self.tallies:
            self.tallies[site] = SiteTally(_LiveSite(site, names, len(self.drawn.ids)), METRICS)
        n = weights.shape[1]
        is_causal = not np.triu(weights, 1).any()
        scored = np.concatenate([np.zeros(len(self.start), bool), self.drawn.scored[index]])
        tokens = self.with_start(ids[None])[0]
        visible = MapRows(as_key_range("causal" if is_causal else "full", n, n), n)

        def read(head: int) -> np.ndarray:
            return weights[head][visible.row, visible.keys].astype(np.float64)

        limits = {name: scored for name in ("induction", "duplicate", BEST_OFFSET)}
        document = DocumentMaps(visible, Context(tokens, tokens), read, limits=limits)
        self.tallies[site].add(index, document)

    def _add_control(self, site: str, index: int, weights: np.ndarray) -> None:
        if site not in self.control:
            self.control[site] = RowMeans(len(self.drawn.ids), len(weights))
        query = np.flatnonzero(self.drawn.scored[index]) + len(self.start)
        mass = weights[:, query, query - self.drawn.distance[index] + 1]
        for head, values in enumerate(mass):
            self.control[site].add(index, head, values)

    def copying(self) -> tuple[dict[str, list[float]], str | None]:
        """Return copying scores of the heads by site, or why there are none."""
        import torch

        from probes.heads.circuits import find_circuits

        # Enough to tell any two columns of activations apart; all layers' are held at once.
        ids = self.with_start(self.drawn.ids[:2, :64])
        device = next(self.adapter.module.parameters()).device

        def forward() -> Any:
            lengths = torch.full((len(ids),), ids.shape[1])
            return self.adapter.forward(torch.from_numpy(ids).to(device), lengths, None)[0]

        try:
            with torch.no_grad():
                found = find_circuits(self.adapter.module, list(self.tallies), ids, forward)
        except InterpError as error:
            return {}, f"no copying score: {error}"
        return {site: found.copying(site) for site in self.tallies}, None
