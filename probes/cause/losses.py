"""The losses of one text under many clamps at once, each a row of the same batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interp.errors import InterpError
from interp.extraction.state import keep_rows
from interp.intervention import Clamp, Clamped

if TYPE_CHECKING:
    from interp.models import LoadedModel

#: Rows of a batch, where the model is small enough: larger products run at a higher rate.
_ROWS = 256
#: Values of logits in one forward.
_LOGITS = 1 << 25
#: Steps of one forward of a model that carries its state.
_WINDOW = 64


@dataclass(frozen=True, eq=False)
class Variant:
    """Units of one site that are clamped together.

    Attributes
    ----------
    site : str
    units : tuple of int
    value : ndarray (n_units,), or (n_heads, head_dim) for heads
        What they are held at.
    pool : ndarray (n_pool, n_units) or None
        Instead of one value: a row of these is drawn for each step.
    """

    site: str
    units: tuple[int, ...]
    value: np.ndarray
    pool: np.ndarray | None = None

    @property
    def name(self) -> str:
        """Site and units as a selection spells them."""
        return f"{self.site}:{','.join(map(str, self.units))}"

    def drawn(self, n_steps: int, seed: Sequence[int]) -> np.ndarray | None:
        """Return the values of each step, (n_units, n_steps), or None if there is one value."""
        if self.pool is None:
            return None
        rows = np.random.default_rng(seed).integers(0, len(self.pool), n_steps)
        return np.ascontiguousarray(self.pool[rows].T)


#: What is done with a batch's logits: its rows as (document, variant), the first position of the
#: window, the positions of each row, and the logits (rows, steps, n_vocabulary).
Consumer = Callable[[Sequence[tuple[int, int]], int, np.ndarray, torch.Tensor], None]


def compute_losses(
    loaded: LoadedModel,
    documents: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    variants: Sequence[Variant],
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[np.ndarray]:
    """Return the loss at every position of some documents, without and with each clamp.

    Parameters
    ----------
    loaded : LoadedModel
        With an adapter.
    documents : sequence of ndarray (length,) int
        Token ids, each read from a fresh state.
    targets : sequence of ndarray (length,) int
        The token that each position's prediction is about; -1: none.
    variants : sequence of Variant
    seed : int
        Of values that are drawn.
    progress : callable, optional
        Called with the rows × positions done and those in all; what it raises ends the work.

    Returns
    -------
    list of ndarray (1 + n_variants, length) float32
        By document, in nats; without a clamp first. NaN where there is no target.
    """
    losses = [np.full((1 + len(variants), len(d)), np.nan, np.float32) for d in documents]

    def consume(
        rows: Sequence[tuple[int, int]], start: int, lengths: np.ndarray, logits: torch.Tensor
    ) -> None:
        about = np.full(logits.shape[:2], -1, np.int64)
        for row, n in enumerate(lengths.tolist()):
            about[row, :n] = targets[rows[row][0]][start : start + n]
        found = _loss(logits, torch.from_numpy(about).to(logits.device))
        for row, n in enumerate(lengths.tolist()):
            document, variant = rows[row]
            losses[document][variant + 1, start : start + n] = found[row, :n]

    run_variants(loaded, documents, variants, consume, seed, progress)
    return losses


def run_variants(
    loaded: LoadedModel,
    documents: Sequence[np.ndarray],
    variants: Sequence[Variant],
    consume: Consumer,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Run the model over some documents without and with each clamp.

    Parameters
    ----------
    loaded, documents, variants, seed, progress
        As of :func:`compute_losses`.
    consume : Consumer
        Is given the logits; variant -1 is the model without a clamp. It has a row of its own in
        every batch, so that what is compared went through the same products.
    """
    passes = list(_passes(loaded, [len(d) for d in documents], len(variants)))
    total = sum(len(documents[d]) for rows in passes for d, _ in rows)
    done = 0
    with torch.inference_mode():
        for rows in passes:
            _run(loaded, documents, variants, rows, seed, consume)
            done += sum(len(documents[d]) for d, _ in rows)
            if progress is not None:
                progress(done, total)


def _passes(
    loaded: LoadedModel, lengths: Sequence[int], n_variants: int
) -> Iterator[list[tuple[int, int]]]:
    """Yield the rows of each batch as (document, variant), longest documents first."""
    adapter: Any = loaded.adapter
    order = sorted(range(len(lengths)), key=lambda d: -lengths[d])
    longest = lengths[order[0]]
    steps = min(_WINDOW, longest) if loaded.carries_state else longest
    fitting = max(2, min(_ROWS, _LOGITS // (steps * len(adapter.vocabulary))))
    per_document = max(1, min(n_variants, fitting - 1))
    parts = [
        [-1, *range(first, min(first + per_document, n_variants))]
        for first in range(0, n_variants, per_document)
    ] or [[-1]]
    for part in parts:
        at_once = max(1, fitting // len(part))
        for first in range(0, len(order), at_once):
            yield [(d, v) for d in order[first : first + at_once] for v in part]


def _run(
    loaded: LoadedModel,
    documents: Sequence[np.ndarray],
    variants: Sequence[Variant],
    rows: Sequence[tuple[int, int]],
    seed: int,
    consume: Consumer,
) -> None:
    """Run one batch, in windows where the model carries its state."""
    adapter: Any = loaded.adapter
    device = next(loaded.module.parameters()).device
    lengths = np.array([len(documents[d]) for d, _ in rows])
    drawn = {(d, v): variants[v].drawn(len(documents[d]), (seed, d)) for d, v in rows if v >= 0}
    window = _WINDOW if loaded.carries_state else int(lengths[0])
    state, n_before = None, len(rows)
    for start in range(0, int(lengths[0]), window):
        left = np.minimum(lengths - start, window)
        n_rows = int((left > 0).sum())
        left = left[:n_rows]
        ids = np.zeros((n_rows, int(left[0])), np.int64)
        for row, n in enumerate(left.tolist()):
            document = rows[row][0]
            ids[row, :n] = documents[document][start : start + n]
        clamps = list(_clamps(variants, rows[:n_rows], drawn, start, int(left[0])))
        state = keep_rows(state, n_rows, n_before, adapter) if start else None
        with Clamped(loaded.module, clamps):
            logits, state = adapter.forward(
                torch.from_numpy(ids).to(device), torch.from_numpy(left.copy()), state
            )
        n_before = n_rows
        if logits is None:
            raise InterpError(
                "The model gives no logits, so there is no loss to change; its adapter's forward "
                "must return (batch, steps, n_vocabulary)."
            )
        consume(rows[:n_rows], start, left, logits)


def _clamps(
    variants: Sequence[Variant],
    rows: Sequence[tuple[int, int]],
    drawn: dict[tuple[int, int], np.ndarray | None],
    start: int,
    n_steps: int,
) -> Iterator[Clamp]:
    for row, (document, index) in enumerate(rows):
        if index < 0:
            continue
        variant, steps = variants[index], drawn[document, index]
        value = torch.as_tensor(variant.value)
        if steps is not None:
            piece = steps[:, start : start + n_steps]
            value = torch.as_tensor(np.pad(piece, ((0, 0), (0, n_steps - piece.shape[1]))))
        yield Clamp(variant.site, variant.units, value, (row,))


def _loss(logits: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """Return minus the log probability of the targets, NaN where there is none."""
    logits = logits.float()
    actual = logits.gather(-1, targets.clamp_min(0)[..., None])[..., 0]
    loss = torch.logsumexp(logits, -1) - actual
    return torch.where(targets >= 0, loss, torch.nan).cpu().numpy()
