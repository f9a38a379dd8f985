"""What `interp train` does: a character model of Python source, trained and measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from interp.corpora.standard_library import describe, split_files, standard_library
from interp.errors import ModelError
from interp.models.characters import CharacterModelConfig, build
from interp.models.transformer import TransformerConfig
from interp.models.weights import load_into, read_weights, save_weights, weights_hash
from interp.models.zoo import load_folder
from interp.training.card import held_out_by_package, write_card
from interp.training.folder import WEIGHTS, begin_folder
from interp.training.loop import TrainingConfig, train
from interp.training.sampling import sample
from interp.training.signs import turn_units

NAMES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN", "transformer": "Transformer"}


def train_character_model(
    folder: Path,
    model: CharacterModelConfig | TransformerConfig,
    training: TrainingConfig,
    command: str,
    *,
    source: Path | None = None,
    start: Path | None = None,
    report: Callable[[dict[str, float]], None] = lambda row: None,
    report_every: int = 200,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train a model on Python source and leave a folder that can be bundled.

    Parameters
    ----------
    folder : Path
        Gets weights, card, log.
    model : CharacterModelConfig or TransformerConfig
    training : TrainingConfig
    command : str
        The command line, for the card.
    source : Path, optional
        A folder of Python source; default the standard library.
    start : Path, optional
        A folder that training left: its weights are trained on, and its card says how they came
        about. A recurrent model may have more layers than the one it starts from; those, and the
        head that reads them, begin with fresh weights.
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
    files = standard_library(source)
    torch.manual_seed(training.seed)
    adapter, before = build(model.to_dict()), None
    if start is not None:
        before = _start_from(adapter.module, start)
    encoded = {
        split: [adapter.encode(file.text)[0] for file in split_files(files, split)]
        for split in ("train", "validation")
    }
    log = train(
        adapter, encoded["train"], encoded["validation"], training, folder, report, report_every
    )
    if training.turn_units:
        turn_units(adapter, encoded["validation"][:12])
    save_weights(adapter.module, folder / WEIGHTS, model.to_dict())
    (folder / "snapshot.safetensors").unlink(missing_ok=True)
    card = measure(folder, files)
    card |= {
        "training": training.to_dict(),
        "elapsed_s": log[-1]["elapsed_s"],
        "n_threads": torch.get_num_threads(),
        "command": command,
    }
    if before is not None:
        card["started_from"] = before
    write_card(folder, card)
    return card


def _start_from(module: torch.nn.Module, folder: Path) -> dict[str, Any]:
    """Load the weights of a folder that training left; return how they came about."""
    if not (folder / WEIGHTS).is_file() or not (folder / "card.json").is_file():
        raise ModelError(f"{folder} holds no {WEIGHTS} and card.json: interp train leaves both.")
    tensors = {name: value.float() for name, value in read_weights(folder / WEIGHTS).items()}
    card = json.loads((folder / "card.json").read_text("utf-8"))
    load_into(module, _with_new_layers(tensors, card["model"], module), f"in {folder}")
    before = {name: card[name] for name in ("command", "training", "elapsed_s", "weights_hash")}
    return before | {"n_layers": card["model"].get("n_layers")}


def _with_new_layers(
    tensors: dict[str, torch.Tensor], before: dict[str, Any], module: Any
) -> dict[str, torch.Tensor]:
    """Return `tensors` completed with the fresh weights of layers that `module` has on top.

    The head read the layer that was the last one; it is fresh too.
    """
    shape = module.config.to_dict()
    same_kind = before.get("kind") == shape["kind"] != "transformer"
    if not same_kind or before["n_layers"] >= shape["n_layers"]:
        return tensors
    fresh = module.state_dict()
    new = [name for name in fresh if name not in tensors or name.startswith("head.")]
    return tensors | {name: fresh[name] for name in new}


def measure(folder: Path, files: list) -> dict[str, Any]:
    """Return the part of a card that follows from the stored weights and the corpus."""
    shipped = load_folder(folder)  # float16 on disk: the card speaks of what is shipped
    config = shipped.module.config
    return {
        "name": folder.name,
        "summary": (
            f"A character-level {NAMES[config.kind]} language model of Python source: given the "
            "characters so far, it predicts the next one."
        ),
        "model": config.to_dict(),
        "n_parameters": sum(p.numel() for p in shipped.module.parameters()),
        "size_bytes": (folder / WEIGHTS).stat().st_size,
        "weights_hash": weights_hash(shipped.module),
        "data": describe(files),
        "held_out": held_out_by_package(shipped, split_files(files, "test")),
        "sample": sample(shipped, "import os\n\nclass ", 500, temperature=0.6),
    }
