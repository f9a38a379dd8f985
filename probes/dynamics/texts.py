"""Windows of text for a model with an adapter: where gradients are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from interp.errors import InterpError, ModelError
from probes.dynamics.truncation import Run

#: Rows that are run together.
ROWS = 8
#: How far into a document a window starts, at most: its state is computed from the start.
FURTHEST = 2_000


@dataclass(frozen=True)
class Window:
    """The same stretch of several documents, with the state they have reached there.

    Attributes
    ----------
    ids, targets : Tensor (rows, steps) int64
        What the model reads, and what its predictions are about.
    state : object
        Of the model, as if the documents had been read from their start.
    documents : ndarray (rows,)
    """

    ids: Tensor
    targets: Tensor
    state: Any
    documents: np.ndarray


def require_text(adapter: Any, spec: str) -> Any:
    """Return the adapter of a model that reads one stream of text, or refuse the model."""
    if adapter is None:
        raise ModelError(
            f"{spec} is a bare module: there is no way from text to it. Give it an adapter "
            "(docs/recording-your-model.md), or call the function of probes.dynamics from Python "
            "with batches of your own (docs/dynamics.md)."
        )
    if len(getattr(adapter, "streams", ("text",))) != 1:
        raise ModelError(
            f"{spec} reads {' and '.join(adapter.streams)}; only models of one stream of text can "
            "be read from here. Call the function of probes.dynamics from Python instead."
        )
    return adapter


def windows(
    adapter: Any, documents: Sequence[np.ndarray], n_steps: int, n_windows: int, seed: int = 0
) -> Iterator[Window]:
    """Yield windows drawn from documents, some rows at a time, each with its true state.

    Parameters
    ----------
    adapter : Adapter
    documents : sequence of ndarray (n_positions,)
        Token ids.
    n_steps, n_windows : int
    seed : int
        Of the draw.

    Raises
    ------
    InterpError
        If no document is as long as a window.
    """
    usable = _long_enough(documents, n_steps + 1)
    rng = np.random.default_rng(seed)
    n_left = n_windows
    while n_left > 0:
        rows = np.sort(rng.permutation(usable)[: min(ROWS, n_left)])
        last = min(len(documents[row]) for row in rows) - n_steps - 1
        start = int(rng.integers(0, min(last, FURTHEST) + 1)) if adapter.carries_state else 0
        ids = _block(documents, rows, start + n_steps + 1)
        state = None
        if start:
            with torch.no_grad():
                lengths = torch.full((len(rows),), start)
                _, state = adapter.forward(ids[:, :start], lengths, None)
        shift = 1 if adapter.predicts == "next" else 0
        yield Window(
            ids[:, start : start + n_steps], ids[:, start + shift : start + shift + n_steps],
            state, rows,
        )  # fmt: skip
        n_left -= len(rows)


def forward(adapter: Any) -> Callable[[Any, Window], Tensor]:
    """Return a function that reads a window and gives its logits."""

    def run(model: Any, window: Window) -> Tensor:
        logits, _ = adapter.forward(window.ids, _lengths(window.ids), window.state)
        return logits

    return run


def losses(logits: Tensor | None, window: Window) -> Tensor:
    """Return the loss of every position in nats, (rows, steps)."""
    return _cross_entropy(logits, window.targets)


def reader(adapter: Any, ids: Tensor) -> Run:
    """Return a function that reads documents (rows, steps + 1) piece by piece, with losses."""
    shift = 1 if adapter.predicts == "next" else 0

    def run(start: int, stop: int, state: Any) -> tuple[Tensor, Any]:
        piece = ids[:, start:stop]
        logits, state = adapter.forward(piece, _lengths(piece), state)
        return _cross_entropy(logits, ids[:, start + shift : stop + shift]), state

    return run


def readers(
    adapter: Any, documents: Sequence[np.ndarray], n_steps: int, n_documents: int, seed: int = 0
) -> tuple[list[Run], int]:
    """Return readers of the beginnings of documents, and how many documents there are.

    Raises
    ------
    InterpError
        If the model cannot go on from a state, or no document is long enough.
    """
    if not adapter.carries_state:
        raise ModelError(
            "Truncated back-propagation carries the state from window to window; this model's "
            "adapter carries none (carries_state is false)."
        )
    usable = _long_enough(documents, n_steps + 1)
    rows = np.sort(np.random.default_rng(seed).permutation(usable)[:n_documents])
    groups = [rows[i : i + ROWS] for i in range(0, len(rows), ROWS)]
    return [reader(adapter, _block(documents, group, n_steps + 1)) for group in groups], len(rows)


def _long_enough(documents: Sequence[np.ndarray], n_positions: int) -> np.ndarray:
    found = [i for i, document in enumerate(documents) if len(document) >= n_positions]
    if not found:
        longest = max((len(document) for document in documents), default=0)
        raise InterpError(
            f"A window of {n_positions - 1:,} steps needs documents of {n_positions:,} positions; "
            f"the longest has {longest:,}. Ask for fewer lags or steps, or give longer documents."
        )
    return np.array(found)


def _block(documents: Sequence[np.ndarray], rows: np.ndarray, n_positions: int) -> Tensor:
    cut = [np.asarray(documents[row][:n_positions], np.int64) for row in rows]
    return torch.from_numpy(np.stack(cut))


def _lengths(ids: Tensor) -> Tensor:
    return torch.full((len(ids),), ids.shape[1])


def _cross_entropy(logits: Tensor | None, targets: Tensor) -> Tensor:
    if logits is None:
        raise ModelError(
            "The model gives no logits, so it has no loss whose gradient could be followed. Call "
            "probes.dynamics.gradient_by_lag from Python with a loss of your own."
        )
    flat = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
    return flat.view(targets.shape)
