"""A source with attention whose every weight is known, for the tests of the attention page."""

from __future__ import annotations

import numpy as np

from dashboard.sources.attention import AttentionInfo, AttentionMemorySource
from dashboard.sources.protocol import SiteInfo, StreamInfo

WORDS = ["the", " cat", " sat", " on", " the", " mat", "<b>", "\u202e\x00"]
OTHER = ["one", " two", " three"]
LAYERS = ["h.0.attn/attention", "h.1.attn/attention"]


def previous(n: int) -> np.ndarray:
    """A head that looks at the position before; the first looks at itself."""
    weights = np.zeros((n, n), np.float32)
    weights[np.arange(1, n), np.arange(n - 1)] = 0.75
    weights[np.arange(1, n), np.arange(1, n)] = 0.25
    weights[0, 0] = 1
    return weights


def first(n: int) -> np.ndarray:
    """A head that looks at the first position."""
    weights = np.zeros((n, n), np.float32)
    weights[:, 0] = 1
    return weights


def even(n: int) -> np.ndarray:
    """A head that looks at everything before it alike."""
    return (np.tri(n) / np.arange(1, n + 1)[:, None]).astype(np.float32)


def skipping(n: int) -> np.ndarray:
    """A head that looks three positions back."""
    weights = np.zeros((n, n), np.float32)
    weights[np.arange(n), np.maximum(0, np.arange(n) - 3)] = 1
    return weights


def maps(n: int) -> list[np.ndarray]:
    """(n_heads, n, n) of both layers."""
    return [np.stack([previous(n), first(n)]), np.stack([even(n), skipping(n)])]


def vectors(n: int) -> dict[str, np.ndarray]:
    """Queries and keys whose softmax of scaled products is the first head of the second layer."""
    rng = np.random.default_rng(1)
    flat = np.zeros((2, n, 4), np.float32)
    return {"query": flat + 1, "key": flat * 0 + rng.normal(size=(2, 1, 4)).astype(np.float32)}


def attention_source(n_long: int = 300) -> AttentionMemorySource:
    """Three documents: eight hostile words, three words, and a long one of one word each."""
    texts = [WORDS, OTHER, [f" w{i}" for i in range(n_long)]]
    spans = []
    for words in texts:
        ends = np.cumsum([len(word) for word in words])
        spans.append(np.stack([ends - [len(word) for word in words], ends], 1))
    names = ["hostile <i>name</i>", "other", "long"]
    documents = [(name, "".join(words)) for name, words in zip(names, texts, strict=True)]
    lengths = [len(words) for words in texts]
    layered = [maps(n) for n in lengths]
    n_positions = sum(lengths)
    guesses = [[" cat", " dog"]] * n_positions
    return AttentionMemorySource(
        documents,
        {site: [layered[d][layer] for d in range(3)] for layer, site in enumerate(LAYERS)},
        {"h.0/output": np.zeros((n_positions, 3), np.float16)},
        {
            f"h.1.attn/{signal}": [vectors(n)[signal] for n in lengths]
            for signal in ("query", "key")
        },
        spans=spans,
        loss=np.ones(n_positions, np.float32),
        predictions=(guesses, np.tile(np.array([0.6, 0.4], np.float32), (n_positions, 1))),
        name="heads",
    )


def grid(n: int, size: int) -> list[list[int]]:
    """Rectangles of n by n patches of an image of size by size pixels."""
    step = size // n
    return [
        [step * x, step * y, step * (x + 1), step * (y + 1)] for y in range(n) for x in range(n)
    ]


def image_source() -> AttentionMemorySource:
    """Two images of 4 by 4 patches that look at themselves; a class token looks at all."""
    n = 17
    weights = np.eye(n, dtype=np.float32)
    weights[0] = np.arange(n) / np.arange(n).sum()
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (200, 100)]
    rectangles = np.array([[0, 0, 0, 0], *grid(4, 8)])
    return AttentionMemorySource(
        [("digit", ""), ("other", "")],
        {"blocks.0.attention/attention": [weights[None]] * 2},
        images=[(picture, rectangles) for picture in pictures],
        has_text=False,
        n_positions=[n, n],
        name="digits",
    )


