"""Recording a model through its adapter: plan, estimate, run, resume."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interp.errors import InterpError
from interp.extraction.attention_costs import estimate_attention, in_form, is_large, kept_text
from interp.extraction.attention_patterns import MapProbe
from interp.extraction.attention_plans import AttentionPlanner, matrices_of
from interp.extraction.attention_sink import AttentionSink
from interp.extraction.engine import Engine, make_recorder, probe_step
from interp.extraction.estimate import Estimate
from interp.extraction.model_input import ModelInput
from interp.extraction.options import Options
from interp.extraction.pipeline import WriterThread
from interp.extraction.probing import placed_windows, probing_step, usable_sites
from interp.extraction.progress import Display, Meter
from interp.extraction.provenance import collect
from interp.extraction.rehearsal import (
    refuse_other_values,
    refuse_padding_in_values,
    whole_steps,
)
from interp.extraction.same_values import share_of
from interp.extraction.schedule import Schedule, Step
from interp.extraction.site_streams import with_streams
from interp.extraction.stopping import keeping_what_is_done
from interp.extraction.summary import Summary
from interp.extraction.windows import Windows
from interp.storage import (
    AttentionPlan,
    PredictionPlan,
    RecordingPlan,
    RecordingWriter,
    StreamPlan,
    open_recording,
)
from interp.storage.attention_plan import is_sparse
from interp.storage.attention_site import TOP_P
from interp.storage.target import free_bytes

if TYPE_CHECKING:
    from interp.capture import Recorder
    from interp.capture.records import Consume
    from interp.models import LoadedModel
    from interp.sites import SiteDescription

#: Positions of the step that is timed for the estimate.
_TIMED_POSITIONS = 4096


class AdapterRun:
    """One recording of one model over documents that its adapter reads.

    Parameters
    ----------
    loaded : LoadedModel
        With an adapter.
    given : ModelInput
        The documents.
    options : Options
        The user's choices.
    display : Display
        Told of estimate and progress.
    begin : callable, optional
        Gives the state before the first position, for a model that hands its state on only then.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        given: ModelInput,
        options: Options,
        display: Display,
        begin: Callable[[], Any] | None = None,
    ) -> None:
        self._loaded = loaded
        self._given = given
        self._options = options
        self._display = display
        self._streams: Sequence[StreamPlan] = ()
        self._n_documents = len(given.schedule.lengths)
        self._windows: Mapping[str, Windows] = {}
        self._in_pieces = loaded.carries_state or begin is not None
        adapter: Any = loaded.adapter
        self._top_k = min(options.top_k, len(adapter.vocabulary))
        if given.predicts is None:
            self._top_k = 0
        self._engine = Engine(
            loaded,
            given,
            options.dtype,
            self._top_k,
            given.place,
            options.nonfinite == "store",
            begin,
        )

    def record(self) -> Summary:
        """Record everything and return what was done.

        Raises
        ------
        InterpError
            With one message, whatever the reason; what was recorded is kept for ``resume``.
        """
        torch.manual_seed(self._options.seed)
        self._say_windows()
        with torch.inference_mode():
            sites, attention, has_logits = self._probe()
            plan = self._plan(sites, attention, has_logits)
            self._engine.sites = plan.sites
            self._engine.windows = self._windows
            self._engine.sink = self._sink(plan)
            if self._options.resume and self._options.output.exists():
                writer = RecordingWriter.resume(self._options.output, plan)
            else:
                self._check_padding(plan)
                estimate, plan = self._estimate(plan)
                self._display.estimated(estimate)
                writer = RecordingWriter.create(
                    self._options.output, plan, overwrite=self._options.overwrite
                )
            return self._run(writer, plan)

    @property
    def schedule(self) -> Schedule:
        """Which positions are fed when."""
        return self._given.schedule

    @property
    def _n_positions(self) -> int:
        return sum(stream.n_positions for stream in self._streams)

    def _say_windows(self) -> None:
        window, stride = self.schedule.window, self.schedule.stride
        if window is not None and stride is not None:
            n = int(np.count_nonzero(self.schedule.lengths > window))
            self._display.said(
                f"{n:,} of {self._n_documents:,} documents are longer than {window:,} positions "
                f"and are read in windows of that length, {stride:,} apart; a position is "
                "recorded from the first window that holds it."
            )

    def _probe(self) -> tuple[dict[str, SiteDescription], dict[str, AttentionPlan], bool]:
        """Run a short piece and return the sites that fired, and whether there are logits.

        A site that does not exist is so refused before anything is written.
        """
        piece = probing_step(self.schedule, self._in_pieces)
        maps = MapProbe(piece.parts, self._given.probe(piece).n_fed)
        with self._recorder(self._options.sites, maps) as recorder:
            batch, logits = self._engine.probe(piece)
            asked, n_rows = self._options.sites, len(piece.documents)
            found, shapes, said = usable_sites(recorder, maps.shapes, asked, n_rows, batch.n_fed)
        placed = placed_windows(
            self._loaded.module, lambda: self._engine.probe(piece), found, shapes,
            asked, n_rows, batch.n_fed,
        )  # fmt: skip
        found, shapes, self._windows = placed.sites, placed.shapes, placed.windows
        if self._options.attention_keys == "all":
            self._windows = {name: known.whole() for name, known in placed.windows.items()}
        for line in filter(None, (said, placed.said)):
            self._display.said(line)
        self._refuse_windows_of(found)
        sites = with_streams(found, shapes, batch.n_fed, self._options.dtype)
        self._given.keep({site.stream for site in sites.values()})
        self._streams = self._given.streams()
        planner = AttentionPlanner(self._streams, self.schedule, self._options, self._windows)
        attention = planner.plans(sites, maps)
        self._options.check_attention(bool(attention))
        return matrices_of(sites, shapes), attention, logits is not None

    def _sink(self, plan: RecordingPlan) -> AttentionSink | None:
        """Return what takes the attention maps; None when no site of attention is recorded."""
        if not plan.attention:
            return None
        streams = plan.stream.values()
        return AttentionSink(
            plan.attention,
            {stream.name: stream.document_start for stream in streams},
            {stream.name: stream.token_ids for stream in streams if stream.token_ids is not None},
            self._given.place,
            allow_nonfinite=self._options.nonfinite == "store",
            windows=self._windows,
        )

    def _plan(
        self,
        sites: dict[str, SiteDescription],
        attention: dict[str, AttentionPlan],
        has_logits: bool,
    ) -> RecordingPlan:
        options, given = self._options, self._given
        predictions = None
        if self._top_k and has_logits:
            predictions = PredictionPlan(self.schedule.stream, given.predicts, self._top_k)
        return RecordingPlan(
            streams=self._streams,
            sites=sites,
            predictions=predictions,
            segments={s.name: self.schedule.segments(s.name) for s in self._streams},
            provenance=collect(self._loaded, options, given.source, given.corpus_hash),
            schedule={"kind": given.kind, **self.schedule.to_dict(), **given.said()},
            annotations=given.annotations(),
            nonfinite=options.nonfinite,
            attention=attention,
        )

    def _estimate(self, plan: RecordingPlan) -> tuple[Estimate, RecordingPlan]:
        """Return size and, from one timed step, duration; and the plan, which may know more now."""
        first = next(iter(self.schedule.steps()))
        rows = len(first.documents)
        limit = max(1, _TIMED_POSITIONS // rows) if self._in_pieces else None
        piece = probe_step(first, rows, limit)
        free = free_bytes(self._options.output)
        if self._engine.sink is not None and is_large(plan, free):
            self._engine.sink.measure()
        with self._recorder([*plan.sites, *plan.attention], self._engine.sink) as recorder:
            taken_s = self._engine.time_step(piece, recorder)
        share = 1.0
        if self._engine.sink is not None:
            share = self._engine.sink.kept_share()
            if is_sparse(plan):
                plan = in_form(plan, TOP_P, share)
        padded = sum(len(step.documents) * step.n_steps for step in self.schedule.steps())
        estimate = Estimate(
            n_documents=self._n_documents,
            n_positions=self._n_positions,
            n_sites=len(plan.sites),
            n_units=sum(site.n_units for site in plan.sites.values()),
            size_bytes=plan.n_bytes,
            duration_s=taken_s * padded / (rows * piece.n_steps),
            attention=estimate_attention(plan, share, free),
        )
        return estimate, plan

    def _run(self, writer: RecordingWriter, plan: RecordingPlan) -> Summary:
        with keeping_what_is_done(
            self._options.output, lambda: plan.positions_before(writer.done_segments)
        ):
            self._check_resumed(writer, plan)
        done = writer.done_segments
        before = plan.positions_before(done)
        meter = Meter(self._n_positions, before, self._display.advanced)
        losses = _MeanLoss()
        if done:
            self._display.said(f"{before:,} of {self._n_positions:,} positions are there.")
        with keeping_what_is_done(self._options.output, lambda: meter.done), writer:
            thread = WriterThread(writer, self._options.commit_interval_s, meter.advance)
            try:
                self._steps(plan, done, thread, losses)
            finally:
                # On an error too: what is in the queue has been computed, so it is kept.
                thread.finish()
            writer.complete()
        return Summary(
            path=self._options.output,
            n_documents=self._n_documents,
            n_positions=self._n_positions,
            n_sites=len(plan.sites),
            n_units=sum(site.n_units for site in plan.sites.values()),
            size_bytes=self._options.output.stat().st_size,
            duration_s=meter.elapsed_s,
            rate=meter.rate,
            n_resumed=before,
            mean_loss=recorded_loss(self._options.output) if before else losses.mean(),
            left_out=self._given.left_out,
            attention=self._kept(plan),
        )

    def _check_resumed(self, writer: RecordingWriter, plan: RecordingPlan) -> None:
        """Let a continued run begin with a whole step, of a model that computes the same."""
        if not 0 < writer.done_segments < writer.n_segments:
            return
        try:
            whole_steps(self.schedule, writer)
            share = share_of(self._loaded.module)
            record = partial(self._recorder, [*plan.sites, *plan.attention], self._engine.sink)
            refuse_other_values(self._engine, self.schedule, writer, record, share)
        except BaseException:
            writer.close()
            raise

    def _check_padding(self, plan: RecordingPlan) -> None:
        """Refuse a model into whose values padding finds its way."""
        if self._in_pieces or not plan.sites:
            return  # forwards in time alone; of maps the sink sees it
        sink, self._engine.sink = self._engine.sink, None
        share, spec = share_of(self._loaded.module), self._loaded.spec
        record = partial(self._recorder, list(plan.sites))
        refuse_padding_in_values(self._engine, self.schedule, record, share, spec)
        self._engine.sink = sink

    def _kept(self, plan: RecordingPlan) -> str:
        sink = self._engine.sink
        return "" if sink is None else kept_text(plan.attention, sink.n_seen, sink.n_kept)

    def _steps(
        self, plan: RecordingPlan, done: int, thread: WriterThread, losses: _MeanLoss
    ) -> None:
        if done == plan.n_segments:
            return
        if self._engine.sink is not None:
            self._engine.sink.submit = thread.submit
        with self._recorder([*plan.sites, *plan.attention], self._engine.sink) as recorder:
            for step in _from(self.schedule, done, self._in_pieces):
                if step.segment < done:
                    # Recorded before the interruption: only the state behind it is needed.
                    self._engine.forward(step)
                    recorder.take()
                    continue
                result = self._engine.run(step, recorder, thread.buffers)
                losses.add(result.predictions)
                thread.submit(result)

    def _recorder(self, sites: Iterable[str], consume: Consume | None = None) -> Recorder:
        return make_recorder(self._loaded, sites, self._options, consume)

    def _refuse_windows_of(self, sites: dict[str, SiteDescription]) -> None:
        """Refuse a site with one row per forward where a document takes several forwards."""
        pooled = [name for name, site in sites.items() if site.per == "call" and not site.n_heads]
        if not pooled:
            return
        many = next((step for step in self.schedule.steps() if step.start > 0), None)
        if many is not None:
            longest = int(self.schedule.lengths.max())
            fed = (
                "--generate feeds one by one"
                if self.schedule.prompts is not None
                else (f"--window is {self.schedule.window:,}")
            )
            raise InterpError(
                f"Site {pooled[0]} has no position axis, so it needs each document in one forward; "
                f"the longest has {longest:,} positions and {fed}. Choose other sites or a longer "
                "window."
            )


def recorded_loss(path: Path) -> float:
    """Return the mean of all losses of a recording; NaN where it has none."""
    with open_recording(path) as recording:
        if recording.predictions is None:
            return float("nan")
        total, n = 0.0, 0
        for block in recording.predictions.loss.blocks():
            known = block[~np.isnan(block)]
            total, n = total + float(known.sum(dtype=np.float64)), n + known.size
    return total / n if n else float("nan")


class _MeanLoss:
    """The mean of all losses that are numbers."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, predictions: Any) -> None:
        if predictions is not None:
            loss = predictions.loss[~np.isnan(predictions.loss)]
            self._sum += float(loss.sum(dtype=np.float64))
            self._count += loss.size

    def mean(self) -> float:
        return self._sum / self._count if self._count else float("nan")


def _from(schedule: Schedule, done: int, carries: bool) -> Iterator[Step]:
    """Yield the steps from segment `done` on.

    Where a state is carried they begin with the batch in which that segment lies.
    """
    held: list[Step] = []
    for step in schedule.steps():
        if step.segment >= done:
            if step.start > 0 and carries:
                yield from held
            held = []
            yield step
        else:
            if step.start == 0:
                held = []
            held.append(step)
