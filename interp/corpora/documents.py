"""A corpus in memory: named documents in a fixed order, and a hash of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interp.corpora.items import Items, hash_of_texts
from interp.errors import CorpusError
from interp.wording import count


@dataclass(frozen=True)
class Document:
    """One contiguous text; the state of a model starts fresh at its start.

    Attributes
    ----------
    name : str
        What the user sees: a path as typed, or below a directory as typed, or ``file.txt:12``.
    text : str
        As it stands in the file: line ends and tabs untouched.
    """

    name: str
    text: str


@dataclass(frozen=True)
class Corpus(Items[Document]):
    """Documents in the order in which a recording holds them.

    Text is held in memory. A recording is hundreds to thousands of times as large as its text,
    so a disk that holds the one goes with a memory that holds the other.

    Attributes
    ----------
    documents : tuple of Document
        At least one, none of them empty.
    source : str
        Where they come from, in the user's words.
    n_empty : int
        Documents without a character, which were left out.
    noun : str
        What to call those.
    """

    documents: tuple[Document, ...]
    source: str = "documents"
    n_empty: int = 0
    noun: str = "document"

    @property
    def _items(self) -> tuple[Document, ...]:
        return self.documents

    @property
    def left_out(self) -> str:
        """What was left out, such as ``"1 empty file left out"``; empty when nothing was."""
        return f"{count(self.n_empty, f'empty {self.noun}')} left out" if self.n_empty else ""

    @property
    def n_characters(self) -> int:
        """Characters of all documents together."""
        return sum(len(document.text) for document in self.documents)

    def hash(self) -> str:
        """Return the SHA-256 of the texts and where they are cut, in hexadecimal.

        Names do not count: the same files reached through another path are the same corpus.
        """
        return hash_of_texts(document.text for document in self.documents)


def as_corpus(documents: Sequence[Document], source: str, noun: str = "document") -> Corpus:
    """Return a corpus of the documents that hold text.

    Raises
    ------
    CorpusError
        If none does.
    """
    kept = tuple(document for document in documents if document.text)
    if not kept:
        n = len(documents)
        what = "no document" if not n else count(n, f"empty {noun}") + " and no text"
        raise CorpusError(f"The corpus is empty: {source} holds {what}. Name a source with text.")
    return Corpus(kept, source, len(documents) - len(kept), noun)
