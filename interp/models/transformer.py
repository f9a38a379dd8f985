"""A character-level decoder-only Transformer: the module; its adapter is the characters' own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interp.models.characters import PRINTABLE


@dataclass(frozen=True)
class TransformerConfig:
    """The shape of a :class:`CharacterTransformer`; `context_length` is its longest window."""

    kind: str = "transformer"
    n_layers: int = 4
    n_heads: int = 6
    n_embedding: int = 192
    context_length: int = 256
    n_vocabulary: int = len(PRINTABLE)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return asdict(self)


class SelfAttention(nn.Module):
    """Causal self-attention with rotary positions (Su et al. 2021).

    Queries and keys are turned by an angle that grows with the position, so that a score
    depends on the distance between two positions and not on where the window began.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.query_key_value = nn.Linear(config.n_embedding, 3 * config.n_embedding, bias=False)
        self.out = nn.Linear(config.n_embedding, config.n_embedding, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Mix earlier positions into each position, (batch, steps, n_embedding)."""
        batch, steps, width = x.shape
        heads = self.query_key_value(x).view(batch, steps, 3, self.n_heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(
            rotate(query, cosine, sine), rotate(key, cosine, sine), value, is_causal=True
        )
        return self.out(mixed.transpose(1, 2).reshape(batch, steps, width))


class Block(nn.Module):
    """Attention, then a two-layer perceptron, each reading a normalised residual stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.n_embedding
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(config)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Return the residual stream behind this block."""
        x = x + self.attention(self.attention_norm(x), cosine, sine)
        return x + self.mlp(self.mlp_norm(x))


class CharacterTransformer(nn.Module):
    """Embedding, blocks, and a read-out of the next character tied to the embedding.

    Parameters
    ----------
    config : TransformerConfig
        Sizes.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.n_vocabulary, config.n_embedding)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.n_embedding)
        cosine, sine = rotary_angles(config.context_length, config.n_embedding // config.n_heads)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, None]:
        """Return logits (batch, steps, n_vocabulary) of the next character, and no state.

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
                f"{steps} characters at once; this model sees {self.config.context_length}."
            )
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cosine[:steps], self.sine[:steps])
        return F.linear(self.norm(x), self.embedding.weight), None


def rotary_angles(n_positions: int, width: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Return cosine and sine (n_positions, width / 2) of the angles of rotary positions."""
    rates = base ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    angles = torch.arange(n_positions, dtype=torch.float32)[:, None] * rates
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn pairs of coordinates (i, i + width / 2) of `x` (..., steps, width) by the angles."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
