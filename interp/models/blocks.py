"""The parts of small Transformers: attention by torch's kernel, perceptron, residual stream."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention; `forward` says from where the keys come and what is hidden.

    Parameters
    ----------
    width, n_heads : int
        Of the residual stream, and heads that share it.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Tensor, memory: Tensor, visible: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """Return what the heads add to `x`, (batch, queries, width).

        Parameters
        ----------
        x : Tensor (batch, queries, width)
        memory : Tensor (batch, keys, width)
            Where keys and values are read; `x` itself for self-attention.
        visible : Tensor (batch, keys) bool, optional
            False at padding.
        is_causal : bool
            Whether a query sees keys up to its own position only.
        """
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in (self.query(x), self.key(memory), self.value(memory))
        )
        mask = None if visible is None else visible[:, None, None]
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=is_causal
        )
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Self-attention, cross-attention where there is a memory, and a perceptron.

    Each reads a normalised residual stream and adds to it.

    Parameters
    ----------
    width, n_heads : int
    n_cross_heads : int
        Heads that look at the memory; 0 for a block without one.
    dropout : float
        On what each part adds, in training.
    """

    def __init__(
        self, width: int, n_heads: int, n_cross_heads: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, n_heads)
        if n_cross_heads:
            self.cross_norm = nn.LayerNorm(width)
            self.cross_attention = Attention(width, n_cross_heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        visible: Tensor | None = None,
        is_causal: bool = False,
        memory: Tensor | None = None,
        memory_visible: Tensor | None = None,
    ) -> Tensor:
        """Return the residual stream behind this block, (batch, steps, width).

        Parameters
        ----------
        x : Tensor (batch, steps, width)
        visible : Tensor (batch, steps) bool, optional
            False at padding of `x`.
        is_causal : bool
        memory : Tensor (batch, keys, width), optional
        memory_visible : Tensor (batch, keys) bool, optional
        """
        normed = self.attention_norm(x)
        x = x + self.dropout(self.attention(normed, normed, visible, is_causal))
        if memory is not None:
            normed = self.cross_norm(x)
            x = x + self.dropout(self.cross_attention(normed, memory, memory_visible))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


class Positions(nn.Module):
    """A learned vector per position, added to what stands there.

    Parameters
    ----------
    longest, width : int
    """

    def __init__(self, longest: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(longest, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` (batch, steps, width) with the vector of each position added."""
        return x + self.vectors(torch.arange(x.shape[1], device=x.device))
