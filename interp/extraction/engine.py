"""One step through the model: ids in, captured values and predictions out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interp.capture import Recorder
from interp.errors import CaptureError, StorageError
from interp.extraction.conversion import overflow_message, storage_dtype, to_storage
from interp.extraction.encoding import Batch, Feed
from interp.extraction.pipeline import Buffers, StepResult
from interp.extraction.predictions import StepPredictions, predict
from interp.extraction.schedule import Step
from interp.extraction.state import keep_rows

if TYPE_CHECKING:
    from interp.extraction.options import Options
    from interp.models import LoadedModel


class Engine:
    """Runs the steps of a schedule in order, carrying the state of each batch.

    Parameters
    ----------
    loaded : LoadedModel
        With an adapter.
    feed : Feed
        Builds batches.
    dtype : str
        Storage type.
    top_k : int
        Predictions per position; 0 for none.
    where : callable
        ``where(document_index, position)`` names a place for messages.
    allow_nonfinite : bool
        Keep NaN and infinities that the model itself computes.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        feed: Feed,
        dtype: str,
        top_k: int,
        where: Callable[[int, int], str],
        allow_nonfinite: bool = False,
    ) -> None:
        self._adapter: Any = loaded.adapter
        self._carries = loaded.carries_state
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
        batch = self._feed.batch(step)
        n_rows = len(step.documents)
        state = None
        if step.start > 0:
            state = keep_rows(self._state, n_rows, self._state_rows, self._adapter)
        logits, state = self._adapter.forward(batch.ids, batch.lengths, state)
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
            If a site has other steps than the text.
        StorageError
            If a value does not fit into the storage type.
        """
        batch, logits = self.forward(step)
        captured = recorder.take()
        into = buffers()
        values = {
            name: self._stored(name, part.values, step, into) for name, part in captured.items()
        }
        said = self._predictions(batch, logits)
        return StepResult(values, step.lengths, step.segment, said, into)

    def time_step(self, step: Step, recorder: Any) -> float:
        """Return the seconds that a step takes, its results thrown away."""
        begin = time.perf_counter()
        self.run(step, recorder)
        return time.perf_counter() - begin

    def _predictions(self, batch: Batch, logits: torch.Tensor | None) -> StepPredictions | None:
        if not self._top_k or logits is None:
            return None
        return predict(logits, batch.targets, self._top_k)

    def _stored(self, site: str, values: torch.Tensor, step: Step, into: Buffers) -> np.ndarray:
        expected = (len(step.documents), step.n_steps)
        per_document = values.ndim == 2 and len(values) == expected[0]
        if not per_document and (values.ndim != 3 or tuple(values.shape[:2]) != expected):
            raise CaptureError(
                f"Site {site} has shape {tuple(values.shape)} for a text of {expected[0]} rows and "
                f"{expected[1]} positions; a recording of text holds one row of units per position "
                "or per document. Choose others with --sites; `interp sites` lists the shapes."
            )
        cube = values if values.ndim == 3 else values[:, None, :]
        real = step.lengths if values.ndim == 3 else np.ones_like(step.lengths)
        out = into.take(site, tuple(cube.shape), self._dtype)
        stored, misfit = to_storage(cube, self._dtype, real, self._allow_nonfinite, out)
        if misfit is not None:
            place = self._where(int(step.documents[misfit.row]), step.start + misfit.step)
            raise StorageError(overflow_message(site, misfit, place, self._dtype_name))
        return stored if values.ndim == 3 else stored[:, 0, :]


def probe_step(step: Step, max_rows: int, max_positions: int) -> Step:
    """Return the beginning of a step: fewer rows, fewer positions."""
    rows = slice(0, max_rows)
    lengths = np.minimum(step.lengths[rows], max_positions)
    return Step(step.batch, step.documents[rows], step.start, lengths, step.segment)


def describe_sites(found: Mapping[str, Any], dtype: str, stream: str) -> dict[str, Any]:
    """Return site descriptions as the recording holds them: storage type and stream set."""
    return {name: replace(site, dtype=dtype, stream=stream) for name, site in found.items()}


def make_recorder(module: torch.nn.Module, sites: Iterable[str], options: Options) -> Recorder:
    """Return a recorder of these sites, with what the user said about the model's modules."""
    return Recorder(module, sites=list(sites), steps=options.steps, batch_first=options.batch_first)
