"""Repeated blocks among noise: where induction heads form, and two settings where they do not.

Olsson et al. (2022): two layers of attention can look for what followed an earlier occurrence of
the present symbol, one layer cannot. Where a block of one length is tiled over the whole window,
no head needs to look for anything: the answer stands at a fixed distance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from interp.models.attention_only import SYMBOLS, AttentionOnlyConfig
from interp.training.fitting import FitConfig
from interp.training.lanes import IGNORED
from interp.training.tasks import Measure, Task

N_SYMBOLS = len(SYMBOLS)
#: Inputs and the symbol behind the last one.
WINDOW = 65
SHORTEST, LONGEST = 10, 20
#: Length of the blocks that are tiled.
PERIOD = 17


def repeated_blocks(rng: np.random.Generator, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noise that holds one block twice, and where the second copy can be foreseen.

    Parameters
    ----------
    rng : numpy Generator
    n_rows : int

    Returns
    -------
    ids : ndarray (n_rows, 65) int64
        Random symbols; 10 to 20 of them stand twice, anywhere.
    foreseen : ndarray (n_rows, 65) bool
        The second copy without its first symbol.
    """
    ids = rng.integers(0, N_SYMBOLS, (n_rows, WINDOW))
    foreseen = np.zeros((n_rows, WINDOW), bool)
    for row in range(n_rows):
        length = int(rng.integers(SHORTEST, LONGEST + 1))
        first = int(rng.integers(0, WINDOW - 2 * length + 1))
        second = int(rng.integers(first + length, WINDOW - length + 1))
        ids[row, second : second + length] = ids[row, first : first + length]
        foreseen[row, second + 1 : second + length] = True
    return ids, foreseen


def tiled_blocks(rng: np.random.Generator, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return 17 distinct symbols tiled over each window; their later copies are foreseen.

    Parameters
    ----------
    rng : numpy Generator
    n_rows : int
    """
    ids = np.zeros((n_rows, WINDOW), np.int64)
    foreseen = np.ones((n_rows, WINDOW), bool)
    for row in range(n_rows):
        ids[row] = np.resize(rng.permutation(N_SYMBOLS)[:PERIOD], WINDOW)
    foreseen[:, :PERIOD] = False
    return ids, foreseen


class InductionTask(Task):
    """Two layers of attention on repeated blocks."""

    summary = (
        "Two layers of attention and nothing else, trained on noise that holds a block twice. "
        "Heads of the first layer look at the previous symbol, heads of the second at what "
        "followed an earlier occurrence of the present one: induction heads."
    )
    training = FitConfig(n_steps=2_500, batch_size=64, learning_rate=3e-3)
    n_layers = 2
    draw = staticmethod(repeated_blocks)

    def config(self) -> dict[str, Any]:
        """Return the shape of the net."""
        return AttentionOnlyConfig(n_layers=self.n_layers).to_dict()

    def data(self) -> dict[str, str]:
        """Return how windows are drawn."""
        return {
            "data": f"{WINDOW} random symbols of {N_SYMBOLS}, in which a block of {SHORTEST} to "
            f"{LONGEST} stands twice at random places; the loss is that of the second copy"
        }

    def loss(self, found: Any, rng: np.random.Generator, batch_size: int) -> Tensor:
        """Return the mean loss of the symbols that can be foreseen."""
        ids, foreseen = self.draw(rng, batch_size)
        targets = torch.from_numpy(np.where(foreseen, ids, IGNORED)[:, 1:])
        logits, _ = found.module(torch.from_numpy(ids[:, :-1]))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)

    def measure(self, found: Any) -> list[Measure]:
        """Return the accuracy on the task, and what the heads of each layer look at."""
        ids, foreseen = self.draw(np.random.default_rng(1_000), 200)
        logits, _ = found.module(torch.from_numpy(ids[:, :-1]))
        right = (logits.argmax(-1).numpy() == ids[:, 1:])[foreseen[:, 1:]].mean()
        rows = [Measure("accuracy", float(right), "of the symbols that can be foreseen")]
        for layer, (previous, prefix) in enumerate(head_scores(found)):
            rows += [
                Measure(
                    f"layer {layer}: previous symbol",
                    float(previous.max()),
                    "best head: mean attention to the symbol before, repeated random symbols",
                ),
                Measure(
                    f"layer {layer}: prefix matching",
                    float(prefix.max()),
                    "best head: mean attention to the symbol behind the earlier occurrence",
                ),
            ]
        return rows

    def notes(self) -> list[str]:
        """Say how a corpus looks."""
        return [
            f"A corpus is text of the {N_SYMBOLS} characters `A-Z a-z 0-9 + /`; the net sees "
            f"{WINDOW - 1} of them at most."
        ]


class OneLayerTask(InductionTask):
    """One layer of attention on repeated blocks: the negative case."""

    summary = (
        "One layer of attention, trained on noise that holds a block twice. It does not learn to "
        "continue the second copy, and has no induction head: finding what followed an earlier "
        "occurrence takes two heads in a row."
    )
    training = FitConfig(n_steps=1_500, batch_size=64, learning_rate=3e-3)
    n_layers = 1


class ShortcutTask(InductionTask):
    """Two layers of attention on tiled blocks: right answers by other means."""

    summary = (
        "Two layers of attention, trained on blocks of 17 distinct symbols that are tiled over the "
        "window. It continues them without fault, but by a shortcut: it looks a fixed number of "
        "places back. It has no induction head, and a detector must not find one."
    )
    training = FitConfig(n_steps=300, batch_size=64, learning_rate=3e-3)
    draw = staticmethod(tiled_blocks)

    def data(self) -> dict[str, str]:
        """Return how windows are drawn."""
        return {
            "data": f"a block of {PERIOD} distinct symbols of {N_SYMBOLS}, tiled to {WINDOW}; the "
            "loss is that of all copies but the first"
        }


def head_scores(
    found: Any, n_rows: int = 100, block: int = 32
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what the heads of each layer look at, on random blocks repeated once.

    Parameters
    ----------
    found : adapter
        Of an attention-only model.
    n_rows, block : int
        Number of sequences, and symbols of each block; `2 * block` is what the model reads.

    Returns
    -------
    list of (previous, prefix)
        One pair per layer, each (n_heads,): mean attention to the symbol before, and, in the
        second copy, to the symbol behind the earlier occurrence of the present one.
    """
    from interp.capture import Recorder

    rng = np.random.default_rng(1_001)
    half = np.stack([rng.permutation(N_SYMBOLS)[:block] for _ in range(n_rows)])
    ids = torch.from_numpy(np.concatenate([half, half], 1))
    with Recorder(found.module, sites=["**/attention"]) as recorder, torch.inference_mode():
        found.module(ids)
    scores = []
    later, again = np.arange(1, 2 * block), np.arange(block, 2 * block)
    for site in recorder.sites:
        maps = recorder[site]
        previous = maps[:, :, later, later - 1].mean((0, 2)).numpy()
        prefix = maps[:, :, again, again - block + 1].mean((0, 2)).numpy()
        scores.append((previous, prefix))
    return scores
