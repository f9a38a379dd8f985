"""Weights on disk: safetensors or torch files, never pickled code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from interp.errors import ModelError, nearest

#: Endings of files that may hold weights.
_WEIGHTS = {".safetensors", ".pt", ".pth", ".bin"}
#: Entries of a configuration that say nothing about what the model computes from its weights.
_NO_SETTINGS = {"architectures", "transformers_version", "dtype", "torch_dtype"}


def save_weights(
    module: nn.Module, path: Path, config: dict[str, Any], dtype: torch.dtype = torch.float16
) -> None:
    """Write the parameters of `module`, in `dtype`, with `config` in the file's metadata."""
    from safetensors.torch import save_file

    state = {
        name: value.detach().to(dtype).contiguous() if value.is_floating_point() else value
        for name, value in module.state_dict().items()
    }
    partial = path.with_name(path.name + ".partial")
    save_file(state, partial, metadata={"config": json.dumps(config, sort_keys=True)})
    partial.replace(path)


def read_config(path: Path) -> dict[str, Any]:
    """Return the configuration stored in a safetensors file of ours, {} if there is none."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as handle:
        return json.loads((handle.metadata() or {}).get("config", "{}"))


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a ``.safetensors`` or ``.pt`` file.

    Raises
    ------
    ModelError
        If the file is missing, is not a weights file, or would need code to be unpickled.
    """
    if not path.is_file():
        siblings = path.parent.glob("*") if path.parent.is_dir() else []
        close = nearest(path.name, [p.name for p in siblings if p.suffix in _WEIGHTS])
        hint = f" Nearest names there: {', '.join(close)}." if close else ""
        raise ModelError(f"There is no weights file {path}.{hint}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch's own text advises to load such a file unsafely; ours says what to do instead.
        raise ModelError(
            f"{path} cannot be read as weights ({type(error).__name__}): it is damaged, of another "
            "kind, or holds code, which is never run. Save weights with "
            "safetensors.torch.save_file(model.state_dict(), ...) or "
            "torch.save(model.state_dict(), ...)."
        ) from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(torch.is_tensor(v) for v in loaded.values()):
        raise ModelError(
            f"{path} holds a {type(loaded).__name__}, not a dictionary of tensors; "
            "save model.state_dict()."
        )
    return loaded


def load_into(module: nn.Module, tensors: dict[str, torch.Tensor], origin: str) -> None:
    """Copy `tensors` into `module`; every name and shape must match.

    Raises
    ------
    ModelError
        Naming what is missing, what is unexpected and what has another shape.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in tensors]
    unexpected = [name for name in tensors if name not in own]
    shapes = [
        f"{name} is {tuple(tensors[name].shape)} in the file, {tuple(own[name].shape)} in the model"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    problems = []
    if missing:
        problems.append(f"missing: {_some(missing)}")
    if unexpected:
        problems.append(f"not in the model: {_some(unexpected)}")
    if shapes:
        problems.append(f"other shape: {_some(shapes)}")
    if problems:
        raise ModelError(
            f"The weights {origin} do not fit {type(module).__name__}; {'; '.join(problems)}. "
            "Give the weights this factory was trained with, or the factory's own arguments."
        )
    module.load_state_dict(tensors)


def weights_hash(module: nn.Module) -> str:
    """Return the SHA-256 over names, shapes, dtypes and values of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        tensor = value.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def config_hash(module: nn.Module) -> dict[str, str]:
    """Return the hash of a Hugging Face model's configuration by its name; nothing without one.

    Settings such as the number of heads change what is computed, and no weight.
    """
    said = getattr(getattr(module, "config", None), "to_diff_dict", None)
    if not callable(said):
        return {}
    config = {k: v for k, v in said().items() if not k.startswith("_") and k not in _NO_SETTINGS}
    text = json.dumps(config, sort_keys=True, default=str)
    return {"config_hash": hashlib.sha256(text.encode()).hexdigest()}


def refuse_non_finite(module: nn.Module) -> None:
    """Raise ModelError naming the first parameter that holds NaN or infinity."""
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            count = int((~torch.isfinite(value)).sum())
            raise ModelError(
                f"The weights hold values that are not finite: {name} has {count} NaN or "
                f"infinite of {value.numel()}. Everything recorded from them would be NaN; "
                "load an earlier checkpoint."
            )


def _some(names: list[str], n: int = 4) -> str:
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")
