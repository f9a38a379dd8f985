"""Transformers of attention alone, small enough to see induction form or not form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interp.models.characters import CharacterAdapter

#: One character per symbol.
SYMBOLS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@dataclass(frozen=True)
class AttentionOnlyConfig:
    """The shape of an :class:`AttentionOnly`; `context_length` is its longest window."""

    n_layers: int = 2
    n_heads: int = 4
    n_embedding: int = 64
    context_length: int = 64
    vocabulary: str = SYMBOLS
    kind: str = "attention-only"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return asdict(self)


class CausalAttention(nn.Module):
    """Causal multi-head attention without biases; `out` holds the heads' columns side by side.

    Parameters
    ----------
    config : AttentionOnlyConfig
    """

    def __init__(self, config: AttentionOnlyConfig) -> None:
        super().__init__()
        width = config.n_embedding
        self.n_heads = config.n_heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Return what the heads add to the residual stream, (batch, steps, n_embedding).

        Parameters
        ----------
        x : Tensor (batch, steps, n_embedding)
            The residual stream.
        positions : Tensor (steps, n_embedding)
            Added to what queries and keys read, never to values: what a head moves is then
            about symbols alone (the "shortformer" way, Press et al. 2021).
        """
        placed = x + positions
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in (self.query(placed), self.key(placed), self.value(x))
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class AttentionOnly(nn.Module):
    """Embedding, layers of attention on one residual stream, read-out; no norm, no perceptron.

    Without a normalisation every path from a symbol to a logit is a product of matrices, so
    that a head's copying can be read off ``embedding``, ``value``, ``out`` and ``head``.

    Parameters
    ----------
    config : AttentionOnlyConfig
        Sizes.
    """

    def __init__(self, config: AttentionOnlyConfig) -> None:
        super().__init__()
        self.config = config
        n_symbols = len(config.vocabulary)
        self.embedding = nn.Embedding(n_symbols, config.n_embedding)
        self.positions = nn.Embedding(config.context_length, config.n_embedding)
        self.layers = nn.ModuleList(CausalAttention(config) for _ in range(config.n_layers))
        self.head = nn.Linear(config.n_embedding, n_symbols, bias=False)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=config.n_embedding**-0.5)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, None]:
        """Return logits (batch, steps, n_symbols) of the next symbol, and no state.

        Parameters
        ----------
        ids : Tensor (batch, steps) int64
            At most ``config.context_length`` steps.
        state : None
            There for the interface of recurrent models.
        """
        steps = ids.shape[1]
        if steps > self.config.context_length:
            raise ValueError(
                f"{steps} symbols at once; this model sees {self.config.context_length}."
            )
        x = self.embedding(ids)
        for layer in self.layers:
            x = x + layer(x, self.positions.weight[:steps])
        return self.head(x), None


def build(config: dict[str, Any]) -> CharacterAdapter:
    """Return a freshly initialised model of this shape, in eval mode, with its adapter."""
    shape = AttentionOnlyConfig(**config)
    with torch.no_grad():
        return CharacterAdapter(AttentionOnly(shape).eval(), list(shape.vocabulary))
