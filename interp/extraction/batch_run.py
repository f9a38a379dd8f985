"""Recording a model that takes batches of a DataLoader: run into part files, then assemble."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interp.errors import CaptureError, CorpusError, RecordingError, StorageError
from interp.extraction.attention_batches import (
    BatchMaps,
    LengthsOf,
    LoaderProbe,
    LoaderSite,
    batch_rows,
    side_by_side,
    with_units,
)
from interp.extraction.attention_costs import kept_text
from interp.extraction.batches import (
    agreed_lengths,
    aligned,
    batch_hash,
    checked_lengths,
    row_lengths,
    row_offsets,
    run_forward,
    to_device,
)
from interp.extraction.conversion import overflow_message, storage_dtype, to_storage
from interp.extraction.engine import describe_sites, make_recorder
from interp.extraction.estimate import Estimate
from interp.extraction.options import Options
from interp.extraction.parts import BatchRecord, Parts
from interp.extraction.pipeline import StepResult, WriterThread
from interp.extraction.progress import Display, Meter
from interp.extraction.provenance import collect
from interp.extraction.stopping import keeping_what_is_done
from interp.extraction.summary import Summary
from interp.storage import RecordingPlan, RecordingWriter, StreamPlan, open_recording
from interp.wording import kind_of, size_text

if TYPE_CHECKING:
    from interp.capture import Captured, Recorder
    from interp.models import LoadedModel

STREAM = "text"
#: Rows copied at a time when the recording is assembled.
_BLOCK = 8192


class BatchRun:
    """One recording of one model over an iterable of batches; every row is a document.

    Parameters
    ----------
    loaded : LoadedModel
        An adapter is not needed.
    batches : iterable
        Gone through once; to resume it must give the same batches again.
    options, display
        As for :class:`interp.extraction.adapter_run.AdapterRun`.
    forward, lengths, names : callable, optional
        As for :func:`interp.extraction.record`.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        batches: Iterable[Any],
        options: Options,
        display: Display,
        forward: Callable[[Any, Any], Any] | None = None,
        lengths: Callable[[Any], Any] | None = None,
        names: Callable[[Any], Sequence[str]] | None = None,
    ) -> None:
        if not isinstance(batches, Iterable) or isinstance(batches, str | bytes | Path):
            other = "" if forward is not None else "text (a path, or a mapping of name to text) or "
            raise CorpusError(
                f"The corpus is {kind_of(batches)}; it must be {other}an iterable of batches, as "
                "a DataLoader is."
            )
        self._loaded = loaded
        self._batches = batches
        self._options = options
        self._display = display
        self._forward = forward or run_forward
        self._lengths = lengths
        self._names = names
        self._dtype = storage_dtype(options.dtype)
        self._folder = options.output.with_name(options.output.name + ".parts")
        self._n_documents = 0
        self._maps: dict[str, LoaderSite] = {}

    def record(self) -> Summary:
        """Record everything and return what was done; see :func:`interp.extraction.record`."""
        if done := self._finished():
            return done
        self._check_folder()
        torch.manual_seed(self._options.seed)
        batches = iter(self._batches)
        with torch.inference_mode():
            first = next(batches, None)
            if first is None:
                raise CorpusError("The corpus is empty: it gives no batch.")
            sites, lengths = self._probe(first)
            self._tell_estimate(sites, lengths)
            parts = Parts(self._folder, self._parts_plan(sites))
            meter = Meter(0, parts.n_positions, self._display.advanced)
            before = parts.n_positions
            with keeping_what_is_done(self._folder, lambda: meter.done):
                try:
                    self._run(parts, sites, first, batches, meter)
                    summary = self._assemble(parts, sites, meter, before)
                except Exception:
                    parts.close()
                    if not parts.records:
                        # Nothing to continue, so nothing to tell of and to clear away.
                        parts.remove()
                    raise
                except BaseException:
                    parts.close()
                    raise
        parts.close()
        parts.remove()
        return summary

    def _finished(self) -> Summary | None:
        """Return the summary of a recording that is complete already, when resuming."""
        output = self._options.output
        if not (self._options.resume and output.exists() and not self._folder.exists()):
            return None
        with open_recording(output) as recording:
            if not recording.is_complete:
                raise RecordingError(
                    f"{output} is not complete and {self._folder}, where the run kept its rows, "
                    "is gone; start anew with --overwrite."
                )
            stream = recording.streams[STREAM]
            units = [site.n_units for site in recording.sites.values()]
            return Summary(
                output, stream.n_documents, stream.n_positions, len(units), sum(units),
                output.stat().st_size, 0.0, 0.0, stream.n_positions,
            )  # fmt: skip

    def _check_folder(self) -> None:
        if not self._folder.exists() or self._options.resume:
            return
        if not self._options.overwrite:
            raise RecordingError(
                f"{self._folder} holds an unfinished run. Continue it with resume=True (--resume) "
                "or start anew with overwrite=True."
            )
        shutil.rmtree(self._folder)

    def _probe(self, batch: Any) -> tuple[dict[str, Any], np.ndarray]:
        """Run the first batch; return the sites that fired and the lengths of its rows."""
        maps = LoaderProbe(batch_rows(batch), self._lengths_of(batch), self._offsets_of(batch))
        module, options = self._loaded.module, self._options
        with make_recorder(self._loaded, options.sites, options, maps) as recorder:
            self._forward(module, to_device(batch, options.device))
            captured = aligned(side_by_side(recorder.take()), self._offsets_of(batch))
            found = {name: site for name, site in recorder.sites.items() if name in captured}
        sites = describe_sites(with_units(found, captured), options.dtype, STREAM)
        self._maps = maps.sites(options, bool(sites), STREAM)
        if sites:
            return sites, self._row_lengths(batch, captured, sites)
        return sites, next(iter(self._maps.values())).lengths(maps.lengths)

    def _lengths_of(self, batch: Any) -> LengthsOf:
        """Return what tells the real steps of each row of a batch while the model runs."""

        def lengths_of(n_rows: int, n_steps: int) -> np.ndarray:
            if self._lengths is not None:
                return checked_lengths(self._lengths(batch), n_rows, n_steps)
            return row_lengths(batch, n_rows, n_steps, None)

        return lengths_of

    def _offsets_of(self, batch: Any) -> LengthsOf:
        """Return what tells the first real step of each row of a batch."""
        if self._lengths is not None:
            return lambda n_rows, n_steps: np.zeros(n_rows, np.int64)
        return partial(row_offsets, batch)

    def _tell_estimate(self, sites: dict[str, Any], lengths: np.ndarray) -> None:
        """Tell the size where the number of batches is known, and refuse a disk too small."""
        try:
            n_batches = len(self._batches)  # type: ignore[arg-type]
        except TypeError:
            self._display.said("The corpus does not tell its length; recording until it ends.")
            return
        units = sum(site.n_units for site in sites.values())
        n_positions = int(lengths.sum())
        size = n_positions * units * np.dtype(self._options.dtype).itemsize
        size = n_batches * (size + sum(known.n_bytes(lengths) for known in self._maps.values()))
        self._display.estimated(
            Estimate(n_batches, n_batches * n_positions, len(sites), units, size, None)
        )
        if self._options.resume:
            return
        # Rows stand in the parts and in the recording until the recording is complete.
        free = shutil.disk_usage(self._options.output.resolve().parent).free
        if 2 * size > free:
            raise StorageError(
                f"The disk has {size_text(free)} free; this needs about "
                f"{size_text(2 * size)} ({size_text(size)}, twice until it is complete). "
                "Record fewer sites"
                + (", less of attention (attention='top-p:0.95' or 'stats')" if self._maps else "")
                + ", or onto another disk."
            )

    def _parts_plan(self, sites: dict[str, Any]) -> dict[str, Any]:
        described = {name: {"n_units": s.n_units, "per": s.per} for name, s in sites.items()}
        plan = {
            "model": self._loaded.weights_hash,
            "dtype": self._options.dtype,
            "sites": described,
        }
        if self._maps:
            plan["attention"] = {name: known.to_dict() for name, known in self._maps.items()}
        return plan

    def _run(
        self,
        parts: Parts,
        sites: dict[str, Any],
        first: Any,
        batches: Iterator[Any],
        meter: Meter,
    ) -> None:
        self._n_documents = parts.done_segments
        left = self._not_yet_done(_chain(first, batches), parts)
        start = next(left, None)
        if start is None:
            return
        thread = WriterThread(parts, self._options.commit_interval_s, meter.advance)
        try:
            maps = BatchMaps(self._maps, thread.submit, self._options.nonfinite == "store")
            asked = [*sites, *self._maps]
            with make_recorder(self._loaded, asked, self._options, maps) as recorder:
                for batch in _chain(start, left):
                    n_rows, told = batch_rows(batch), self._lengths_of(batch)
                    maps.begin(n_rows, told, self._offsets_of(batch), self._n_documents)
                    self._step(batch, recorder, sites, parts, thread, maps)
        finally:
            thread.finish()

    def _not_yet_done(self, batches: Iterator[Any], parts: Parts) -> Iterator[Any]:
        """Skip the batches that the log tells of, once they have proved to be the same."""
        for index, known in enumerate(list(parts.records)):
            batch = next(batches, None)
            if batch is None:
                raise RecordingError(
                    f"{self._folder} cannot be resumed: the corpus ends after {index} batches, "
                    f"{len(parts.records)} had been recorded."
                )
            if batch_hash(batch) != known.hash:
                raise RecordingError(
                    f"{self._folder} cannot be resumed: batch {index} of the corpus is not what "
                    "it was. A DataLoader must not shuffle."
                )
        yield from batches

    def _step(
        self,
        batch: Any,
        recorder: Recorder,
        sites: dict[str, Any],
        parts: Parts,
        thread: WriterThread,
        maps: BatchMaps,
    ) -> None:
        self._forward(self._loaded.module, to_device(batch, self._options.device))
        captured = aligned(side_by_side(recorder.take()), self._offsets_of(batch))
        maps.end()
        lengths = maps.lengths
        if sites:
            lengths = self._row_lengths(batch, captured, sites)
            maps.agree(lengths)
        assert lengths is not None
        names = self._row_names(batch, len(lengths))
        values = {
            name: self._stored(sites[name], part.values, lengths, names)
            for name, part in captured.items()
        }
        parts.expect(BatchRecord(batch_hash(batch), lengths.tolist(), names))
        thread.submit(StepResult(values, lengths, self._n_documents, None))
        self._n_documents += len(lengths)

    def _row_lengths(
        self, batch: Any, captured: Mapping[str, Captured], sites: dict[str, Any]
    ) -> np.ndarray:
        given = None if self._lengths is None else self._lengths(batch)
        return agreed_lengths(batch, captured, sites, given)

    def _row_names(self, batch: Any, n_rows: int) -> list[str]:
        if self._names is None:
            return [str(self._n_documents + row) for row in range(n_rows)]
        names = [str(name) for name in self._names(batch)]
        if len(names) != n_rows:
            raise CorpusError(f"names gives {len(names)} names for a batch of {n_rows} rows.")
        return names

    def _stored(
        self, site: Any, values: torch.Tensor, lengths: np.ndarray, names: list[str]
    ) -> np.ndarray:
        if values.shape[-1] != site.n_units:
            raise CaptureError(
                f"Site {site.name} had {site.n_units} units on the first batch and has "
                f"{values.shape[-1]} on a later one; such a site cannot be recorded into a file."
            )
        cube = values if values.ndim == 3 else values[:, None, :]
        allow = self._options.nonfinite == "store"
        real = lengths if values.ndim == 3 else np.ones_like(lengths)
        stored, misfit = to_storage(cube, self._dtype, real, allow_nonfinite=allow)
        if misfit is not None:
            place = f"position {misfit.step} of document {names[misfit.row]}"
            raise StorageError(overflow_message(site.name, misfit, place, self._options.dtype))
        return stored if values.ndim == 3 else stored[:, 0, :]

    def _assemble(self, parts: Parts, sites: dict[str, Any], meter: Meter, before: int) -> Summary:
        """Write the recording from the parts."""
        output = self._options.output
        plan = self._plan(parts, sites)
        ours = output.exists() and self._options.resume
        writer = (
            RecordingWriter.resume(output, plan)
            if ours
            else RecordingWriter.create(output, plan, overwrite=self._options.overwrite)
        )
        lengths = np.diff(plan.stream[STREAM].document_start)
        maps = [parts.maps.read(known, lengths) for known in self._maps.values()]
        with writer:
            for segment in range(len(plan.segments[STREAM])):
                pieces = [next(each) for each in maps]
                if segment < writer.done_segments:
                    continue
                for name in sites:
                    writer.write(name, segment, parts.read(name, *writer.rows(name, segment)))
                for piece in pieces:
                    piece.write(writer)
                writer.commit(segment + 1)
            writer.complete()
        return Summary(
            path=output,
            n_documents=parts.done_segments,
            n_positions=parts.n_positions,
            n_sites=len(sites),
            n_units=sum(site.n_units for site in sites.values()),
            size_bytes=output.stat().st_size,
            duration_s=meter.elapsed_s,
            rate=meter.rate,
            n_resumed=before,
            attention=kept_text(plan.attention, 0, 0),
        )

    def _plan(self, parts: Parts, sites: dict[str, Any]) -> RecordingPlan:
        lengths = [length for record in parts.records for length in record.lengths]
        names = [name for record in parts.records for name in record.names]
        real = np.array(lengths, np.int64)
        starts = {STREAM: _starts(real)}
        for known in self._maps.values():
            starts.setdefault(known.site.stream, _starts(known.lengths(real)))
        # Where there are maps a segment is a document.
        edges = starts if self._maps else {STREAM: _blocks(int(starts[STREAM][-1]))}
        digest = batch_hash([record.hash for record in parts.records])
        return RecordingPlan(
            streams=[StreamPlan(name, names, start) for name, start in starts.items()],
            sites=sites,
            segments={name: np.stack([at[:-1], at[1:]], axis=1) for name, at in edges.items()},
            attention={name: known.plan(real) for name, known in self._maps.items()},
            provenance=collect(self._loaded, self._options, "batches", digest),
            schedule={"kind": "batches"},
            nonfinite=self._options.nonfinite,
        )


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _blocks(n_positions: int) -> np.ndarray:
    return np.append(np.arange(0, n_positions, _BLOCK), n_positions)


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
