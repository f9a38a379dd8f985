"""From what the user names to what the model reads: by the streams of its adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.corpora import Corpus, Document, Images, Pairs, read_corpus, read_images, read_pairs
from interp.corpora.images import names_images
from interp.corpora.reading import JSON_LINES
from interp.errors import CorpusError, InterpError, ModelError
from interp.extraction.options import Options
from interp.models.adapter import IMAGE, SOURCE, streams_of

if TYPE_CHECKING:
    from interp.extraction.model_input import ModelInput
    from interp.models import LoadedModel

#: Files that hold pairs, or may.
_OF_PAIRS = (*JSON_LINES, ".tsv")


@dataclass(frozen=True)
class Reading:
    """How files are found and read; see :func:`interp.corpora.read_corpus`."""

    glob: str | None = None
    lines: bool = False
    field: str | None = None
    encoding: str = "utf-8"

    @property
    def is_said(self) -> bool:
        """Whether the user said anything that holds for files alone."""
        return any((self.glob, self.lines, self.field))


class GivenCorpus:
    """What the user named as a corpus, read as the model needs it.

    Texts are read at once, before a model is loaded, so that a mistyped path does not wait for it;
    what may be pairs or images is read when the model is there.

    Parameters
    ----------
    corpus : object
        As for :func:`interp.extraction.record`.
    reading : Reading
        How files are read.

    Raises
    ------
    CorpusError
        If it cannot be anything that a model reads.
    """

    def __init__(self, corpus: Any, reading: Reading) -> None:
        self._corpus = corpus
        self._reading = reading
        self._text: Corpus | None = None
        self._error: CorpusError | None = None
        if names_images(corpus) or _holds_pairs(corpus):
            return
        try:
            self._text = read_corpus(
                corpus, glob=reading.glob, lines=reading.lines, field=reading.field,
                encoding=reading.encoding,
            )  # fmt: skip
        except CorpusError as error:
            if not _may_be_pairs(corpus):
                raise
            self._error = error

    def input_of(
        self, loaded: LoadedModel, options: Options
    ) -> tuple[ModelInput, Callable[[], Any] | None]:
        """Return what the model reads, and what begins its state where it goes step by step.

        Raises
        ------
        InterpError
            If the corpus is of another kind than the model reads, or something in it is wrong.
        """
        if loaded.adapter is None:
            raise ModelError(
                f"{loaded.spec} is a bare module: there is no way from text to it. Give it an "
                "adapter (docs/recording-your-model.md), or record batches of a DataLoader from "
                "Python with forward=lambda model, batch: ..."
            )
        streams = streams_of(loaded.adapter)
        if IMAGE in streams:
            return self._images(loaded, options), None
        if SOURCE in streams:
            return self._pairs(loaded, options)
        return self._texts(loaded, options)

    def _texts(
        self, loaded: LoadedModel, options: Options
    ) -> tuple[ModelInput, Callable[[], Any] | None]:
        if self._text is None:
            raise self._error or CorpusError(
                f"{loaded.spec} reads texts, one stream of tokens; the corpus is "
                f"{'of images' if names_images(self._corpus) else 'of pairs'}."
            )
        if options.generate is not None:
            from interp.extraction.generation import generated_texts

            return generated_texts(loaded, self._text, options)
        from interp.extraction.text_input import TextInput

        return TextInput(loaded, self._text, options), None

    def _pairs(
        self, loaded: LoadedModel, options: Options
    ) -> tuple[ModelInput, Callable[[], Any] | None]:
        writes = options.generate is not None
        if names_images(self._corpus):
            raise CorpusError(f"{loaded.spec} reads pairs of texts; the corpus is of images.")
        reading, corpus = self._reading, self._corpus
        if isinstance(corpus, Corpus) or _is_documents(corpus):
            corpus = {document.name: document.text for document in corpus}
        if reading.lines and not writes:
            raise CorpusError("--lines is for texts; a file of pairs has one in each line anyway.")
        pairs = read_pairs(
            corpus, glob=reading.glob, field=reading.field, encoding=reading.encoding,
            with_targets=not writes,
        )  # fmt: skip
        if writes:
            from interp.extraction.generation import generated_pairs

            return generated_pairs(loaded, pairs, options)
        from interp.extraction.pair_input import PairInput

        return PairInput(loaded, pairs, options), None

    def _images(self, loaded: LoadedModel, options: Options) -> ModelInput:
        from interp.extraction.image_input import ImageInput

        if options.generate is not None:
            raise InterpError(f"--generate is for models that write; {loaded.spec} sees images.")
        if self._text is not None and not names_images(self._corpus):
            raise CorpusError(
                f"{loaded.spec} looks at images; the corpus is text. Give an array of images "
                "(.npy, .npz), a folder of pictures, or digits:test."
            )
        return ImageInput(loaded, read_images(self._corpus, glob=self._reading.glob), options)


def is_documents(corpus: Any) -> bool:
    """Return whether a corpus is texts, pairs or images, and no iterable of batches."""
    if isinstance(corpus, str | Path | Corpus | Pairs | Images | Mapping):
        return True
    if not isinstance(corpus, list | tuple):
        return False
    return all(isinstance(item, str | Path | Document) for item in corpus) or _holds_pairs(corpus)


def _holds_pairs(corpus: Any) -> bool:
    if isinstance(corpus, Pairs):
        return True
    items = list(corpus.values()) if isinstance(corpus, Mapping) else corpus
    return (
        isinstance(items, list | tuple)
        and bool(items)
        and all(
            isinstance(item, tuple | list)
            and len(item) == 2
            and all(isinstance(text, str) for text in item)
            for item in items
        )
    )


def _is_documents(corpus: Any) -> bool:
    return (
        isinstance(corpus, list | tuple)
        and bool(corpus)
        and all(isinstance(item, Document) for item in corpus)
    )


def _may_be_pairs(corpus: Any) -> bool:
    items = [corpus] if isinstance(corpus, str | Path) else corpus
    return (
        isinstance(items, list | tuple)
        and bool(items)
        and all(
            isinstance(item, str | Path) and Path(item).suffix in _OF_PAIRS and Path(item).exists()
            for item in items
        )
    )
