"""The model that a recording was made with, loaded again and checked to be the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.errors import ModelError

if TYPE_CHECKING:
    from interp.models import LoadedModel


def load_model_of(
    recording: Any,
    spec: Any = None,
    weights: str | Path | None = None,
    device: str = "cpu",
) -> LoadedModel:
    """Return the model of a recording.

    Parameters
    ----------
    recording : Recording
        Its provenance names the model and the hash of its weights.
    spec : str, torch.nn.Module or Adapter, optional
        Where the model is now, if the provenance's specification does not lead to it, as for a
        model that was given as an object.
    weights : path, optional
        The weights file of a ``py:`` model.
    device : str

    Raises
    ------
    ModelError
        If the provenance names no model that can be loaded, or the weights are not those that
        the recording was made with.
    """
    from interp.models.loading import load

    made_with = recording.provenance.get("model") or {}
    if spec is None:
        spec = made_with.get("spec", "")
        if not spec or spec.startswith("object:"):
            raise ModelError(
                f"{recording.path} was made with {spec or 'a model that it does not name'}, which "
                "cannot be loaded from its name. Say where the model is: --model "
                "py:package.module:factory, or the module itself in Python."
            )
    seed = int(recording.provenance.get("seed", 0))
    random_init = bool(made_with.get("random_init")) and isinstance(spec, str)
    loaded = load(spec, weights, random_init=random_init, seed=seed, device=device)
    expected = made_with.get("weights_hash")
    if expected is not None and loaded.weights_hash != expected:
        hint = "" if weights is not None else " If they are in a file, name it: --weights FILE."
        raise ModelError(
            f"{loaded.spec} is not the model of {recording.path}: its weights have the hash "
            f"{loaded.weights_hash[:12]}, the recording was made with {expected[:12]}.{hint}"
        )
    return loaded
