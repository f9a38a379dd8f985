"""Attention as people write it: one module per way of writing it, with its own weights kept."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

N_HEADS = 2


class Projections(nn.Module):
    """Queries, keys, values and an output projection; subclasses attend."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.softmax = nn.Softmax(-1)
        self.dropout = nn.Dropout(0.5)
        self.expected: torch.Tensor | None = None

    def split(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return q, k, v as (batch, heads, steps, head_dim)."""
        batch, steps, _ = x.shape
        parts = (layer(x).view(batch, steps, N_HEADS, -1) for layer in (self.q, self.k, self.v))
        return [part.transpose(1, 2) for part in parts]

    @staticmethod
    def scaled(scores: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        return scores / math.sqrt(q.shape[-1])


class Textbook(Projections):
    def forward(self, x):
        q, k, v = self.split(x)
        weights = self.softmax(self.scaled(q @ k.transpose(-2, -1), q))
        self.expected = weights
        return self.out((self.dropout(weights) @ v).transpose(1, 2).reshape(x.shape))


class NanoGpt(nn.Module):
    """A causal block of GPT in one module: fused projection, mask by a buffer."""

    def __init__(self, width: int = 8, longest: int = 16) -> None:
        super().__init__()
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)
        self.register_buffer("bias", torch.tril(torch.ones(longest, longest))[None, None])
        self.expected = None

    def forward(self, x):
        batch, steps, width = x.size()
        q, k, v = self.c_attn(x).split(width, dim=2)
        q, k, v = (
            part.view(batch, steps, N_HEADS, width // N_HEADS).transpose(1, 2) for part in (q, k, v)
        )
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:, :, :steps, :steps] == 0, float("-inf"))
        att = functional.softmax(att, dim=-1)
        self.expected = att
        y = att @ v
        y = y.transpose(1, 2).contiguous().view(batch, steps, width)
        return self.c_proj(y)


class HeadsInTheBatch(Projections):
    """(batch * heads, steps, head_dim), as with bmm."""

    def forward(self, x):
        batch, steps, _ = x.shape
        q, k, v = (part.reshape(batch * N_HEADS, steps, -1) for part in self.split(x))
        weights = functional.softmax(self.scaled(torch.bmm(q, k.mT), q), -1)
        self.expected = weights.view(batch, N_HEADS, steps, steps)
        heads = torch.bmm(weights, v).view(batch, N_HEADS, steps, -1)
        return self.out(heads.permute(0, 2, 1, 3).flatten(2))


class HeadsBeforeTheBatch(Projections):
    """(heads * batch, steps, head_dim), joined by splitting along the first axis."""

    def forward(self, x):
        batch, steps, width = x.shape
        q, k, v = (
            torch.cat(layer(x).split(width // N_HEADS, -1), 0) for layer in (self.q, self.k, self.v)
        )
        weights = self.scaled(torch.bmm(q, k.mT), q).softmax(-1)
        self.expected = weights.view(N_HEADS, batch, steps, steps).transpose(0, 1)
        return self.out(torch.cat(torch.bmm(weights, v).split(batch, 0), -1))


class HeadsFirst(Projections):
    """(heads, batch, steps, head_dim), with heads and width summed by one einsum."""

    def forward(self, x):
        q, k, v = (part.transpose(0, 1) for part in self.split(x))
        weights = self.scaled(q @ k.mT, q).softmax(-1)
        self.expected = weights.transpose(0, 1)
        kernel = self.out.weight.view(-1, N_HEADS, q.shape[-1])
        return torch.einsum("hbqd,ohd->bqo", weights @ v, kernel)


class Einsum(Projections):
    def forward(self, x):
        q, k, v = (part.transpose(1, 2) for part in self.split(x))
        scores = self.scaled(torch.einsum("bqhd,bkhd->bhqk", q, k), q)
        self.expected = weights = torch.softmax(scores, -1)
        heads = torch.einsum("bhqk,bkhd->bqhd", weights, v)
        return self.out(heads.reshape(x.shape))


class TimeFirstEinsum(Projections):
    """Letters in another order, an ellipsis, and the values in front."""

    def forward(self, x):
        q, k, v = self.split(x)
        scores = self.scaled(torch.einsum("...kd,...qd->...qk", k, q), q)
        self.expected = weights = torch.softmax(scores, -1)
        heads = torch.einsum("...kd, ...qk -> ...qd", v, weights)
        return self.out(heads.transpose(1, 2).reshape(x.shape))


class GroupedEinsum(Projections):
    """Groups of heads that share keys and values, by letters."""

    def forward(self, x):
        batch, steps, width = x.shape
        q = self.q(x).view(batch, steps, 1, N_HEADS, -1)
        k, v = (layer(x).view(batch, steps, N_HEADS, -1)[:, :, :1] for layer in (self.k, self.v))
        scores = self.scaled(torch.einsum("btkgd,bskd->bkgts", q, k), q)
        weights = torch.softmax(scores, -1)
        self.expected = weights.flatten(1, 2)
        heads = torch.einsum("bkgts,bskd->btkgd", weights, v)
        return self.out(heads.reshape(x.shape))


class KernelOnThreeAxes(Projections):
    """torch's kernel given (batch * heads, steps, head_dim)."""

    def forward(self, x):
        batch, steps, _ = x.shape
        q, k, v = (part.reshape(batch * N_HEADS, steps, -1) for part in self.split(x))
        weights = self.scaled(torch.bmm(q, k.mT), q).softmax(-1).detach()
        self.expected = weights.view(batch, N_HEADS, steps, steps)
        heads = functional.scaled_dot_product_attention(q, k, v)
        return self.out(heads.view(batch, N_HEADS, steps, -1).permute(0, 2, 1, 3).flatten(2))


class MaskedAfterwards(Projections):
    """A mask behind the softmax, and the rows normalised again."""

    def forward(self, x):
        q, k, v = self.split(x)
        weights = functional.softmax(self.scaled(q @ k.mT, q), dim=-1)
        weights = weights * torch.ones(x.shape[1], x.shape[1]).tril()
        self.expected = weights = weights / weights.sum(-1, keepdim=True)
        return self.out((weights @ v).transpose(1, 2).reshape(x.shape))


class Sink(Projections):
    """A learned score that takes part in the softmax and is cut off behind it."""

    def forward(self, x):
        q, k, v = self.split(x)
        scores = self.scaled(q @ k.mT, q)
        sink = torch.zeros(*scores.shape[:-1], 1)
        self.expected = weights = torch.cat([scores, sink], -1).softmax(-1)[..., :-1]
        return self.out((weights @ v).transpose(1, 2).reshape(x.shape))


class ChangedInPlace(Projections):
    """Weights that are overwritten after use."""

    def forward(self, x):
        q, k, v = self.split(x)
        weights = functional.softmax(self.scaled(q @ k.mT, q), dim=-1)
        self.expected = weights.clone()
        heads = weights @ v
        weights.zero_()
        q.zero_()
        return self.out(heads.transpose(1, 2).reshape(x.shape))


class Additive(nn.Module):
    """Additive attention of one query per call; `way` says how the values are weighted."""

    def __init__(self, way: str, width: int = 4) -> None:
        super().__init__()
        self.of_query, self.of_keys = nn.Linear(width, width), nn.Linear(width, width)
        self.score = nn.Linear(width, 1)
        self.way = way
        self.expected = None

    def forward(self, query, encoded):
        scores = self.score(torch.tanh(self.of_query(query)[:, None] + self.of_keys(encoded)))
        if self.way == "time first":
            weights = functional.softmax(scores.transpose(0, 1), dim=0)
            self.expected = weights.permute(1, 2, 0)
            return (weights * encoded.transpose(0, 1)).sum(0)
        if self.way in ("product", "expand", "behind"):
            weights = functional.softmax(scores, dim=1)
            self.expected = weights.transpose(1, 2)
            if self.way == "product":
                return (weights * encoded).sum(1)
            if self.way == "expand":
                return torch.sum(weights.expand_as(encoded) * encoded, dim=1, keepdim=True)[:, 0]
            return torch.bmm(encoded.transpose(1, 2), weights).squeeze(2)
        weights = functional.softmax(scores.squeeze(2), dim=-1)
        self.expected = weights[:, None]
        if self.way == "bmm":
            return torch.bmm(weights.unsqueeze(1), encoded).squeeze(1)
        if self.way == "einsum":
            return torch.einsum("bs,bsd->bd", weights, encoded)
        return weights  # the decoder weights the values


WAYS = ["bmm", "product", "expand", "behind", "einsum", "time first", "outside"]


class Decoder(nn.Module):
    """A decoder that attends once per step, over a vocabulary's softmax."""

    def __init__(self, way: str, width: int = 4) -> None:
        super().__init__()
        self.attention = Additive(way, width)
        self.cell = nn.GRUCell(width, width)
        self.out = nn.Linear(width, 7)
        self.expected = None

    def forward(self, encoded, steps=3):
        state = encoded.mean(1)
        maps, outputs = [], []
        for _ in range(steps):
            context = self.attention(state, encoded)
            if self.attention.way == "outside":
                context = (context[:, :, None] * encoded).sum(1)
            state = self.cell(context, state)
            maps.append(self.attention.expected)
            outputs.append(functional.softmax(self.out(state), -1))
        self.expected = torch.stack(maps, 2)
        return torch.stack(outputs, 1)
