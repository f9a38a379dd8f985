"""A small encoder–decoder Transformer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from interp.models.blocks import Block, Positions
from interp.models.pronunciation import LETTERS, LONGEST, PHONES, padding


@dataclass(frozen=True)
class TransformerPairConfig:
    """The shape of a :class:`TransformerPair`; `n_layers` counts encoder and decoder each."""

    kind: str = "g2p-transformer"
    n_layers: int = 2
    n_heads: int = 4
    n_cross_heads: int = 1
    n_embedding: int = 64
    longest: int = LONGEST
    n_source_vocabulary: int = len(LETTERS)
    n_vocabulary: int = len(PHONES)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return asdict(self)


class TransformerPair(nn.Module):
    """Blocks that read the letters, and blocks that speak the phones and look at the letters.

    Parameters
    ----------
    config : TransformerPairConfig
        Sizes.
    """

    def __init__(self, config: TransformerPairConfig) -> None:
        super().__init__()
        self.config = config
        width = config.n_embedding
        self.source_embedding = nn.Embedding(config.n_source_vocabulary, width)
        self.source_positions = Positions(config.longest, width)
        self.encoder = nn.ModuleList(Block(width, config.n_heads) for _ in range(config.n_layers))
        self.encoder_norm = nn.LayerNorm(width)
        self.target_embedding = nn.Embedding(config.n_vocabulary, width)
        self.target_positions = Positions(config.longest, width)
        self.decoder = nn.ModuleList(
            Block(width, config.n_heads, config.n_cross_heads) for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.n_vocabulary)
        for part in self.modules():
            if isinstance(part, nn.Embedding):
                nn.init.normal_(part.weight, std=0.3)

    def forward(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """Return logits (batch, target steps, n_vocabulary) of the next phone.

        Parameters
        ----------
        source : Tensor (batch, source steps) int64
            Letters, padded at the end.
        source_lengths : Tensor (batch,) int64
        target : Tensor (batch, target steps) int64
            Phones behind a start symbol.
        """
        is_real = padding(source_lengths.to(source.device), source.shape[1])
        memory = self.source_positions(self.source_embedding(source))
        for block in self.encoder:
            memory = block(memory, is_real)
        memory = self.encoder_norm(memory)
        x = self.target_positions(self.target_embedding(target))
        for block in self.decoder:
            x = block(x, is_causal=True, memory=memory, memory_visible=is_real)
        return self.head(self.norm(x))
