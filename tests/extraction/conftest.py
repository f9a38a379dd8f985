"""Small models with adapters, and the long pass that every recording is compared with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import interp
from interp.models.characters import CharacterAdapter, build


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class BidirectionalAdapter(CharacterAdapter):
    """A tagger: a bidirectional LSTM over packed documents, logits about the position itself."""

    predicts = "same"
    carries_state = False

    def forward(self, ids, lengths, state):
        assert state is None
        return self.module(ids, lengths), None


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(98, 5)
        self.lstm = nn.LSTM(5, 6, bidirectional=True, batch_first=True)
        self.head = nn.Linear(12, 98)

    def forward(self, ids, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(ids), lengths, batch_first=True, enforce_sorted=False
        )
        hidden, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(hidden)


def make_model(kind="lstm", dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    sizes = {"n_layers": 2, "n_hidden": 12, "n_embedding": 6}
    adapter = build({"kind": kind, **sizes})
    # Forget gates wide open, so that the state remembers what came long before.
    adapter.module.to(dtype)
    return adapter


def make_tagger(seed=0):
    torch.manual_seed(seed)
    return BidirectionalAdapter(Tagger().eval())


def make_texts(lengths, seed=0):
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdef ()\n'#"))
    return {f"d{i}": "".join(rng.choice(letters, n)) for i, n in enumerate(lengths)}


def long_pass(adapter, text, sites):
    """Values (n_positions, n_units) of each site and the log probabilities, in one forward."""
    ids = torch.as_tensor(adapter.encode(text)[0], dtype=torch.int64)[None]
    with torch.no_grad(), interp.Recorder(adapter.module, sites=sites) as recorder:
        logits, _ = adapter.forward(ids, torch.tensor([ids.shape[1]]), None)
    values = {site: recorder[site][0].numpy() for site in recorder.sites}
    return values, torch.log_softmax(logits[0].double(), -1).numpy(), ids[0].numpy()
