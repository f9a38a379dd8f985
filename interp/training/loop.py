"""Train a character model by truncated back-propagation through time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from interp.models.characters import CharacterAdapter
from interp.models.weights import save_weights
from interp.training.fitting import cosine_rate
from interp.training.lanes import IGNORED, lanes, repeat_pieces, reset_lanes


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained.

    The rate warms up linearly for `n_warm_up` steps and then falls along a cosine to zero at
    `n_characters`, the number of characters seen in all. `repeated_share` of the windows hold a
    piece of their text twice, for models that have no state, and in `random_share` of those the
    piece is random characters (:func:`repeat_pieces`). With `turn_units` every unit of a trained
    recurrent model is given the sign with which its rarer side is positive
    (:func:`interp.training.signs.turn_units`).
    """

    n_characters: int = 60_000_000
    n_lanes: int = 64
    window: int = 128
    learning_rate: float = 3e-3
    n_warm_up: int = 200
    clip_norm: float = 1.0
    seed: int = 0
    precision: str = "float32"
    repeated_share: float = 0.0
    random_share: float = 0.0
    turn_units: bool = False

    def to_dict(self) -> dict[str, object]:
        """Return the fields as a JSON-able dictionary."""
        return asdict(self)


def learning_rate(config: TrainingConfig, step: int, n_steps: int) -> float:
    """Return the rate of step `step` of `n_steps`."""
    return cosine_rate(config.learning_rate, config.n_warm_up, step, n_steps)


def train(
    adapter: CharacterAdapter,
    documents: list[np.ndarray],
    held_out: list[np.ndarray],
    config: TrainingConfig,
    folder: Path,
    report: Callable[[dict[str, float]], None] = lambda row: None,
    report_every: int = 200,
) -> list[dict[str, float]]:
    """Train `adapter.module` in place and return the log, one row per report.

    Parameters
    ----------
    adapter : CharacterAdapter
        A freshly built model.
    documents, held_out : list of ndarray
        Token ids of the training documents and of those that watch the loss.
    config : TrainingConfig
    folder : Path
        Gets ``log.jsonl`` and, at every report, ``snapshot.safetensors``.
    report : callable
        Called with each row: step, characters, train and held-out bits per character, seconds.
    report_every : int
        Steps between rows.
    """
    torch.manual_seed(config.seed)
    model: Any = adapter.module.train()
    shape = model.config.to_dict()
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters, config.learning_rate, fused=True)
    rng = np.random.default_rng(config.seed)
    batches = lanes(documents, config.n_lanes, config.window, rng)
    if config.repeated_share:
        random_ids = np.arange(1, len(adapter.vocabulary)) if config.random_share else None
        batches = repeat_pieces(
            batches, config.repeated_share, rng, config.random_share, random_ids
        )
    n_steps = max(1, config.n_characters // (config.n_lanes * config.window))
    log: list[dict[str, float]] = []
    state, running, started = None, [], time.monotonic()
    for step in range(n_steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, n_steps)
        inputs, targets, fresh = next(batches)
        with _precision(config.precision):
            logits, state = model(inputs, reset_lanes(state, fresh))
        loss = F.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        optimizer.step()
        running.append(float(loss.detach()))
        if (step + 1) % report_every == 0 or step + 1 == n_steps:
            row = {
                "step": step + 1,
                "characters": (step + 1) * config.n_lanes * config.window,
                "train_bits": float(np.mean(running)) / math.log(2),
                "held_out_bits": bits_per_character(adapter, held_out[:12], limit=8_000),
                "elapsed_s": time.monotonic() - started,
            }
            running.clear()
            log.append(row)
            with (folder / "log.jsonl").open("a") as handle:
                handle.write(json.dumps(row) + "\n")
            save_weights(model, folder / "snapshot.safetensors", shape)
            report(row)
            model.train()
    model.eval()
    return log


def document_losses(
    adapter: CharacterAdapter, document: np.ndarray, window: int = 4_096
) -> np.ndarray:
    """Return the loss of each character after the first, (n_characters - 1,) float32 in nats.

    A model that carries state reads the document as one. One that sees `context_length`
    characters at most reads windows that overlap by half, and a character's loss is taken from
    the window that gives it the most context to its left.
    """
    adapter.module.eval()
    ids = torch.from_numpy(np.asarray(document, np.int64))[None]
    context = getattr(adapter, "context_length", None)
    window, stride = (window, window) if context is None else (context, context // 2)
    state, losses, n_done = None, [], 0
    with torch.inference_mode():
        for start in range(0, ids.shape[1] - 1, stride):
            piece = ids[:, start : start + window + 1]
            n_read = piece.shape[1] - 1
            if start + n_read <= n_done:
                break
            logits, state = adapter.forward(piece[:, :-1], torch.tensor([n_read]), state)
            loss = F.cross_entropy(logits[0].float(), piece[0, 1:], reduction="none")
            losses.append(loss[n_done - start :])
            n_done = start + n_read
    return torch.cat(losses).numpy() if losses else np.zeros(0, np.float32)


def bits_per_character(
    adapter: CharacterAdapter, documents: list[np.ndarray], limit: int | None = None
) -> float:
    """Return the mean loss in bits over all predicted characters of `documents`.

    Each document starts from a fresh state; `limit` cuts documents to that many characters.
    """
    losses = [document_losses(adapter, document[:limit]) for document in documents]
    return float(np.concatenate(losses).mean()) / math.log(2)


def _precision(name: str) -> AbstractContextManager[Any]:
    if name == "float32":
        return nullcontext()
    return torch.autocast("cpu", dtype=getattr(torch, name))
