"""What a small model is trained for: one task per family, and the folder that training leaves."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interp.models.families import build
from interp.models.weights import save_weights, weights_hash
from interp.models.zoo import load_folder
from interp.training.card import write_card
from interp.training.fitting import FitConfig, fit
from interp.training.folder import WEIGHTS, begin_folder

#: Below this many parameters the weights stay float32: a fixed point or a counter should not
#: move by rounding, and the file is small anyway.
FLOAT32_BELOW = 50_000


@dataclass(frozen=True)
class Measure:
    """One figure of a model card."""

    name: str
    value: float
    meaning: str


class Task(ABC):
    """Data, loss and evaluation of one bundled model.

    Attributes
    ----------
    summary : str
        One sentence for the card.
    training : FitConfig
        The settings of the shipped model.
    """

    summary: str
    training: FitConfig

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return the model's configuration; its ``kind`` names the builder."""

    @abstractmethod
    def data(self) -> dict[str, str]:
        """Return what the card says of the data, a label and a sentence each."""

    @abstractmethod
    def loss(self, found: Any, rng: np.random.Generator, batch_size: int) -> Tensor:
        """Draw a batch and return its mean loss under `found` (the adapter, or the module)."""

    @abstractmethod
    def measure(self, found: Any) -> list[Measure]:
        """Return the figures of the card, on data that training has not seen."""

    def leave(self, folder: Path) -> None:
        """Write into `folder` what belongs beside the weights; most tasks leave nothing."""
        del folder

    def notes(self) -> list[str]:
        """Return paragraphs for the card: how to use the model, and what to know of it."""
        return []


#: Name to module and class of the tasks in this package, in the order of the help.
TASKS = {
    "flip-flop": ("interp.training.flip_flop", "FlipFlopTask"),
    "counting-lstm": ("interp.training.counting", "CountingLSTM"),
    "counting-gru": ("interp.training.counting", "CountingGRU"),
    "dyck": ("interp.training.dyck", "DyckTask"),
    "induction": ("interp.training.induction", "InductionTask"),
    "induction-one-layer": ("interp.training.induction", "OneLayerTask"),
    "induction-shortcut": ("interp.training.induction", "ShortcutTask"),
    "digits-vit": ("interp.training.digits", "DigitTask"),
    "g2p-gru": ("interp.training.pronunciation", "RecurrentPronunciation"),
    "g2p-transformer": ("interp.training.pronunciation", "TransformerPronunciation"),
}


def task(name: str, **options: Any) -> Task:
    """Return the task that trains the bundled model `name`, as it was trained.

    Parameters
    ----------
    name : str
        One of `TASKS`.
    **options
        What its class takes, such as the path of its data.
    """
    module, attribute = TASKS[name]
    return getattr(importlib.import_module(module), attribute)(**options)


def train_task(
    folder: Path,
    asked: Task,
    command: str,
    *,
    n_steps: int | None = None,
    seed: int | None = None,
    report: Callable[[dict[str, float]], None] = lambda row: None,
    report_every: int = 200,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train the model of a task and leave a folder that can be bundled.

    Parameters
    ----------
    folder : Path
        Gets weights, card and log.
    asked : Task
    command : str
        The command line, for the card.
    n_steps, seed : int, optional
        In place of the task's own.
    report : callable
        Called with each row of the log.
    report_every : int
        Steps between rows.
    overwrite : bool
        Whether a folder that holds a model may be written again.

    Returns
    -------
    dict
        The card.
    """
    begin_folder(folder, overwrite)
    (folder / "log.jsonl").unlink(missing_ok=True)
    training = asked.training
    if n_steps is not None:
        warm_up = min(training.n_warm_up, n_steps)
        training = replace(training, n_steps=n_steps, n_warm_up=warm_up)
    if seed is not None:
        training = replace(training, seed=seed)
    torch.manual_seed(training.seed)
    found = build(asked.config())
    module = _module(found)
    log = fit(
        module,
        lambda rng, batch_size: asked.loss(found, rng, batch_size),
        training,
        folder,
        report,
        report_every,
    )
    n_parameters = sum(p.numel() for p in module.parameters())
    dtype = torch.float32 if n_parameters < FLOAT32_BELOW else torch.float16
    save_weights(module, folder / WEIGHTS, asked.config(), dtype)
    card = describe_folder(folder, asked) | {
        "training": training.to_dict(),
        "elapsed_s": log[-1]["elapsed_s"],
        "n_threads": torch.get_num_threads(),
        "command": command,
    }
    asked.leave(folder)
    write_card(folder, card)
    return card


def describe_folder(folder: Path, asked: Task) -> dict[str, Any]:
    """Return the part of a card that follows from the stored weights and the task."""
    found = load_folder(folder)  # rounded as on disk: the card speaks of what is shipped
    module = _module(found)
    weights = folder / WEIGHTS
    n_parameters = sum(p.numel() for p in module.parameters())
    with torch.inference_mode():
        measures = asked.measure(found)
    return {
        "name": folder.name,
        "summary": asked.summary,
        "model": asked.config(),
        "n_parameters": n_parameters,
        "dtype": "float32" if n_parameters < FLOAT32_BELOW else "float16",
        "size_bytes": weights.stat().st_size,
        "weights_hash": weights_hash(module),
        "data": asked.data(),
        "measures": {
            row.name: {"value": round(row.value, 4), "meaning": row.meaning} for row in measures
        },
        "notes": asked.notes(),
    }


def _module(found: Any) -> nn.Module:
    return found if isinstance(found, nn.Module) else found.module
