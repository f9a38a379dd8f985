"""How a model writes: a position at a time, with its state or cache where it hands one on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from interp.errors import ModelError
from interp.extraction.options import Options
from interp.models.adapter import SOURCE, TARGET

if TYPE_CHECKING:
    from interp.models import LoadedModel


def write(
    loaded: LoadedModel,
    options: Options,
    prompts: Sequence[np.ndarray],
    sources: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Let a model continue prompts, up to ``options.generate`` positions each.

    Prompts of one length are continued together. What is written depends on the seed and on the
    document's place in the corpus, not on the batch.

    Parameters
    ----------
    loaded : LoadedModel
        Whose adapter predicts the next token.
    options : Options
        How many positions, temperature, seed, batch size, device.
    prompts : sequence of ndarray (n_positions,)
        Ids, one or more each.
    sources : sequence of ndarray (n_positions,), optional
        For a model of pairs.

    Returns
    -------
    list of ndarray (n_new,) int64
        Of each document, behind its prompt, the end token left out.
    """
    new: list[np.ndarray] = [np.zeros(0, np.int64)] * len(prompts)
    by_length: dict[int, list[int]] = {}
    for index, ids in enumerate(prompts):
        by_length.setdefault(len(ids), []).append(index)
    with torch.inference_mode():
        for members in by_length.values():
            for begin in range(0, len(members), options.batch_size):
                batch = members[begin : begin + options.batch_size]
                chosen = _write_batch(loaded, options, batch, prompts, sources)
                for row, index in enumerate(batch):
                    new[index] = _until_end(loaded.adapter, chosen[row])
    return new


def _write_batch(
    loaded: LoadedModel,
    options: Options,
    batch: Sequence[int],
    prompts: Sequence[np.ndarray],
    sources: Sequence[np.ndarray] | None,
) -> np.ndarray:
    """Return what is written for prompts of one length, (n_rows, n_new)."""
    adapter: Any = loaded.adapter
    begin, steps = beginning_of(loaded), is_in_steps(loaded)
    state = None if begin is None else begin()
    read = torch.from_numpy(np.stack([prompts[i] for i in batch]).astype(np.int64))
    generators = [torch.Generator().manual_seed(_seed(options.seed, i)) for i in batch]
    is_over = torch.zeros(len(batch), dtype=torch.bool)
    ends = torch.tensor(sorted(getattr(adapter, "end_ids", ())), dtype=torch.int64)
    new: list[Tensor] = []
    fed = read
    for step in range(options.generate or 0):
        is_first = step == 0 or not steps
        inputs: Any = fed.to(options.device)
        lengths: Any = torch.full((len(fed),), fed.shape[1])
        if sources is not None:
            given = [sources[i] for i in batch] if is_first else []
            inputs, lengths = _of_pairs(inputs, lengths, given)
        logits, state = adapter.forward(inputs, lengths, state if steps else None)
        if logits is None:
            raise ModelError(f"{loaded.spec} gives no logits, so it cannot write.")
        chosen = _choose(logits[:, -1].float().cpu(), options.temperature, generators)
        new.append(chosen)
        is_over |= torch.isin(chosen, ends)
        if bool(is_over.all()):
            break
        fed = chosen[:, None] if steps else torch.cat([fed, chosen[:, None]], 1)
    return torch.stack(new, 1).numpy()


def _of_pairs(
    targets: Tensor, lengths: Tensor, sources: Sequence[np.ndarray]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return ids and lengths by stream; without sources the state holds what became of them."""
    if not sources:
        return {TARGET: targets}, {TARGET: lengths}
    of_source = torch.tensor([len(ids) for ids in sources])
    padded = torch.zeros(len(sources), int(of_source.max()), dtype=torch.int64)
    for row, ids in enumerate(sources):
        padded[row, : len(ids)] = torch.from_numpy(ids.astype(np.int64))
    source = padded.to(targets.device)
    return {SOURCE: source, TARGET: targets}, {SOURCE: of_source, TARGET: lengths}


def _choose(logits: Tensor, temperature: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Return a token for each row: the most probable, or one drawn at this temperature."""
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits / temperature, -1)
    drawn = [
        torch.multinomial(row, 1, generator=generator)
        for row, generator in zip(probabilities, generators, strict=True)
    ]
    return torch.cat(drawn)


def _seed(seed: int, index: int) -> int:
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def _until_end(adapter: Any, ids: np.ndarray) -> np.ndarray:
    is_end = np.isin(ids, list(getattr(adapter, "end_ids", ())))
    return ids[: int(is_end.argmax())] if is_end.any() else ids


def beginning_of(loaded: LoadedModel) -> Callable[[], Any] | None:
    """Return what gives the state before the first position; None where nothing has to."""
    return getattr(loaded.adapter, "begin", None)


def is_in_steps(loaded: LoadedModel) -> bool:
    """Return whether a model can be fed a document piece by piece."""
    return loaded.carries_state or beginning_of(loaded) is not None
