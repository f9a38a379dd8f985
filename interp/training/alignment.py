"""Whether cross-attention walks through the source: read off the maps, word by word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.training.dictionary import Entry


def padded(rows: list[np.ndarray], value: int = 0) -> tuple[Tensor, Tensor]:
    """Return rows of ids as (batch, longest) int64, filled up with `value`, and their lengths."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), int(lengths.max())), value)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.from_numpy(row)
    return ids, lengths


def pair_batch(found: Any, entries: list[Entry]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return source, its lengths, target and its lengths, of words as a decoder reads them."""
    source = padded([found.encode(entry.word, "source")[0] for entry in entries])
    target = padded([found.encode(entry.phones, "target")[0] for entry in entries])
    return *source, *target


def argmax_paths(found: Any, entries: list[Entry]) -> dict[str, list[np.ndarray]]:
    """Return where each row of each cross-attention head looks most.

    Parameters
    ----------
    found : PronunciationAdapter
    entries : list of Entry

    Returns
    -------
    dict
        ``"site:head"`` to one array (target positions,) of source positions per word. A word's
        rows are those that speak its phones and the one that ends it.
    """
    from interp.capture import Recorder

    paths: dict[str, list[np.ndarray]] = {}
    sites = ["decoder.attention/attention" if found.steps else "**.cross_attention/attention"]
    for some in _chunks(entries, 500):
        source, source_lengths, target, target_lengths = pair_batch(found, some)
        with (
            Recorder(found.module, sites=sites, steps=found.steps) as recorder,
            torch.inference_mode(),
        ):
            found.module(source, source_lengths, target)
        for site in recorder.sites:
            best = recorder[site].argmax(-1).numpy()
            for head in range(best.shape[1]):
                rows = [row[:n] for row, n in zip(best[:, head], target_lengths, strict=True)]
                paths.setdefault(f"{site}:{head}", []).extend(rows)
    return paths


def strict_share(paths: list[np.ndarray]) -> float:
    """Return the share of words in which every row looks further right than the one before.

    That no row looks further left would be no test: attention that never moves passes it.
    """
    return float(np.mean([bool((np.diff(path) > 0).all()) for path in paths]))


def _chunks(entries: list[Entry], size: int) -> Iterator[list[Entry]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
