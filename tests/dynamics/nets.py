"""Small recurrent nets in float64, alone and inside modules of users' own."""

import torch
from torch import nn

KINDS = {
    "lstm": lambda: nn.LSTM(3, 5, 2, batch_first=True),
    "projected": lambda: nn.LSTM(3, 5, 2, proj_size=2, batch_first=True),
    "gru": lambda: nn.GRU(3, 5, 2, batch_first=True),
    "tanh": lambda: nn.RNN(3, 5, 2, batch_first=True),
    "relu": lambda: nn.RNN(3, 5, 2, nonlinearity="relu", batch_first=True),
    "no bias": lambda: nn.GRU(3, 5, 1, bias=False, batch_first=True),
    "time first": lambda: nn.LSTM(3, 5, 2),
}


def make(kind, seed=0):
    """Return a net of a kind, with weights large enough to matter."""
    torch.manual_seed(seed)
    net = KINDS[kind]().double().eval()
    with torch.no_grad():
        for part in net.parameters():
            part.mul_(2)
    return net


class Tagger(nn.Module):
    """A recurrent net somewhere inside, as a user's model has it."""

    def __init__(self, net, width=5):
        super().__init__()
        self.encoder = nn.ModuleDict({"rnn": net})
        self.head = nn.Linear(width, 4)

    def forward(self, x):
        return self.head(self.encoder["rnn"](x)[0])


class Loop(nn.Module):
    """A cell called in a loop."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3, 5)

    def forward(self, x):
        state, found = None, []
        for step in x.unbind(1):
            state = self.cell(step, state)
            found.append(state[0])
        return torch.stack(found, 1)
