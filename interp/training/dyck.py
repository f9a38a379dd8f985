"""Nested brackets of two kinds: a Dyck language of bounded depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from interp.models.symbols import SymbolModelConfig
from interp.training.fitting import FitConfig
from interp.training.lanes import IGNORED
from interp.training.tasks import Measure, Task

DEEPEST = 10
PAIRS = ("()", "[]")


def nested(rng: np.random.Generator, shortest: int = 20, longest: int = 80) -> str:
    """Return one balanced word of two kinds of brackets, at most `DEEPEST` deep.

    Parameters
    ----------
    rng : numpy Generator
    shortest, longest : int
        Bounds of the length before what is still open is closed.
    """
    n = int(rng.integers(shortest, longest + 1))
    opens, kinds = rng.random(n) < 0.5, rng.integers(0, 2, n)
    word: list[str] = []
    waiting: list[str] = []
    for is_open, kind in zip(opens, kinds, strict=True):
        if not waiting or (is_open and len(waiting) < DEEPEST):
            word.append(PAIRS[kind][0])
            waiting.append(PAIRS[kind][1])
        else:
            word.append(waiting.pop())
    return "".join(word + waiting[::-1])


def depths(word: str) -> np.ndarray:
    """Return the depth behind each symbol of `word`, (n_symbols,) int."""
    return np.cumsum([1 if symbol in "([" else -1 for symbol in word])


class DyckTask(Task):
    """An LSTM of 48 units that knows how deep it is and which bracket is open."""

    summary = (
        "An LSTM of 48 units that reads nested brackets of two kinds, at most 10 deep. It knows "
        "which kind must be closed next, and its states hold the depth."
    )
    training = FitConfig(n_steps=1_500, batch_size=32, learning_rate=1e-2)

    def config(self) -> dict[str, Any]:
        """Return the shape of the net."""
        return SymbolModelConfig("\n()[]", "lstm", n_hidden=48).to_dict()

    def data(self) -> dict[str, str]:
        """Return how words are drawn."""
        return {
            "data": "balanced words of ( ) [ ] and an end of line: a bracket opens or closes with "
            f"equal chances for 20 to 80 symbols, at most {DEEPEST} deep, then all are closed; "
            "every word starts from a fresh state"
        }

    def loss(self, found: Any, rng: np.random.Generator, batch_size: int) -> Tensor:
        """Return the mean loss of the next symbol."""
        words = [nested(rng) + "\n" for _ in range(batch_size)]
        ids = torch.full((batch_size, max(map(len, words))), IGNORED)
        for row, word in enumerate(words):
            ids[row, : len(word)] = torch.from_numpy(found.encode(word)[0])
        logits, _ = found.module(ids[:, :-1].clamp_min(0))
        return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=IGNORED)

    def measure(self, found: Any) -> list[Measure]:
        """Return how surely it closes the right kind, and how plainly it holds the depth."""
        rng = np.random.default_rng(1_000)
        words = [nested(rng) for _ in range(200)]
        states, labels = states_and_depths(found, words)
        centred = states - states.mean(0)
        correlations = (centred * (labels - labels.mean())[:, None]).mean(0) / (
            states.std(0) * labels.std() + 1e-12
        )
        return [
            Measure(
                "right kind",
                closing_accuracy(found, words),
                "share of closing brackets for which the right kind is likelier than the wrong",
            ),
            Measure("best |r|", float(np.abs(correlations).max()), "of a cell with the depth"),
        ]

    def notes(self) -> list[str]:
        """Say how a corpus looks."""
        return [
            "A corpus is one word per line: `interp record zoo:dyck words.txt -o run.h5 --lines`. "
            "Every word must be a document of its own; the net never saw a symbol after an end of "
            "line."
        ]


def closing_accuracy(found: Any, words: list[str]) -> float:
    """Return the share of closing brackets whose kind the model prefers to the other kind."""
    right = []
    closing = [found.vocabulary.index(pair[1]) for pair in PAIRS]
    for word in words:
        ids = torch.from_numpy(found.encode(word)[0]).long()[None]
        logits = found.module(ids)[0][0, :-1][:, closing]
        asked = [(t, ")]".index(symbol)) for t, symbol in enumerate(word[1:]) if symbol in ")]"]
        steps, kinds = map(torch.tensor, zip(*asked, strict=True))
        right.append(logits[steps].argmax(-1) == kinds)
    return float(torch.cat(right).float().mean())


def states_and_depths(found: Any, words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return cells (n_symbols, n_units) of all words, and the depth at each symbol."""
    from interp.capture import Recorder

    states = []
    with Recorder(found.module, sites=["lstm/l0/cell"]) as recorder:
        for word in words:
            found.module(torch.from_numpy(found.encode(word)[0]).long()[None])
            states.append(recorder.take()["lstm/l0/cell"].values[0].double().numpy())
    return np.concatenate(states), np.concatenate([depths(word) for word in words])
