"""Models that the recorder's tests watch, and whether it left anything on them."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.overrides import _get_current_function_mode_stack

from interp.capture import name_value


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, 2, batch_first=True)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(5, 3)

    def forward(self, ids):
        return self.head(self.relu(self.lstm(self.embedding(ids))[0]))


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(7, 4)

    def forward(self, x, h):
        gate = name_value("gate", torch.sigmoid(self.linear(torch.cat([x, h], -1))))
        return gate * h + (1 - gate)


class HandWritten(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = Cell()

    def forward(self, x):
        h = x.new_zeros(len(x), 4)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return h


class PacksItself(nn.LSTM):
    """Sorts its sequences by length within its own forward."""

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(super().forward(packed)[0], batch_first=True)[0]


def is_clean(model):
    return not _get_current_function_mode_stack() and not any(
        module._forward_hooks or module._forward_pre_hooks for module in model.modules()
    )
