"""The kinds of model that `interp train` makes, and who builds each from its configuration."""

from __future__ import annotations

import importlib
from typing import Any

from interp.errors import ModelError, unknown_name

#: What a configuration calls ``kind`` to the function that builds such a model.
BUILDERS = {
    "lstm": "interp.models.characters",
    "gru": "interp.models.characters",
    "rnn": "interp.models.characters",
    "transformer": "interp.models.characters",
    "flip-flop": "interp.models.flip_flop",
    "symbols": "interp.models.symbols",
    "attention-only": "interp.models.attention_only",
    "vision": "interp.models.vision",
    "g2p-gru": "interp.models.pronunciation",
    "g2p-transformer": "interp.models.pronunciation",
}


def build(config: dict[str, Any]) -> Any:
    """Return a freshly initialised model in eval mode: an adapter, or a module without text.

    Parameters
    ----------
    config : dict
        ``kind`` names the family, the rest is the family's own.

    Raises
    ------
    ModelError
        If there is no such kind.
    """
    kind = config.get("kind", "lstm")
    if kind not in BUILDERS:
        raise ModelError(
            unknown_name("kind of model", str(kind), BUILDERS)
            + " The file was written by a newer interp, or is not one of its models."
        )
    return importlib.import_module(BUILDERS[kind]).build(config)
