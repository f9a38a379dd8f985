"""Pairs of texts as an encoder–decoder reads them: a source, and a target read step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interp.corpora import Pairs
from interp.errors import CorpusError, InterpError
from interp.extraction.encoding import Batch, Encoded, Feed, encode_texts
from interp.extraction.model_input import ModelInput, Written, batch_budget, refuse_long
from interp.extraction.options import Options
from interp.extraction.schedule import DEFAULT_WINDOW, Step, plan_schedule
from interp.models.adapter import SOURCE, TARGET
from interp.storage import StreamPlan

if TYPE_CHECKING:
    from interp.models import LoadedModel


class PairInput(ModelInput):
    """Pairs of source and target.

    Both are fed whole: every step of the decoder sees the whole source.

    Parameters
    ----------
    loaded : LoadedModel
        With an adapter of pairs.
    pairs : Pairs
        What it reads, with targets.
    options : Options
        The user's choices.
    written : Written, optional
        Where the model wrote the targets itself.

    Raises
    ------
    InterpError
        If a text cannot be encoded, or is longer than the model reads.
    """

    kind = "pairs"

    def __init__(
        self,
        loaded: LoadedModel,
        pairs: Pairs,
        options: Options,
        written: Written | None = None,
    ) -> None:
        super().__init__(loaded, written)
        self._pairs = pairs
        names = [pair.name for pair in pairs]
        self._sources = encode_side(self._adapter, pairs, SOURCE)
        self._targets = written.encoded if written else encode_side(self._adapter, pairs, TARGET)
        _refuse_windows(loaded, options)
        for encoded in (self._sources, self._targets):
            refuse_beyond_context(loaded, encoded.lengths, names)
            refuse_long(loaded, options, encoded.lengths, names)
        if written is not None:
            self.schedule = written.schedule
        else:
            self.schedule = plan_schedule(
                self._targets.lengths,
                options.batch_size,
                DEFAULT_WINDOW,
                whole=True,
                budget=batch_budget(loaded, options),
                stream=TARGET,
                beside={SOURCE: self._sources.lengths},
            )
        self.source, self.corpus_hash = pairs.source, pairs.hash()
        self._feeds = {
            name: Feed(encoded, self.schedule.document_start(name), self.predicts, options.device)
            for name, encoded in ((SOURCE, self._sources), (TARGET, self._targets))
        }
        self._device = options.device

    def streams(self) -> list[StreamPlan]:
        """Return the streams ``"source"`` and ``"target"``."""
        sides = (
            (SOURCE, self._sources, self._adapter.source_vocabulary),
            (TARGET, self._targets, self._adapter.vocabulary),
        )
        return [
            StreamPlan(
                name=name,
                document_names=[pair.name for pair in self._pairs],
                document_start=self.schedule.document_start(name),
                texts=[getattr(pair, name) or "" for pair in self._pairs],
                token_ids=encoded.ids,
                spans=encoded.spans,
                vocabulary=list(vocabulary),
            )
            for name, encoded, vocabulary in sides
        ]

    def batch(self, step: Step) -> Batch:
        """Return what a step feeds; the source is left out once it has been fed."""
        return self._batch(step, 0)

    def probe(self, step: Step) -> Batch:
        """Return what a step feeds, padding the source further where both are equally long."""
        equal = step.parts[SOURCE].n_fed == step.parts[TARGET].n_fed
        return self._batch(step, 1 if equal else 0)

    def place(self, document: int, position: int) -> str:
        """Return the name of a place, for messages."""
        return f"position {position} of {self._pairs[document].name}"

    def _batch(self, step: Step, n_more: int) -> Batch:
        inputs, lengths, n_fed = {}, {}, {}
        for name, part in step.parts.items():
            if not part.lengths.any():
                n_fed[name] = 0
                continue
            more = n_more if name == SOURCE else 0
            ids = self._feeds[name].padded_ids(step.documents, part, more)
            inputs[name] = torch.from_numpy(ids).to(self._device)
            lengths[name] = torch.from_numpy(part.fed_lengths.copy())
            n_fed[name] = ids.shape[1]
        targets = self._feeds[TARGET].targets(step.documents, step.parts[TARGET])
        return Batch(inputs, lengths, targets, n_fed)


def encode_side(adapter: Any, pairs: Pairs, stream: str) -> Encoded:
    """Return the sources or the targets of pairs as ids.

    Raises
    ------
    CorpusError
        If the adapter refuses one, or encodes it to nothing.
    """
    texts = [(pair.name, getattr(pair, stream) or "") for pair in pairs]
    vocabulary = adapter.source_vocabulary if stream == SOURCE else adapter.vocabulary
    encoded = encode_texts(lambda text: adapter.encode(text, stream), texts, len(vocabulary))
    if not encoded.lengths.all():
        name = texts[int(np.argmin(encoded.lengths))][0]
        what = "its start token at least" if stream == TARGET else "a text"
        raise CorpusError(f"The {stream} of {name} encodes to no position; {what} is needed.")
    return encoded


def refuse_beyond_context(
    loaded: LoadedModel, lengths: np.ndarray, names: Sequence[str], advice: str = ""
) -> None:
    """Refuse a document that is longer than the model reads at once.

    Raises
    ------
    InterpError
        Naming it.
    """
    context = getattr(loaded.adapter, "context_length", None)
    longest = int(lengths.argmax())
    if context is not None and int(lengths[longest]) > context:
        raise InterpError(
            f"{names[longest]} has {int(lengths[longest]):,} positions, and {loaded.spec} reads at "
            f"most {context:,} at once. "
            + (advice or "Cut it, or leave it out: pairs are fed whole.")
        )


def _refuse_windows(loaded: LoadedModel, options: Options) -> None:
    if options.stride is not None:
        raise InterpError(
            f"--stride is for texts; {loaded.spec} reads pairs, whose source and target are fed "
            "whole."
        )