class StreamsSource(AttentionMemorySource):
    """Several streams, each of one word a position, and heads from one to another.

    `words` is stream -> documents -> words; `heads` site -> (stream, key stream), one head each
    whose row q is 1 at key q modulo keys; `images` stream -> documents -> picture, rectangles.
    """

    def __init__(self, name, words, heads, images=None):
        self.words = {
            stream: [list(document) for document in found] for stream, found in words.items()
        }
        self.pictures = images or {}
        longest = next(iter(self.words.values()))
        super().__init__(
            [(f"document {i}", "".join(found)) for i, found in enumerate(longest)],
            {},
            spans=[self._spans_of(found) for found in longest],
            name=name,
            stream=next(iter(self.words)),
        )
        self._streams = {stream: self._info(stream) for stream in self.words}
        self._sites = {
            f"{stream}/output": SiteInfo(f"{stream}/output", "output", 1, "float16", stream, stream)
            for stream in self.words
            if stream not in self.pictures
        }
        self._attention_sites = {
            site: AttentionInfo(site, site.rpartition("/")[0], 1, *streams)
            for site, streams in heads.items()
        }

    @staticmethod
    def _spans_of(words):
        ends = np.cumsum([len(word) for word in words])
        return np.stack([ends - [len(word) for word in words], ends], 1)

    def _info(self, stream):
        starts = np.cumsum([0, *(len(found) for found in self.words[stream])])
        names = [f"document {i}" for i in range(len(self.words[stream]))]
        return StreamInfo(
            stream, int(starts[-1]), names, starts, stream not in self.pictures, False
        )

    def unit(self, site, unit, start, stop):
        return np.zeros(stop - start, np.float16)

    def window(self, site, start, stop):
        return np.zeros((stop - start, 1), np.float16)

    def text(self, stream, document):
        return "".join(self.words[stream][document])

    def spans(self, stream, document):
        return self._spans_of(self.words[stream][document])

    def tokens(self, stream, document, window):
        return self.words[stream][document][slice(*window)]

    @property
    def image_streams(self):
        return list(self.pictures)

    def image(self, stream, document):
        return self.pictures[stream][document][0]

    def rectangles(self, stream, document):
        return np.array(self.pictures[stream][document][1])

    def key_range(self, site, document, queries):
        n_keys = len(self.words[self._attention_sites[site].key_stream][document])
        return np.tile([0, n_keys], (queries[1] - queries[0], 1))

    def attention(self, site, document, head, queries, keys):
        info = self._attention_sites[site]
        n, n_keys = (len(self.words[name][document]) for name in (info.stream, info.key_stream))
        weights = np.eye(n_keys, dtype=np.float32)[np.arange(n) % n_keys]
        return weights[slice(*queries), slice(*keys)]


def pair_source() -> StreamsSource:
    """Words to phonemes: an encoder of a short stream, a decoder of a longer one."""
    words = {
        "source": [["a", "b", "c"], ["d", "e"]],
        "target": [[f"T{i}" for i in range(80)], [f"U{i}" for i in range(40)]],
    }
    heads = {
        "encoder/attention": ("source", "source"),
        "decoder.self/attention": ("target", "target"),
        "decoder.cross/attention": ("target", "source"),
    }
    return StreamsSource("pairs", words, heads)


class FarSource(StreamsSource):
    """A decoder whose first layer looks at key 300 + q from query q, its second at all alike."""

    def __init__(self, n_source=400, n_target=20):
        words = {
            "source": [[f"s{i}" for i in range(n)] for n in (n_source, 5)],
            "target": [[f"t{i}" for i in range(n)] for n in (n_target, 3)],
        }
        heads = {
            f"decoder.{layer}.{kind}/attention": ("target", stream)
            for layer in range(2)
            for kind, stream in (("self", "target"), ("cross", "source"))
        }
        super().__init__("far", words, heads)

    def attention(self, site, document, head, queries, keys):
        if not site.endswith("cross/attention") or document == 1:
            return super().attention(site, document, head, queries, keys)
        n, n_keys = (len(self.words[name][0]) for name in ("target", "source"))
        if site.startswith("decoder.1"):
            weights = np.full((n, n_keys), 1 / n_keys, np.float32)
        else:
            weights = np.eye(n_keys, dtype=np.float32)[300 + np.arange(n)]
        return weights[slice(*queries), slice(*keys)]


def resolution_source() -> StreamsSource:
    """One image in patches of two sizes: 4 by 4 in the first layer, 2 by 2 in the second."""
    picture = np.full((8, 8, 3), 200, np.uint8)
    words = {"image": [[str(i) for i in range(16)]], "image_2x2": [[str(i) for i in range(4)]]}
    images = {"image": [(picture, grid(4, 8))], "image_2x2": [(picture, grid(2, 8))]}
    heads = {
        "stage.0/attention": ("image", "image"),
        "stage.1/attention": ("image_2x2", "image_2x2"),
    }
    return StreamsSource("grids", words, heads, images)
