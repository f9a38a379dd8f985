"""From a model specification to a model in eval mode.

A specification is text, so that the command line, the provenance of a recording and the dashboard
can all use it: ``zoo:NAME`` for a bundled model, ``hf:PATH_OR_NAME`` for one of Hugging Face's,
``py:package.module:factory`` for the user's own. In Python a module or an adapter may stand in its
place.
"""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from interp import arguments
from interp.errors import ModelError, nearest, unknown_name
from interp.models import zoo
from interp.models.adapter import Adapter
from interp.models.weights import (
    config_hash,
    load_into,
    read_weights,
    refuse_non_finite,
    weights_hash,
)
from interp.wording import kind_of


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to be recorded.

    Attributes
    ----------
    module : torch.nn.Module
        In eval mode.
    adapter : Adapter or None
        None when the user gave a bare module: it can be recorded from a DataLoader, but there
        is no way from text to it.
    spec : str
        What to write into the provenance; ``py:`` and the class for an object.
    weights_hash : str
        SHA-256 of parameters and buffers.
    random_init : bool
        Whether the weights were drawn afresh, for a baseline.
    """

    module: nn.Module
    adapter: Adapter | None
    spec: str
    weights_hash: str
    random_init: bool = False

    @property
    def hashes(self) -> dict[str, str]:
        """Further hashes for the provenance: of a configuration, and what the adapter gives."""
        said = getattr(self.adapter, "hashes", None)
        return config_hash(self.module) | ({} if said is None else said())

    @property
    def carries_state(self) -> bool:
        """Whether long documents may be fed in windows."""
        return (
            self.adapter is not None
            and self.adapter.carries_state
            and not any(getattr(m, "bidirectional", False) for m in self.module.modules())
        )


def load(
    spec: str | nn.Module | Adapter,
    weights: str | Path | None = None,
    *,
    random_init: bool = False,
    seed: int = 0,
    device: str = "cpu",
    download: bool = False,
    model_dtype: str = "auto",
) -> LoadedModel:
    """Return the model that `spec` names.

    Parameters
    ----------
    spec : str, torch.nn.Module or Adapter
        ``zoo:NAME``, ``hf:PATH_OR_NAME``, ``py:package.module:factory``, a module or an adapter.
    weights : path, optional
        A ``.safetensors`` or ``.pt`` state dictionary for a ``py:`` factory.
    random_init : bool
        Draw all parameters afresh, for a baseline of the same shape.
    seed : int
        Of the random initialisation.
    device : str
        Where the model goes, such as ``"cpu"`` or ``"cuda"``.
    download : bool
        Fetch an ``hf:`` model from the hub where it is not in the local cache.
    model_dtype : str
        In which an ``hf:`` model computes; ``"auto"`` is the type of its weights.

    Raises
    ------
    ModelError
        If there is no such model, it cannot be built, the weights do not fit, or they hold NaN.
    """
    random_init = arguments.flag("random_init", random_init)
    if weights is not None:
        weights = arguments.path("weights", weights)
    is_hub = isinstance(spec, str) and spec.startswith("hf:") and spec != "hf:"
    if arguments.text("model_dtype", model_dtype) != "auto" and not is_hub:
        raise ModelError(
            f"--model-dtype {model_dtype} is for hf: models; any other computes in the type of its "
            "weights. Convert it before, as by module.to(torch.float32)."
        )
    if arguments.flag("download", download) and not is_hub:
        raise ModelError(
            "--download fetches hf: models; there is nothing to fetch for any other. Leave it out."
        )
    # A factory draws its initial weights when it is called: without a seed of its own, two calls
    # with one specification would be two models and a run could not be resumed.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(spec, str) and is_hub:
            found, name = _from_hub(spec, weights, download, random_init, model_dtype), spec
        else:
            found, name = _build(spec, weights)
        module = found if isinstance(found, nn.Module) else found.module
        if weights is not None:
            load_into(module, read_weights(Path(weights)), str(weights))
        if random_init and not name.startswith("hf:"):  # that one is drawn already
            if not isinstance(spec, str):  # the caller's own weights stay as they are
                found = copy.deepcopy(found)
                module = found if isinstance(found, nn.Module) else found.module
            randomise(module)
    adapter = None if isinstance(found, nn.Module) else found
    module.eval()
    refuse_non_finite(module)
    module.to(_device(device))
    return LoadedModel(module, adapter, name, weights_hash(module), random_init)


def randomise(module: nn.Module) -> None:
    """Draw all parameters of `module` afresh, each submodule by its own ``reset_parameters``.

    Raises
    ------
    ModelError
        If a submodule owns parameters but has no ``reset_parameters``.
    """
    fresh = getattr(type(module), "_from_config", None)
    if fresh is not None:  # a Hugging Face model draws its weights as a whole
        drawn = fresh(module.config, dtype=next(module.parameters()).dtype)
        module.load_state_dict(drawn.state_dict())
        return
    for name, part in module.named_modules():
        if not list(part.parameters(recurse=False)):
            continue
        reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
        if reset is None:
            raise ModelError(
                f"{name or type(part).__name__} ({type(part).__name__}) has parameters but no "
                "reset_parameters(), so a random-init baseline cannot be drawn; add that method."
            )
        reset()


def _build(spec: str | nn.Module | Adapter, weights: object) -> tuple[nn.Module | Adapter, str]:
    if isinstance(spec, nn.Module):
        return spec, f"object:{type(spec).__module__}.{type(spec).__qualname__}"
    if not isinstance(spec, str):
        return _checked(spec, repr(type(spec).__name__)), f"object:{type(spec).__qualname__}"
    scheme, _, rest = spec.partition(":")
    builders: dict[str, Callable[[str], Any]] = {"zoo": zoo.load_bundled, "py": _from_factory}
    if scheme not in builders or not rest:
        bundled = [f"zoo:{name}" for name in zoo.names()]
        close = nearest(spec, bundled)
        raise ModelError(
            f"No model specification named {spec!r}"
            + (f"; nearest: {', '.join(close)}." if close else ".")
            + f" Bundled models: {', '.join(bundled)}; Hugging Face: hf:DIRECTORY; your own: "
            "py:package.module:factory."
        )
    if scheme == "zoo" and weights is not None:
        raise ModelError(
            f"{spec} brings its own weights; --weights is for py:package.module:factory."
        )
    return _checked(builders[scheme](rest), spec), spec


def _from_hub(spec: str, weights: object, download: bool, random_init: bool, dtype: str) -> Any:
    if weights is not None:
        raise ModelError(
            f"{spec} brings its own weights; --weights is for py:package.module:factory."
        )
    from interp.models.huggingface import load_huggingface

    return load_huggingface(
        spec.removeprefix("hf:"), download=download, random_init=random_init, dtype=dtype
    )


def _from_factory(reference: str) -> Any:
    module_name, _, attribute = reference.partition(":")
    if not attribute:
        raise ModelError(
            f"py:{reference} names no factory; write py:package.module:factory, where the factory "
            "returns an nn.Module or an adapter."
        )
    if "" not in sys.path:
        # As `python -m` does: the user's own file stands in the folder they work in.
        sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ModelError(
            f"py:{reference}: importing {module_name} failed: {error}. "
            "Run in the folder that holds it, or install its package."
        ) from error
    if not hasattr(module, attribute):
        public = [name for name in vars(module) if callable(getattr(module, name))]
        raise ModelError(unknown_name(f"factory in {module_name}", attribute, public))
    try:
        return getattr(module, attribute)()
    except Exception as error:
        raise ModelError(
            f"py:{reference}: the factory raised {type(error).__name__}: {error}. "
            "It must be callable without arguments."
        ) from error


def _checked(found: Any, spec: str) -> nn.Module | Adapter:
    if isinstance(found, nn.Module | Adapter):
        return found
    needed = ["module", "vocabulary", "predicts", "carries_state", "encode", "decode", "forward"]
    missing = [name for name in needed if not hasattr(found, name)]
    raise ModelError(
        f"{spec} gave {kind_of(found)}, which is neither an nn.Module nor an adapter "
        f"(missing: {', '.join(missing)}). See docs/recording-your-model.md."
    )


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device).cpu()  # nothing comes back from a device without memory
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        available = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
        available += ["mps"] if torch.backends.mps.is_available() else []
        raise ModelError(
            f"Device {name!r} cannot be used here; available: {', '.join(available)}."
        ) from error
    return device
