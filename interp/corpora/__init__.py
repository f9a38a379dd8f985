"""Corpora: files, directories, lines and JSONL as documents; batches of a DataLoader."""

from interp.corpora.documents import Corpus, Document
from interp.corpora.reading import CorpusLike, read_corpus

__all__ = ["Corpus", "CorpusLike", "Document", "read_corpus"]
