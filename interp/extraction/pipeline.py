"""Writing while the next step is computed: one thread, a short queue, commits at intervals."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

import numpy as np
import torch

from interp.extraction.attention_pieces import MapBatch, MapStore
from interp.extraction.predictions import StepPredictions
from interp.heap import give_back

#: Steps that wait to be written, at most; with the one being written and the one being computed
#: this bounds the memory of a run.
QUEUE_STEPS = 1
#: Seconds after which whoever waits looks whether there is still something to wait for.
_LOOK_S = 0.2
_T = TypeVar("_T")


class Buffers:
    """Memory for the values of one step, used again for later steps.

    Fresh memory for every step would cost its pages anew each time, and leave it to chance how
    much a run holds.
    """

    def __init__(self) -> None:
        self._flat: dict[str, torch.Tensor] = {}

    def take(self, site: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return an uninitialised tensor on the CPU; the one before for this site is void."""
        size = math.prod(shape)
        flat = self._flat.get(site)
        if flat is None or flat.dtype != dtype or len(flat) < size:
            flat = self._flat[site] = torch.empty(size, dtype=dtype)
        return flat[:size].view(shape)


@dataclass(frozen=True)
class StepResult:
    """What one step adds to the recording.

    Attributes
    ----------
    values : dict of str to ndarray (n_rows, n_steps, n_units) or (n_rows, n_units)
        Per site, in the storage type; without a step axis for a site with one row per document.
    lengths : ndarray (n_rows,) int64
        Real positions of each row; the rest is padding.
    segment : int
        Segment of the first row; the others follow.
    predictions : StepPredictions or None
        None when no predictions are recorded.
    buffers : Buffers or None
        Where the values lie, to be used again once they are written.
    site_lengths : dict of str to ndarray (n_rows,) int64
        Real positions of each row at the sites where they differ from `lengths`, as those of
        another stream do.
    n_positions : int or None
        Positions of all streams; None where `lengths` says it.
    """

    values: dict[str, np.ndarray]
    lengths: np.ndarray
    segment: int
    predictions: StepPredictions | None
    buffers: Buffers | None = None
    site_lengths: Mapping[str, np.ndarray] = field(default_factory=dict)
    n_positions: int | None = None

    @property
    def n_done(self) -> int:
        """Positions of which the step records what there is to record."""
        return int(self.lengths.sum()) if self.n_positions is None else self.n_positions


class StepWriter(Protocol):
    """What the thread needs: storage's ``RecordingWriter``, or part files."""

    done_segments: int

    def write(self, site: str, segment_index: int, values: np.ndarray) -> None:
        """Write the rows of one segment."""

    def write_predictions(
        self,
        segment_index: int,
        top_ids: np.ndarray,
        top_probabilities: np.ndarray,
        loss: np.ndarray,
    ) -> None:
        """Write what the model said in one segment, where there are predictions."""
        raise TypeError(f"{type(self).__name__} holds no predictions")

    def commit(self, done_segments: int) -> None:
        """Make all segments before this one permanent."""


