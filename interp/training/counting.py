"""Counting: as many b as there were a (Weiss, Goldberg & Yahav 2018)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from interp.models.symbols import SymbolModelConfig
from interp.training.fitting import FitConfig
from interp.training.lanes import IGNORED
from interp.training.tasks import Measure, Task

LONGEST = 50


def counted(n: int) -> str:
    """Return the word of n a and n b, with the end of line that closes it."""
    return "a" * n + "b" * n + "\n"


class CountingLSTM(Task):
    """An LSTM of 10 units."""

    cell: Literal["lstm", "gru"] = "lstm"
    training = FitConfig(n_steps=3_000, batch_size=16, learning_rate=1e-2)
    summary = (
        "An LSTM of 10 units that reads words of n a and then n b. Some of its cells count up at "
        "every a and down at every b."
    )

    def config(self) -> dict[str, Any]:
        """Return the shape of the net."""
        return SymbolModelConfig("\nab", self.cell).to_dict()

    def data(self) -> dict[str, str]:
        """Return how words are drawn."""
        return {
            "data": f"words of n a, n b and an end of line, n drawn from 1 to {LONGEST}; every "
            "word starts from a fresh state"
        }

    def loss(self, found: Any, rng: np.random.Generator, batch_size: int) -> Tensor:
        """Return the mean loss of the symbols that follow from those before: all after the b."""
        words = [counted(int(n)) for n in rng.integers(1, LONGEST + 1, batch_size)]
        ids = torch.full((batch_size, max(map(len, words))), IGNORED)
        for row, word in enumerate(words):
            ids[row, : len(word)] = torch.from_numpy(found.encode(word)[0])
        logits, _ = found.module(ids[:, :-1].clamp_min(0))
        return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=IGNORED)

    def measure(self, found: Any) -> list[Measure]:
        """Return the best correlation of a state with the count, at twice the length trained on."""
        best, width = counting_unit(found, 100)
        states = "cell states" if self.cell == "lstm" else "hidden states"
        right = np.mean([closes(found, n) for n in range(1, LONGEST + 1)])
        return [
            Measure("best |r|", best, f"of {states} with (number of a − number of b), n = 100"),
            Measure("range", width, "of that unit over the word"),
            Measure(
                "closed in time",
                float(right),
                f"share of n up to {LONGEST} for which the end of line is expected after the "
                "last b and not before",
            ),
        ]

    def notes(self) -> list[str]:
        """Say how a corpus looks."""
        return [
            "A corpus is one word per line: `interp record zoo:counting-lstm words.txt -o run.h5 "
            "--lines`. Every word must be a document of its own; the net never saw a symbol after "
            "an end of line."
        ]


class CountingGRU(CountingLSTM):
    """A GRU of 10 units, which cannot count far: its states stay between -1 and 1."""

    cell: Literal["lstm", "gru"] = "gru"
    summary = (
        "A GRU of 10 units that reads words of n a and then n b. Its states stay between -1 and 1, "
        "so that no unit counts the way an LSTM's cell does."
    )

    def notes(self) -> list[str]:
        """Say how a corpus looks."""
        return [note.replace("counting-lstm", "counting-gru") for note in super().notes()]


def counting_unit(found: Any, n: int) -> tuple[float, float]:
    """Return the best |r| of a state with the count over the word of `n`, and that unit's range.

    Cell states of an LSTM, hidden states of a GRU.
    """
    from interp.capture import Recorder

    ids = torch.from_numpy(found.encode(counted(n)[:-1])[0]).long()[None]
    cell = "cell" if hasattr(found.module, "lstm") else "hidden"
    with Recorder(found.module, sites=[f"*/l0/{cell}"]) as recorder:
        found.module(ids)
    (site,) = recorder.sites
    states = recorder[site][0].double().numpy()
    count = np.concatenate([np.arange(1, n + 1), np.arange(n - 1, -1, -1)])
    correlations = np.abs(np.corrcoef(states.T, count)[-1, :-1])
    best = int(np.nanargmax(correlations))
    return float(correlations[best]), float(np.ptp(states[:, best]))


def closes(found: Any, n: int) -> bool:
    """Return whether the end is the likeliest symbol after the last of `n` b, and not before."""
    ids = torch.from_numpy(found.encode(counted(n)[:-1])[0]).long()[None]
    with torch.inference_mode():
        likeliest = found.module(ids)[0][0].argmax(-1)
    end = found.vocabulary.index("\n")
    return bool(likeliest[-1] == end and (likeliest[n:-1] != end).all())
