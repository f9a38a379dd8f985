"""A source with attention whose every weight is known, for the tests of the attention page."""

from __future__ import annotations

import numpy as np

from dashboard.sources.attention import AttentionMemorySource

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


def image_source() -> AttentionMemorySource:
    """One image of 4 by 4 patches that look at themselves, and a class token that looks at all."""
    n = 17
    weights = np.eye(n, dtype=np.float32)
    weights[0] = np.arange(n) / np.arange(n).sum()
    picture = np.full((8, 8, 3), 200, np.uint8)
    rectangles = [[0, 0, 0, 0]]
    rectangles += [[2 * x, 2 * y, 2 * x + 2, 2 * y + 2] for y in range(4) for x in range(4)]
    return AttentionMemorySource(
        [("digit", "")],
        {"blocks.0.attention/attention": [weights[None]]},
        images=[(picture, np.array(rectangles))],
        has_text=False,
        n_positions=[n],
        name="digits",
    )
