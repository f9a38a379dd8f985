"""The bundled models: one folder each, with weights, a card for people and one for programs.

Every folder holds ``model.safetensors`` (float16, tiny ones float32, the configuration in the
metadata), ``card.json`` and ``MODEL_CARD.md``. ``interp train`` writes exactly such a folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from interp.errors import ModelError, unknown_name

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the bundled models."""
    return sorted(path.parent.name for path in FOLDER.glob("*/model.safetensors"))


def folder(name: str) -> Path:
    """Return the folder of a bundled model.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if name not in names():
        raise ModelError(unknown_name("bundled model", name, names()))
    return FOLDER / name


def card(name: str) -> dict[str, Any]:
    """Return the card of a bundled model: data, command, held-out loss, known units."""
    return json.loads((folder(name) / "card.json").read_text())


def load_bundled(name: str) -> Any:
    """Return the adapter of a bundled model, or its module where it reads no text, in float32."""
    return load_folder(folder(name))


def load_folder(path: Path) -> Any:
    """Return the adapter, or the module, of a model that `interp train` wrote to `path`."""
    from interp.models.families import build
    from interp.models.weights import load_into, read_config, read_weights

    weights = path / "model.safetensors"
    tensors = {name: value.float() for name, value in read_weights(weights).items()}
    found = build(read_config(weights))
    load_into(getattr(found, "module", found), tensors, f"in {path.name}")
    return found
