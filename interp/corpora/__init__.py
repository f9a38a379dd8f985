"""Corpora: texts, pairs of texts and images as documents; batches of a DataLoader."""

from interp.corpora.documents import Corpus, Document
from interp.corpora.images import Images, read_images
from interp.corpora.pairs import Pair, Pairs, read_pairs
from interp.corpora.reading import CorpusLike, read_corpus

__all__ = [
    "Corpus",
    "CorpusLike",
    "Document",
    "Images",
    "Pair",
    "Pairs",
    "read_corpus",
    "read_images",
    "read_pairs",
]
