"""Where a Hugging Face model's files are: a directory, a GGUF file, or the hub's local cache."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp.errors import ModelError, nearest
from interp.wording import count

#: Of a hub repository: what is needed, and what other frameworks need.
_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.tiktoken", "*.bin"]
_UNWANTED = ["onnx/*", "*training_args.bin", "original/*", "openvino/*", "coreml/*"]
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class HuggingFaceFiles:
    """Where a model's files are.

    Attributes
    ----------
    folder : Path
        A local directory.
    gguf : str or None
        The name of the GGUF file in it that holds model and tokenizer.
    """

    folder: Path
    gguf: str | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What every ``from_pretrained`` is given beside the folder."""
        given: dict[str, Any] = {"local_files_only": True}
        return given | ({"gguf_file": self.gguf} if self.gguf else {})


def find_files(name: str, download: bool = False) -> HuggingFaceFiles:
    """Return where the files of a model are, fetching them only if asked to.

    Raises
    ------
    ModelError
        If they are nowhere.
    """
    path = Path(name).expanduser()
    if path.is_file():
        if path.suffix == ".gguf":
            return HuggingFaceFiles(path.parent, path.name)
        raise ModelError(f"hf:{name} is a file; name the directory that holds it, or a .gguf file.")
    if path.is_dir():
        return _in_directory(path, name)
    if not _HUB_NAME.fullmatch(name):
        raise ModelError(_no_directory(path, name))
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            name, local_files_only=not download, allow_patterns=_WANTED, ignore_patterns=_UNWANTED
        )
    except Exception as error:
        if download:
            raise ModelError(
                f"hf:{name} could not be downloaded ({type(error).__name__}: "
                f"{first_line(error)}). Check the name and the connection, or give a directory."
            ) from error
        raise ModelError(_no_directory(path, name)) from error
    return _in_directory(Path(found), name)


def _in_directory(folder: Path, name: str) -> HuggingFaceFiles:
    if (folder / "config.json").is_file():
        return HuggingFaceFiles(folder)
    found = sorted(file.name for file in folder.glob("*.gguf"))
    if len(found) == 1:
        return HuggingFaceFiles(folder, found[0])
    if found:
        raise ModelError(
            f"hf:{name} holds {count(len(found), 'GGUF file')}; name one: "
            + ", ".join(f"hf:{folder / file}" for file in found[:4])
            + "."
        )
    inside = sorted(child.parent.name for child in folder.glob("*/config.json"))
    held = sorted(child.name for child in folder.iterdir())[:6]
    hint = f" Models are in its folders {', '.join(inside[:4])}." if inside else ""
    raise ModelError(
        f"hf:{name} holds no model: there is no config.json and no .gguf file in {folder} "
        f"({', '.join(held) or 'it is empty'}).{hint}"
    )


def _no_directory(path: Path, name: str) -> str:
    close = []
    if path.parent.is_dir():
        models = [p.name for p in path.parent.iterdir() if p.is_dir() or p.suffix == ".gguf"]
        close = nearest(path.name, models)
    hint = f" Nearest names there: {', '.join(close)}." if close else ""
    if not _HUB_NAME.fullmatch(name):
        return f"There is no directory {path}, so hf:{name} cannot be loaded.{hint}"
    return (
        f"hf:{name} is neither a local directory nor in the local cache of the hub.{hint} Nothing "
        "is downloaded unasked: repeat with --download (download=True), or give a directory."
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, without its full stop."""
    return str(error).strip().split("\n")[0].rstrip(".")
