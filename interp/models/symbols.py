"""Small recurrent models of formal languages: a few symbols, one per character of a text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from interp.models.characters import (
    CharacterAdapter,
    CharacterLanguageModel,
    CharacterModelConfig,
)


@dataclass(frozen=True)
class SymbolModelConfig:
    """The shape of a language model over the characters of `vocabulary`."""

    vocabulary: str
    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    n_hidden: int = 10
    n_layers: int = 1
    n_embedding: int = 8
    kind: str = "symbols"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return asdict(self)


def build(config: dict[str, Any]) -> CharacterAdapter:
    """Return a freshly initialised model of this shape, in eval mode, with its adapter."""
    shape = SymbolModelConfig(**config)
    with torch.no_grad():
        model = CharacterLanguageModel(
            CharacterModelConfig(
                shape.cell,
                shape.n_layers,
                shape.n_hidden,
                shape.n_embedding,
                len(shape.vocabulary),
            )
        )
    return CharacterAdapter(model.eval(), list(shape.vocabulary))
