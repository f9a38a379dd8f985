"""One step through the model: ids in, captured values and predictions out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from interp.capture import Recorder
from interp.capture.records import Consume
from interp.errors import CaptureError, ModelError, StorageError
from interp.extraction.conversion import (
    overflow_message,
    refuse_complex,
    storage_dtype,
    to_storage,
)
from interp.extraction.encoding import Batch
from interp.extraction.grouped_heads import is_of_keys, with_heads
from interp.extraction.pipeline import Buffers, StepResult
from interp.extraction.predictions import StepPredictions, predict
from interp.extraction.schedule import Part, Step
from interp.extraction.site_streams import shape_message
from interp.extraction.state import keep_rows
from interp.extraction.windows import Windows

if TYPE_CHECKING:
    from interp.extraction.attention_sink import AttentionSink
    from interp.extraction.options import Options
    from interp.models import LoadedModel
    from interp.sites import SiteDescription


class BatchSource(Protocol):
    """Whatever builds the batch of a step."""

    def batch(self, step: Step) -> Batch:
        """Return what a step feeds."""

    def probe(self, step: Step) -> Batch:
        """Return the same, no two streams padded to the same length."""


class Engine:
    """Runs the steps of a schedule in order, carrying the state of each batch.

    Parameters
    ----------
    loaded : LoadedModel
        With an adapter.
    feed : BatchSource
        Builds batches.
    dtype : str
        Storage type.
    top_k : int
        Predictions per position; 0 for none.
    where : callable
        ``where(document_index, position)`` names a place for messages.
    allow_nonfinite : bool
        Keep NaN and infinities that the model itself computes.
    begin : callable, optional
        Gives the state before the first position, for a model that hands its state on only then.

    Attributes
    ----------
    sites : mapping of str to SiteDescription
        What is recorded, once it is known. Sites that are not in it belong to the leading stream.
    sink : AttentionSink or None
        Takes the attention maps of each step that is run.
    windows : mapping of str to Windows
        Of the queries, keys, values and head outputs that come window by window.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        feed: BatchSource,
        dtype: str,
        top_k: int,
        where: Callable[[int, int], str],
        allow_nonfinite: bool = False,
        begin: Callable[[], Any] | None = None,
    ) -> None:
        self.sites: Mapping[str, SiteDescription] = {}
        self.sink: AttentionSink | None = None
        self.windows: Mapping[str, Windows] = {}
        self._adapter: Any = loaded.adapter
        self._begin = begin
        self._carries = loaded.carries_state or begin is not None
        self._feed = feed
        self._dtype_name = dtype
        self._dtype = storage_dtype(dtype)
        self._top_k = top_k
        self._where = where
        self._allow_nonfinite = allow_nonfinite
        self._state: Any = None
        self._state_rows = 0

    def forward(self, step: Step) -> tuple[Batch, torch.Tensor | None]:
        """Run the model on a step whose predecessors in its batch have been run.

        Returns the batch and the logits (n_rows, n_steps, n_vocabulary), None if the model
        gives none.
        """
        return self._forward(step, self._feed.batch(step))

    def probe(self, step: Step) -> tuple[Batch, torch.Tensor | None]:
        """Run the model on a first step, in one pass, no two streams padded to one length."""
        batch = self._feed.probe(step)
        return batch, self._adapter.forward(batch.inputs, batch.lengths, None)[0]

    def _forward(self, step: Step, batch: Batch) -> tuple[Batch, torch.Tensor | None]:
        n_rows = len(step.documents)
        state = None
        if step.start > 0 and self._carries:
            state = keep_rows(self._state, n_rows, self._state_rows, self._adapter)
        elif self._begin is not None:
            state = self._begin()
        logits, state = self._adapter.forward(batch.inputs, batch.lengths, state)
        self._state, self._state_rows = (state, n_rows) if self._carries else (None, n_rows)
        return batch, logits

    def run(
        self, step: Step, recorder: Any, buffers: Callable[[], Buffers] = Buffers
    ) -> StepResult:
        """Run a step under an active recorder and return what it adds to the recording.

        `buffers` gives the memory for the values; it is asked when the model has run.

        Raises
        ------
        CaptureError
            If a site has other steps than its stream.
        ModelError
            If the logits are not one row per position.
        StorageError
            If a value does not fit into the storage type.
        """
        if self.sink is not None:
            self.sink.begin(step)
        batch, logits = self.forward(step)
        captured = recorder.take()
        if self.sink is not None:
            self.sink.end()
        into = buffers()
        values = {
            name: self._stored(name, part.values, step, batch, into)
            for name, part in captured.items()
        }
        values |= self._nothing_new(step, values)
        said = self._predictions(step, batch, logits)
        lengths = {name: self._part(name, step).lengths for name in values}
        return StepResult(values, step.lengths, step.segment, said, into, lengths, step.n_positions)

    def time_step(self, step: Step, recorder: Any) -> float:
        """Return the seconds that a step takes, its results thrown away."""
        begin = time.perf_counter()
        self.run(step, recorder)
        return time.perf_counter() - begin

    def _predictions(
        self, step: Step, batch: Batch, logits: torch.Tensor | None
    ) -> StepPredictions | None:
        if not self._top_k or logits is None or batch.targets is None:
            return None
        expected = (len(step.documents), step.n_steps)
        if logits.ndim != 3 or tuple(logits.shape[:2]) != expected:
            raise ModelError(
                f"The adapter's forward gives logits of shape {tuple(logits.shape)} for ids of "
                f"shape {expected}; they must be (batch, steps, n_vocabulary)."
            )
        return predict(logits[:, step.lead.context :], batch.targets, self._top_k)

    def _part(self, site: str, step: Step) -> Part:
        """Return the part of the stream that a site belongs to."""
        return step.parts[self.sites[site].stream] if site in self.sites else step.lead

    def _nothing_new(self, step: Step, there: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return empty values for sites of a stream that was fed in an earlier step."""
        dtype = np.dtype(self._dtype_name)
        return {
            name: np.empty((len(step.documents), 0, site.n_units), dtype)
            for name, site in self.sites.items()
            if name not in there and not self._part(name, step).lengths.any()
        }

    def _stored(
        self, site: str, values: torch.Tensor, step: Step, batch: Batch, into: Buffers
    ) -> np.ndarray:
        part = self._part(site, step)
        stream = self.sites[site].stream if site in self.sites else next(iter(step.parts))
        if site in self.windows:
            values = self.windows[site].unrolled(values)
        if values.ndim == 4 and site in self.sites:
            values = self._side_by_side(self.sites[site], values, batch.n_fed[stream])
        expected = (len(step.documents), batch.n_fed[stream])
        per_document = values.ndim == 2 and len(values) == expected[0]
        if not per_document and (values.ndim != 3 or tuple(values.shape[:2]) != expected):
            fed = {stream: batch.n_fed[stream]}
            raise CaptureError(shape_message(site, tuple(values.shape), expected[0], fed))
        refuse_complex(site, values)
        cube = values[:, part.context :] if values.ndim == 3 else values[:, None, :]
        real = part.lengths if values.ndim == 3 else np.ones_like(part.lengths)
        out = into.take(site, tuple(cube.shape), self._dtype)
        stored, misfit = to_storage(cube, self._dtype, real, self._allow_nonfinite, out)
        if misfit is not None:
            place = self._where(int(step.documents[misfit.row]), part.start + misfit.step)
            raise StorageError(overflow_message(site, misfit, place, self._dtype_name))
        return stored if values.ndim == 3 else stored[:, 0, :]

    @staticmethod
    def _side_by_side(site: SiteDescription, values: torch.Tensor, n_fed: int) -> torch.Tensor:
        """Return queries, keys, values or head outputs with their heads side by side."""
        if is_of_keys(site.signal):
            values = with_heads(values, site.n_heads or 1, site.name)
            # With a cache they are those of all positions so far; new are the last ones.
            values = values[:, :, max(0, values.shape[2] - n_fed) :]
        return values.transpose(1, 2).flatten(2)


def probe_step(step: Step, max_rows: int, max_positions: int | None = None) -> Step:
    """Return the beginning of a step: fewer rows, fewer positions of the leading stream."""
    rows = slice(0, max_rows)

    def piece(part: Part, n: int | None) -> Part:
        lengths, stops = part.lengths[rows], part.key_stops[rows]
        if n is not None:
            lengths, stops = np.minimum(lengths, n), np.minimum(stops, part.start + n)
        return replace(part, lengths=lengths, key_stops=stops)

    parts = {name: piece(part, None) for name, part in step.parts.items()}
    lead = next(iter(step.parts))
    parts[lead] = piece(step.lead, max_positions)
    return Step(step.batch, step.documents[rows], step.segment, parts)


def make_recorder(
    loaded: LoadedModel,
    sites: Iterable[str],
    options: Options,
    consume: Consume | None = None,
) -> Recorder:
    """Return a recorder of these sites, with what is known about the model's modules.

    `consume` takes the maps of attention sites.
    """
    return Recorder(
        loaded.module,
        sites=list(sites),
        steps=options.steps or tuple(getattr(loaded.adapter, "steps", ())),
        batch_first=options.batch_first,
        consume=consume,
    )
