"""What the tests of the commands share."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


FACTORY = """
import torch
from interp.models.characters import build

def tiny():
    return build({"kind": "lstm", "n_layers": 2, "n_hidden": 8, "n_embedding": 4})

def attentive():
    return build({
        "kind": "transformer", "n_layers": 2, "n_heads": 2, "n_embedding": 8, "context_length": 32
    })

def poisoned():
    adapter = tiny()
    with torch.no_grad():
        adapter.module.lstm.weight_hh_l1[3, 2] = float("nan")
    return adapter

class Strict:
    # Reads its own words alone, and lets Python say what it does not read.

    predicts, carries_state, vocabulary = "next", True, ["<start>", "ok", "no"]

    def __init__(self):
        self.module = torch.nn.Embedding(3, 4)

    def encode(self, text):
        return [self.vocabulary.index(text)], None

    def decode(self, ids):
        return [self.vocabulary[i] for i in ids]

    def forward(self, ids, lengths, state):
        return self.module(ids), state

def strict():
    return Strict()

def mute():
    adapter = Strict()
    adapter.encode = lambda text: [][0]
    return adapter

def bare():
    return torch.nn.LSTM(3, 4)

def loud():
    # The cell state grows by one a step, so float16 overflows only far into the text.
    adapter = tiny()
    with torch.no_grad():
        for name, parameter in adapter.module.lstm.named_parameters():
            parameter.zero_()
        bias = adapter.module.lstm.bias_ih_l0
        bias[:24] = 100.0
    adapter.module.scaled = Scaled()
    return Scaling(adapter)

class Scaled(torch.nn.Module):
    def forward(self, x):
        return x * 1000

class Scaling:
    def __init__(self, adapter):
        self.__dict__.update(vars(adapter))
        self._adapter = adapter
        self.predicts, self.carries_state = "next", True
        self.encode, self.decode = adapter.encode, adapter.decode

    def forward(self, ids, lengths, state):
        logits, state = self._adapter.forward(ids, lengths, state)
        self.module.scaled(state[1][0][:, None, :].expand(-1, ids.shape[1], -1))
        return logits, state
"""


def refused(result):
    """Return the message of a refusal, which is one line with status 2 and no traceback."""
    status, out, err = result
    assert status == 2
    assert out == ""
    message = err.strip().splitlines()[-1]
    assert message.startswith("interp: ")
    assert "Traceback" not in err
    return message


RECORD = ("record", "py:factories:tiny", "corpus.txt", "-o", "run.h5")
