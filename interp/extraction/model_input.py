"""What a run needs to know of the documents that a model reads, whatever their kind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interp.errors import InterpError
from interp.extraction.encoding import Batch, Encoded
from interp.extraction.options import Options
from interp.extraction.schedule import DEFAULT_WINDOW, Schedule, Step, plan_schedule
from interp.storage import AnnotationPlan, StreamPlan
from interp.wording import count

if TYPE_CHECKING:
    import numpy as np

    from interp.models import LoadedModel

#: Numbers in the logits of one forward, at most, unless one document alone has more: 256 MB.
LOGITS_PER_FORWARD = 2**26


@dataclass(frozen=True)
class Written:
    """What a model wrote behind its prompts, and how it is fed again to be recorded.

    Attributes
    ----------
    encoded : Encoded
        Prompts and what was written behind them.
    schedule : Schedule
        The steps in which it was written, or one pass.
    annotations : tuple of AnnotationPlan
        Which positions the model wrote.
    said : dict
        How it came about, for the recording's schedule.
    """

    encoded: Encoded
    schedule: Schedule
    annotations: tuple[AnnotationPlan, ...]
    said: dict[str, Any]


class ModelInput:
    """Documents as a model reads them; of texts, pairs and images each has a class of its own.

    Parameters
    ----------
    loaded : LoadedModel
        With an adapter.
    written : Written, optional
        Where the model wrote the text itself.

    Attributes
    ----------
    kind : str
        For the recording's schedule: ``"text"``, ``"pairs"`` or ``"images"``.
    schedule : Schedule
        Which positions are fed when.
    source, corpus_hash, left_out : str
        The corpus in the user's words, the hash of what it holds, and what of it is not recorded.
    predicts : {"next", "same"} or None
        What the logits at a position of the leading stream speak about; None when there are none.
    """

    kind: str
    schedule: Schedule
    source: str
    corpus_hash: str
    left_out: str = ""

    def __init__(
        self,
        loaded: LoadedModel,
        written: Written | None = None,
    ) -> None:
        self._adapter: Any = loaded.adapter
        self._written = written
        self.predicts: Any = getattr(loaded.adapter, "predicts", None)

    def annotations(self) -> Sequence[AnnotationPlan]:
        """Return what is known about the positions beforehand."""
        return () if self._written is None else self._written.annotations

    def said(self) -> dict[str, Any]:
        """Return more about how the values come about, for the schedule in the file."""
        return {} if self._written is None else self._written.said

    def streams(self) -> list[StreamPlan]:
        """Return the streams as the recording holds them."""
        raise NotImplementedError

    def keep(self, streams: Collection[str]) -> None:
        """Leave out streams to which no site belongs, where some may be left out."""

    def batch(self, step: Step) -> Batch:
        """Return what a step feeds."""
        raise NotImplementedError

    def probe(self, step: Step) -> Batch:
        """Return what a step feeds, no two streams padded to the same length."""
        return self.batch(step)

    def place(self, document: int, position: int) -> str:
        """Return the name of a place of the leading stream, for messages."""
        raise NotImplementedError


def schedule_for(
    loaded: LoadedModel,
    options: Options,
    lengths: np.ndarray,
    names: Sequence[str],
    **more: Any,
) -> Schedule:
    """Return the schedule of documents of these lengths, by what the model and the user say.

    A model that carries its state is fed windows that follow each other. Any other is fed whole
    documents, or, where they are longer than its context, or a stride is asked for, windows that
    overlap.

    Parameters
    ----------
    loaded : LoadedModel
        With an adapter.
    options : Options
        Window, stride, batch size and longest document.
    lengths : array (n_documents,)
        In the leading stream.
    names : sequence of str
        Of the documents, for messages.
    **more
        Further attributes of the schedule.

    Raises
    ------
    InterpError
        If a document is too long, or window and stride do not fit the model or each other.
    """
    if loaded.carries_state:
        if options.stride is not None:
            raise InterpError(
                f"--stride is for models that start each window anew; {loaded.spec} carries its "
                "state from window to window, so every position has all of its left context."
            )
        return plan_schedule(lengths, options.batch_size, options.window or DEFAULT_WINDOW, **more)
    budget = batch_budget(loaded, options)
    window = _window(loaded, options)
    if window is None or int(lengths.max()) <= window:
        refuse_long(loaded, options, lengths, names)
        return plan_schedule(
            lengths, options.batch_size, DEFAULT_WINDOW, whole=True, budget=budget, **more
        )
    stride = options.stride or max(1, window // 2)
    return plan_schedule(lengths, options.batch_size, window, stride=stride, budget=budget, **more)


def batch_budget(loaded: LoadedModel, options: Options) -> int:
    """Return how many positions, padding included, a model without a state reads in a forward."""
    adapter: Any = loaded.adapter
    budget = options.batch_size * (options.window or DEFAULT_WINDOW)
    return max(1, min(budget, LOGITS_PER_FORWARD // max(1, len(adapter.vocabulary))))


def _window(loaded: LoadedModel, options: Options) -> int | None:
    """Return the length of overlapping windows; None to feed documents whole."""
    context = getattr(loaded.adapter, "context_length", None)
    window = options.window
    if context is not None and window is not None and window > context:
        raise InterpError(
            f"--window is {window:,}, but {loaded.spec} reads at most "
            f"{count(context, 'position')} at once."
        )
    if context is None and options.stride is None:
        return None
    window = window or context
    if window is None:
        raise InterpError(
            f"--stride {options.stride:,} needs --window, the length of a window: {loaded.spec} "
            "names no longest one."
        )
    if options.stride is not None and options.stride > window:
        raise InterpError(
            f"--stride is {options.stride:,} and --window {window:,}: positions between two "
            "windows would be left out. Choose a stride of at most the window."
        )
    return min(window, options.max_document)


def refuse_long(
    loaded: LoadedModel, options: Options, lengths: np.ndarray, names: Sequence[str]
) -> None:
    """Refuse a document that would have to be fed whole and is too long for that.

    Raises
    ------
    InterpError
        Naming the longest document.
    """
    longest = int(lengths.argmax())
    length = int(lengths[longest])
    if length > options.max_document:
        raise InterpError(
            f"{names[longest]} has {length:,} positions, and {loaded.spec} "
            "cannot carry its state from window to window (it is bidirectional, or its adapter "
            f"says so), so documents are fed whole, up to {options.max_document:,} "
            "positions. Cut the document, feed it in overlapping windows with --window and "
            "--stride, or raise --max-document if memory allows."
        )
