"""Recording a model that reads text: plan, estimate, run, resume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interp.corpora import Corpus
from interp.errors import CorpusError, InterpError, ModelError
from interp.extraction.encoding import Encoded, Feed, encode_corpus
from interp.extraction.engine import Engine, describe_sites, make_recorder, probe_step
from interp.extraction.estimate import Estimate
from interp.extraction.options import Options
from interp.extraction.pipeline import WriterThread
from interp.extraction.progress import Display, Meter
from interp.extraction.provenance import collect
from interp.extraction.schedule import Schedule, Step, plan_schedule
from interp.extraction.stopping import keeping_what_is_done
from interp.extraction.summary import Summary
from interp.storage import PredictionPlan, RecordingPlan, RecordingWriter, StreamPlan

if TYPE_CHECKING:
    from interp.capture import Recorder
    from interp.models import LoadedModel

STREAM = "text"
#: Positions of the step that is timed for the estimate.
_TIMED_POSITIONS = 4096


class TextRun:
    """One recording of one model over one corpus of texts.

    Parameters
    ----------
    loaded : LoadedModel
        With an adapter.
    corpus : Corpus
        What it reads.
    options : Options
        The user's choices.
    display : Display
        Told of estimate and progress.
    """

    def __init__(
        self, loaded: LoadedModel, corpus: Corpus, options: Options, display: Display
    ) -> None:
        if loaded.adapter is None:
            raise ModelError(
                f"{loaded.spec} is a bare module: there is no way from text to it. Give it an "
                "adapter (docs/recording-your-model.md), or record batches of a DataLoader from "
                "Python with forward=lambda model, batch: ..."
            )
        self._loaded = loaded
        self._corpus = corpus
        self._options = options
        self._display = display
        self._encoded: Encoded = encode_corpus(loaded.adapter, corpus)
        if self._encoded.n_positions == 0:
            raise CorpusError(f"The corpus is empty: {corpus.source} encodes to no position.")
        whole = not loaded.carries_state
        if whole:
            self._refuse_long_documents()
        self.schedule: Schedule = plan_schedule(
            self._encoded.lengths, options.batch_size, options.window, whole=whole
        )
        self._start = self.schedule.document_start()
        self._top_k = min(options.top_k, len(loaded.adapter.vocabulary))
        feed = Feed(self._encoded, self._start, loaded.adapter.predicts, options.device)
        self._engine = Engine(
            loaded, feed, options.dtype, self._top_k, self._place, options.nonfinite == "store"
        )

    def record(self) -> Summary:
        """Record everything and return what was done.

        Raises
        ------
        InterpError
            With one message, whatever the reason; what was recorded is kept for ``resume``.
        """
        torch.manual_seed(self._options.seed)
        with torch.inference_mode():
            sites, has_logits = self._probe()
            plan = self._plan(sites, has_logits)
            if self._options.resume and self._options.output.exists():
                writer = RecordingWriter.resume(self._options.output, plan)
            else:
                self._display.estimated(self._estimate(plan))
                writer = RecordingWriter.create(
                    self._options.output, plan, overwrite=self._options.overwrite
                )
            return self._run(writer, plan)

    def _probe(self) -> tuple[dict[str, Any], bool]:
        """Run a short piece of text and return the sites that fired, and whether there are logits.

        A site that does not exist is so refused before anything is written.
        """
        first = next(iter(self.schedule.steps()))
        piece = (
            probe_step(first, 1, 64)
            if self._loaded.carries_state
            else probe_step(first, 1, self._options.max_document)
        )
        with self._recorder(self._options.sites) as recorder:
            _, logits = self._engine.forward(piece)
            recorder.take()
            found = dict(recorder.sites)
        self._refuse_windows_of(found)
        return describe_sites(found, self._options.dtype, STREAM), logits is not None

    def _plan(self, sites: dict[str, Any], has_logits: bool) -> RecordingPlan:
        adapter: Any = self._loaded.adapter
        options, corpus = self._options, self._corpus
        stream = StreamPlan(
            name=STREAM,
            document_names=[document.name for document in corpus],
            document_start=self._start,
            texts=[document.text for document in corpus],
            token_ids=self._encoded.ids,
            spans=self._encoded.spans,
            vocabulary=list(adapter.vocabulary),
        )
        predictions = None
        if self._top_k and has_logits:
            predictions = PredictionPlan(STREAM, adapter.predicts, self._top_k)
        return RecordingPlan(
            streams=[stream],
            sites=sites,
            predictions=predictions,
            segments=self.schedule.segments(),
            provenance=collect(self._loaded, options, corpus.source, corpus.hash()),
            schedule={"kind": "text", **self.schedule.to_dict()},
            nonfinite=options.nonfinite,
        )

    def _estimate(self, plan: RecordingPlan) -> Estimate:
        """Return size and, from one timed step, duration."""
        first = next(iter(self.schedule.steps()))
        rows = len(first.documents)
        piece = probe_step(first, rows, max(1, _TIMED_POSITIONS // rows))
        if not self._loaded.carries_state:
            piece = probe_step(first, rows, first.n_steps)
        with self._recorder(plan.sites) as recorder:
            taken_s = self._engine.time_step(piece, recorder)
        padded = sum(len(step.documents) * step.n_steps for step in self.schedule.steps())
        return Estimate(
            n_documents=len(self._corpus),
            n_positions=self._encoded.n_positions,
            n_sites=len(plan.sites),
            n_units=sum(site.n_units for site in plan.sites.values()),
            size_bytes=plan.n_bytes,
            duration_s=taken_s * padded / (rows * piece.n_steps),
        )

    def _run(self, writer: RecordingWriter, plan: RecordingPlan) -> Summary:
        done = writer.done_segments
        before = int(np.diff(plan.segments[STREAM][:done], axis=1).sum())
        meter = Meter(self._encoded.n_positions, before, self._display.advanced)
        losses = _MeanLoss()
        if done:
            self._display.said(f"{before:,} of {self._encoded.n_positions:,} positions are there.")
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
            n_documents=len(self._corpus),
            n_positions=self._encoded.n_positions,
            n_sites=len(plan.sites),
            n_units=sum(site.n_units for site in plan.sites.values()),
            size_bytes=self._options.output.stat().st_size,
            duration_s=meter.elapsed_s,
            rate=meter.rate,
            n_resumed=before,
            mean_loss=losses.mean(),
            left_out=self._corpus.left_out,
        )

    def _steps(
        self, plan: RecordingPlan, done: int, thread: WriterThread, losses: _MeanLoss
    ) -> None:
        if done == plan.n_segments:
            return
        with self._recorder(plan.sites) as recorder:
            for step in _from(self.schedule, done):
                if step.segment < done:
                    # Recorded before the interruption: only the state behind it is needed.
                    self._engine.forward(step)
                    recorder.take()
                    continue
                result = self._engine.run(step, recorder, thread.buffers)
                losses.add(result.predictions)
                thread.submit(result)

    def _recorder(self, sites: Iterable[str]) -> Recorder:
        return make_recorder(self._loaded.module, sites, self._options)

    def _place(self, document: int, position: int) -> str:
        return f"position {position} of {self._corpus[document].name}"

    def _refuse_windows_of(self, sites: dict[str, Any]) -> None:
        """Refuse a site with one row per forward where a document takes several forwards."""
        pooled = [name for name, site in sites.items() if site.per == "call"]
        window, longest = self.schedule.window, int(self._encoded.lengths.max())
        if pooled and window is not None and longest > window:
            raise InterpError(
                f"Site {pooled[0]} has no position axis, so it needs each document in one forward; "
                f"the longest has {longest:,} positions and --window is {window:,}. Choose other "
                "sites or a longer window."
            )

    def _refuse_long_documents(self) -> None:
        longest = int(np.argmax(self._encoded.lengths))
        length = int(self._encoded.lengths[longest])
        if length > self._options.max_document:
            raise InterpError(
                f"{self._corpus[longest].name} has {length:,} positions, and {self._loaded.spec} "
                "cannot carry its state from window to window (it is bidirectional, or its adapter "
                f"says so), so documents are fed whole, up to {self._options.max_document:,} "
                "positions. Cut the document, or raise --max-document if memory allows."
            )


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


def _from(schedule: Schedule, done: int) -> Iterator[Step]:
    """Yield the steps from the start of the batch in which segment `done` lies."""
    held: list[Step] = []
    for step in schedule.steps():
        if step.segment >= done:
            if step.start > 0:
                yield from held
            held = []
            yield step
        else:
            if step.start == 0:
                held = []
            held.append(step)