class WriterThread:
    """Hands finished steps to a writer, in order, from one background thread.

    Parameters
    ----------
    writer : StepWriter
        Used by this thread alone until :meth:`finish` has returned.
    commit_interval_s : float
        Seconds of work that a kill may cost.
    on_written : callable, optional
        Called from the thread with the number of positions after each step is written.
    """

    def __init__(
        self,
        writer: StepWriter,
        commit_interval_s: float = 5.0,
        on_written: Callable[[int], None] | None = None,
    ) -> None:
        give_back()  # what the preparation took, before the run's own buffers are made
        self._writer = writer
        self._interval_s = commit_interval_s
        self._on_written = on_written or (lambda n_positions: None)
        # Ctrl-C may come between any two operations of the main thread. In queue.Queue, written in
        # Python, that can lose a wake-up or leave a lock held; SimpleQueue's operations happen
        # whole or not at all. All the same nobody waits for a wake-up without looking around.
        self._queue: queue.SimpleQueue[StepResult | MapBatch | None] = queue.SimpleQueue()
        self._slots: queue.SimpleQueue[bool] = queue.SimpleQueue()
        for _ in range(QUEUE_STEPS):
            self._slots.put(True)
        self._free: queue.SimpleQueue[Buffers] = queue.SimpleQueue()
        for _ in range(QUEUE_STEPS + 2):
            self._free.put(Buffers())
        self._error: BaseException | None = None
        self._hurry = False
        self._closing = False
        self._ended = False
        self._end: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._written = writer.done_segments
        self._committed = writer.done_segments
        self._thread = threading.Thread(target=self._run, name="interp-writer", daemon=True)
        self._thread.start()

    def buffers(self) -> Buffers:
        """Return free memory for a step, waiting for it; raises what the thread met."""
        return self._wait_for(self._free)

    def submit(self, result: StepResult | MapBatch) -> None:
        """Queue one step, or maps of it, waiting while the queue is full.

        Raises what the thread met. Maps come before the rest of their step.
        """
        self._wait_for(self._slots)
        self._queue.put(result)

    def finish(self) -> int:
        """Write and commit all that is queued, end the thread, return the committed segments.

        Ctrl-C while waiting leaves out what is still queued, but never the end of the thread:
        the writer must not be closed under it.

        Raises
        ------
        BaseException
            Whatever stopped the writing; what was written before is committed all the same,
            if the file still takes it.
        """
        interrupt = None
        # Not Thread.join: interrupted, it takes the thread for dead (bpo-45274).
        while not self._ended:
            try:
                self._closing = True
                self._queue.put(None)
                self._end.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            except KeyboardInterrupt as error:
                interrupt, self._hurry = error, True
        self._raise_error()
        if interrupt is not None:
            raise interrupt
        return self._committed

    @property
    def committed(self) -> int:
        """Segments that a kill cannot take back."""
        return self._committed

    def _wait_for(self, things: queue.SimpleQueue[_T]) -> _T:
        """Return the next of the things that the thread gives back; raises what it met."""
        while True:
            self._raise_error()
            try:
                return things.get(timeout=_LOOK_S)
            except queue.Empty:
                continue

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _next(self) -> StepResult | MapBatch | None:
        """Return the next step, None at the end."""
        while not self._hurry:
            # Looked at before the queue: what was queued before the end is still taken.
            closing = self._closing
            try:
                result = self._queue.get(timeout=_LOOK_S)
            except queue.Empty:
                if closing:
                    return None
                continue
            self._slots.put(True)
            return None if self._hurry else result
        return None

    def _run(self) -> None:
        try:
            self._write_all()
        finally:
            self._ended = True
            self._end.put(True)

    def _write_all(self) -> None:
        last = time.monotonic()
        try:
            while (result := self._next()) is not None:
                if isinstance(result, MapBatch):
                    for piece in result.pieces:
                        piece.write(cast(MapStore, self._writer))
                    continue
                self._write(result)
                if result.buffers is not None:
                    self._free.put(result.buffers)
                self._on_written(result.n_done)
                if time.monotonic() - last >= self._interval_s:
                    self._commit()
                    last = time.monotonic()
        except BaseException as error:
            self._error = error
        try:
            self._commit()
        except BaseException as error:
            self._error = self._error or error

    def _commit(self) -> None:
        if self._written > self._committed:
            self._writer.commit(self._written)
            self._committed = self._written

    def _write(self, result: StepResult) -> None:
        write_step(self._writer, result)
        self._written = result.segment + len(result.lengths)


def write_step(writer: StepWriter, result: StepResult) -> None:
    """Hand the real rows of a step to a writer, segment by segment."""
    for site, values in result.values.items():
        for row, length in enumerate(result.site_lengths.get(site, result.lengths).tolist()):
            rows = values[row, :length] if values.ndim == 3 else values[row : row + 1]
            writer.write(site, result.segment + row, rows)
    if result.predictions is None:
        return
    said = result.predictions
    for row, length in enumerate(result.lengths.tolist()):
        writer.write_predictions(
            result.segment + row,
            said.top_ids[row, :length],
            said.top_probabilities[row, :length],
            said.loss[row, :length],
        )
