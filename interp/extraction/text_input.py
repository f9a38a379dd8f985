"""Texts as a model reads them: one stream of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.corpora import Corpus
from interp.errors import CorpusError
from interp.extraction.encoding import Batch, Feed, encode_corpus
from interp.extraction.model_input import ModelInput, Written, schedule_for
from interp.extraction.options import Options
from interp.extraction.schedule import Step
from interp.models.adapter import TEXT
from interp.storage import StreamPlan

if TYPE_CHECKING:
    from interp.models import LoadedModel


class TextInput(ModelInput):
    """The documents of a corpus.

    Parameters
    ----------
    loaded : LoadedModel
        With an adapter of texts.
    corpus : Corpus
        What it reads.
    options : Options
        The user's choices.
    written : Written, optional
        Where the model wrote the ends of the documents itself.

    Raises
    ------
    InterpError
        If there is nothing to read, or a document is too long.
    """

    kind = "text"

    def __init__(
        self,
        loaded: LoadedModel,
        corpus: Corpus,
        options: Options,
        written: Written | None = None,
    ) -> None:
        super().__init__(loaded, written)
        self._corpus = corpus
        self._encoded = written.encoded if written else encode_corpus(self._adapter, corpus)
        if self._encoded.n_positions == 0:
            raise CorpusError(f"The corpus is empty: {corpus.source} encodes to no position.")
        if written is not None:
            self.schedule = written.schedule
        else:
            names = [document.name for document in corpus]
            self.schedule = schedule_for(loaded, options, self._encoded.lengths, names)
        self._start = self.schedule.document_start()
        self.source, self.corpus_hash, self.left_out = corpus.source, corpus.hash(), corpus.left_out
        self._feed = Feed(self._encoded, self._start, self.predicts, options.device)

    def streams(self) -> list[StreamPlan]:
        """Return the one stream, ``"text"``."""
        return [
            StreamPlan(
                name=TEXT,
                document_names=[document.name for document in self._corpus],
                document_start=self._start,
                texts=[document.text for document in self._corpus],
                token_ids=self._encoded.ids,
                spans=self._encoded.spans,
                vocabulary=list(self._adapter.vocabulary),
            )
        ]

    def batch(self, step: Step) -> Batch:
        """Return what a step feeds."""
        return self._feed.batch(step)

    def place(self, document: int, position: int) -> str:
        """Return the name of a place, for messages."""
        return f"position {position} of {self._corpus[document].name}"
