"""Recording a model that takes batches of a DataLoader: run into part files, then assemble."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interp.errors import CaptureError, CorpusError, RecordingError, StorageError
from interp.extraction.attention_batches import BatchMaps
from interp.extraction.attention_costs import kept_text
from interp.extraction.attention_pieces import MapBatch
from interp.extraction.batch_assembly import assemble, finished
from interp.extraction.batch_streams import BatchStreams
from interp.extraction.batches import aligned, batch_hash, batch_rows, side_by_side, with_units
from interp.extraction.conversion import (
    overflow_message,
    refuse_complex,
    storage_dtype,
    to_storage,
)
from interp.extraction.engine import make_recorder
from interp.extraction.estimate import Estimate
from interp.extraction.given_batches import GivenBatches
from interp.extraction.loader_probe import LoaderProbe
from interp.extraction.loader_sites import LoaderSite
from interp.extraction.options import Options
from interp.extraction.parts import BatchRecord, CommittedParts, Parts
from interp.extraction.pipeline import StepResult, WriterThread, write_step
from interp.extraction.progress import Display, Meter
from interp.extraction.rehearsal import other_values
from interp.extraction.same_values import Comparison, share_of
from interp.extraction.stopping import keeping_what_is_done
from interp.extraction.summary import Summary
from interp.wording import size_text

if TYPE_CHECKING:
    from interp.capture import Captured, Recorder
    from interp.models import LoadedModel


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
        self._loaded = loaded
        self._given = GivenBatches(loaded, batches, options.device, forward, lengths, names)
        self._options = options
        self._display = display
        self._dtype = storage_dtype(options.dtype)
        self._folder = options.output.with_name(options.output.name + ".parts")
        self._n_documents = 0
        self._sites: dict[str, Any] = {}
        self._maps: dict[str, LoaderSite] = {}

    def record(self) -> Summary:
        """Record everything and return what was done; see :func:`interp.extraction.record`."""
        if done := finished(self._folder.exists(), self._options, str(self._folder)):
            return done
        self._check_folder()
        torch.manual_seed(self._options.seed)
        with torch.inference_mode():
            first, batches = self._given.begin()
            self._tell_estimate(self._probe(first))
            parts = Parts(self._folder, self._parts_plan())
            meter = Meter(0, parts.n_positions, self._display.advanced)
            before = parts.n_positions
            with keeping_what_is_done(self._folder, lambda: meter.done):
                try:
                    self._run(parts, batches, meter)
                    summary = self._assembled(parts, meter, before)
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

    def _check_folder(self) -> None:
        if not self._folder.exists() or self._options.resume:
            return
        if not self._options.overwrite:
            raise RecordingError(
                f"{self._folder} holds an unfinished run. Continue it with resume=True (--resume) "
                "or start anew with overwrite=True."
            )
        shutil.rmtree(self._folder)

    def _probe(self, batch: Any) -> dict[str, np.ndarray]:
        """Run a batch, note the sites that fired; return the lengths of its rows by stream."""
        streams, options = self._given.streams(batch), self._options
        maps = LoaderProbe(batch_rows(batch), streams)
        with make_recorder(self._loaded, options.sites, options, maps) as recorder:
            self._given.run(batch)
            captured = self._captured(recorder, streams)
            found = {name: site for name, site in recorder.sites.items() if name in captured}
        for name, site in with_units(found, captured).items():
            shape, stream = captured[name].values.shape, streams.lead
            if site.per == "position" and len(shape) == 3:
                stream = streams.stream_of(name, shape[1])
            self._sites[name] = replace(site, dtype=options.dtype, stream=stream)
        self._maps = maps.sites(options, bool(self._sites))
        options.check_attention(bool(self._maps))
        return streams.agreed(captured, self._sites) if self._sites else maps.lengths

    def _captured(self, recorder: Recorder, streams: BatchStreams) -> dict[str, Captured]:
        """Return what was recorded of a batch, heads side by side, real steps first."""

        def offsets_of(name: str, n_rows: int, n_steps: int) -> np.ndarray:
            known = self._sites.get(name)
            stream = streams.stream_of(name, n_steps) if known is None else known.stream
            return streams.offsets(stream, n_rows, n_steps)

        return aligned(side_by_side(recorder.take()), offsets_of)

    def _tell_estimate(self, lengths: Mapping[str, np.ndarray]) -> None:
        """Tell the size where the number of batches is known, and refuse a disk too small."""
        n_batches = self._given.n_batches
        if n_batches is None:
            self._display.said("The corpus does not tell its length; recording until it ends.")
            return
        each = np.dtype(self._options.dtype).itemsize
        size = sum(
            site.n_units * each * int(lengths[site.stream].sum()) for site in self._sites.values()
        )
        size = n_batches * (size + sum(known.n_bytes(lengths) for known in self._maps.values()))
        units = sum(site.n_units for site in self._sites.values())
        n_positions = sum(int(rows.sum()) for rows in lengths.values())
        self._display.estimated(
            Estimate(n_batches, n_batches * n_positions, len(self._sites), units, size, None)
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

    def _parts_plan(self) -> dict[str, Any]:
        described = {
            name: {"n_units": site.n_units, "per": site.per, "stream": site.stream}
            for name, site in self._sites.items()
        }
        plan = {
            "model": self._loaded.weights_hash,
            "dtype": self._options.dtype,
            "sites": described,
        }
        if self._maps:
            plan["attention"] = {name: known.to_dict() for name, known in self._maps.items()}
        return plan

    def _run(self, parts: Parts, batches: Iterator[Any], meter: Meter) -> None:
        self._n_documents = parts.done_segments
        left = self._not_yet_done(batches, parts)
        start = next(left, None)
        if start is None:
            return
        thread = WriterThread(parts, self._options.commit_interval_s, meter.advance)
        try:
            maps = BatchMaps(self._maps, thread.submit, self._options.nonfinite == "store")
            asked = [*self._sites, *self._maps]
            with make_recorder(self._loaded, asked, self._options, maps) as recorder:
                for batch in chain([start], left):
                    self._step(batch, recorder, parts, thread, maps)
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
            if index == 0:
                self._refuse_other_values(batch, parts)
        yield from batches

    def _step(
        self, batch: Any, recorder: Recorder, parts: Parts, thread: WriterThread, maps: BatchMaps
    ) -> None:
        result, record = self._computed(batch, recorder, maps, self._n_documents)
        parts.expect(record)
        thread.submit(result)
        self._n_documents += len(result.lengths)

    def _computed(
        self, batch: Any, recorder: Recorder, maps: BatchMaps, first: int
    ) -> tuple[StepResult, BatchRecord]:
        """Run a batch, whose rows are documents from `first` on; return what it adds."""
        streams = self._given.streams(batch)
        maps.begin(batch_rows(batch), streams, first)
        self._given.run(batch)
        captured = self._captured(recorder, streams)
        reach, lengths = maps.end(), maps.lengths
        if self._sites:
            lengths = streams.agreed(captured, self._sites)
            maps.agree(lengths)
        lengths = {name: lengths[name] for name in streams.names if name in lengths}
        rows = lengths[next(iter(lengths))]
        names = self._given.names(batch, len(rows), first)
        by_site = {name: lengths[self._sites[name].stream] for name in captured}
        values = {
            name: self._stored(self._sites[name], part.values, by_site[name], names)
            for name, part in captured.items()
        }
        by_stream = {name: found.tolist() for name, found in lengths.items()}
        n = sum(int(found.sum()) for found in lengths.values())
        result = StepResult(values, rows, first, None, site_lengths=by_site, n_positions=n)
        return result, BatchRecord(batch_hash(batch), by_stream, names, reach=reach)

    def _refuse_other_values(self, batch: Any, parts: Parts) -> None:
        """Compute the first batch again and compare it with what is recorded of it."""
        recorded = CommittedParts(parts, self._maps, parts.records[0].n_rows)
        comparison = Comparison(recorded, share_of(self._loaded.module))

        def compare(maps: MapBatch) -> None:
            for piece in maps.pieces:
                piece.write(comparison)

        maps = BatchMaps(self._maps, compare, self._options.nonfinite == "store")
        asked = [*self._sites, *self._maps]
        with make_recorder(self._loaded, asked, self._options, maps) as recorder:
            write_step(comparison, self._computed(batch, recorder, maps, 0)[0])
        if comparison.difference is not None:
            raise RecordingError(other_values(str(self._folder), str(comparison.difference)))

    def _stored(
        self, site: Any, values: torch.Tensor, lengths: np.ndarray, names: list[str]
    ) -> np.ndarray:
        if values.shape[-1] != site.n_units:
            raise CaptureError(
                f"Site {site.name} had {site.n_units} units on the first batch and has "
                f"{values.shape[-1]} on a later one; such a site cannot be recorded into a file."
            )
        refuse_complex(site.name, values)
        cube = values if values.ndim == 3 else values[:, None, :]
        allow = self._options.nonfinite == "store"
        real = lengths if values.ndim == 3 else np.ones_like(lengths)
        stored, misfit = to_storage(cube, self._dtype, real, allow_nonfinite=allow)
        if misfit is not None:
            place = f"position {misfit.step} of document {names[misfit.row]}"
            raise StorageError(overflow_message(site.name, misfit, place, self._options.dtype))
        return stored if values.ndim == 3 else stored[:, 0, :]

    def _assembled(self, parts: Parts, meter: Meter, before: int) -> Summary:
        if not parts.done_segments:
            raise CorpusError("The corpus is empty: its batches have no row.")
        plan = assemble(parts, self._sites, self._maps, self._loaded, self._options)
        return Summary(
            path=self._options.output,
            n_documents=parts.done_segments,
            n_positions=parts.n_positions,
            n_sites=len(self._sites),
            n_units=sum(site.n_units for site in self._sites.values()),
            size_bytes=self._options.output.stat().st_size,
            duration_s=meter.elapsed_s,
            rate=meter.rate,
            n_resumed=before,
            attention=kept_text(plan.attention, 0, 0),
        )
