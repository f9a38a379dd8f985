"""The folder that training leaves: a model's weights, its card and its log."""

from __future__ import annotations

from pathlib import Path

from interp.errors import ModelError

WEIGHTS = "model.safetensors"


def begin_folder(folder: Path, overwrite: bool) -> None:
    """Make the folder of a model that is to be trained.

    Raises
    ------
    ModelError
        If it holds a model already and may not be written again, or cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{folder} is no folder; name one, which will be made.")
    if (folder / WEIGHTS).exists() and not overwrite:
        raise ModelError(f"{folder} holds a model already; give another folder or --overwrite.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(f"The folder {folder} cannot be made: {error.strerror}.") from error
