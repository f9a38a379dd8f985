"""A recurrent encoder–decoder with additive attention."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from interp.models.pronunciation import LETTERS, PHONES, padding


@dataclass(frozen=True)
class RecurrentPairConfig:
    """The shape of a :class:`RecurrentPair`; the encoder runs in both directions."""

    kind: str = "g2p-gru"
    n_embedding: int = 32
    n_encoder: int = 64
    n_decoder: int = 128
    n_source_vocabulary: int = len(LETTERS)
    n_vocabulary: int = len(PHONES)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return asdict(self)


class AdditiveAttention(nn.Module):
    """Attention that scores with a small perceptron (Bahdanau, Cho & Bengio 2015).

    ``score(query, key) = v · tanh(W query + U key)``; the keys are the values.

    Parameters
    ----------
    n_query, n_key, n_hidden : int
        Widths of query, key, and the perceptron's hidden layer.
    """

    def __init__(self, n_query: int, n_key: int, n_hidden: int) -> None:
        super().__init__()
        self.of_query = nn.Linear(n_query, n_hidden)
        self.of_keys = nn.Linear(n_key, n_hidden, bias=False)
        self.score = nn.Linear(n_hidden, 1, bias=False)

    def forward(self, query: Tensor, encoded: Tensor, keys: Tensor, is_real: Tensor) -> Tensor:
        """Return the weighted sum of what was encoded, (batch, n_key).

        Parameters
        ----------
        query : Tensor (batch, n_query)
        encoded : Tensor (batch, source steps, n_key)
        keys : Tensor (batch, source steps, n_hidden)
            ``of_keys(encoded)``, the same at every step.
        is_real : Tensor (batch, source steps) bool
            False at padding.
        """
        scores = self.score(torch.tanh(self.of_query(query)[:, None] + keys)).squeeze(2)
        weights = torch.softmax(scores.masked_fill(~is_real, -torch.inf), dim=-1)
        return torch.bmm(weights[:, None], encoded)[:, 0]


class Decoder(nn.Module):
    """One phone after another: attend, update the state, read out.

    The query is the state and the phone just read, so that the attention knows how far the word
    has been spoken.

    Parameters
    ----------
    config : RecurrentPairConfig
    """

    def __init__(self, config: RecurrentPairConfig) -> None:
        super().__init__()
        n_encoded = 2 * config.n_encoder
        self.embedding = nn.Embedding(config.n_vocabulary, config.n_embedding)
        self.attention = AdditiveAttention(
            config.n_decoder + config.n_embedding, n_encoded, config.n_encoder
        )
        self.cell = nn.GRUCell(config.n_embedding + n_encoded, config.n_decoder)
        self.head = nn.Linear(config.n_decoder + n_encoded, config.n_vocabulary)

    def forward(self, target: Tensor, encoded: Tensor, is_real: Tensor, state: Tensor) -> Tensor:
        """Return logits (batch, target steps, n_vocabulary) of the next phone.

        Parameters
        ----------
        target : Tensor (batch, target steps) int64
            Begins with the start symbol.
        encoded : Tensor (batch, source steps, 2 * n_encoder)
        is_real : Tensor (batch, source steps) bool
        state : Tensor (batch, n_decoder)
            Before the first step.
        """
        keys = self.attention.of_keys(encoded)
        read: list[Tensor] = []
        for phone in self.embedding(target).unbind(1):
            context = self.attention(torch.cat([state, phone], 1), encoded, keys, is_real)
            state = self.cell(torch.cat([phone, context], 1), state)
            read.append(torch.cat([state, context], 1))
        return self.head(torch.stack(read, 1))


class RecurrentPair(nn.Module):
    """A GRU reads the letters in both directions, another speaks the phones.

    Parameters
    ----------
    config : RecurrentPairConfig
        Sizes.
    """

    def __init__(self, config: RecurrentPairConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.n_source_vocabulary, config.n_embedding)
        self.encoder = nn.GRU(
            config.n_embedding, config.n_encoder, batch_first=True, bidirectional=True
        )
        self.first_state = nn.Linear(2 * config.n_encoder, config.n_decoder)
        self.decoder = Decoder(config)

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
        packed = pack_padded_sequence(
            self.embedding(source), source_lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        outputs, last = self.encoder(packed)
        encoded, _ = pad_packed_sequence(outputs, batch_first=True, total_length=source.shape[1])
        state = torch.tanh(self.first_state(torch.cat([last[0], last[1]], 1)))
        is_real = padding(source_lengths.to(source.device), source.shape[1])
        return self.decoder(target, encoded, is_real, state)
