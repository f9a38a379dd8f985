"""A net that holds a few bits: pulses in, the sign of the last pulse of each channel out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class FlipFlopConfig:
    """The shape of a :class:`FlipFlop`."""

    kind: str = "flip-flop"
    n_bits: int = 3
    n_hidden: int = 16

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return asdict(self)


class FlipFlop(nn.Module):
    """A GRU that remembers, for each channel, the sign of its last pulse (Sussillo & Barak 2013).

    With no input it has one stable fixed point for each pattern of bits. It reads numbers, not
    text: record it from a DataLoader.

    Parameters
    ----------
    config : FlipFlopConfig
        Channels and units.
    """

    def __init__(self, config: FlipFlopConfig) -> None:
        super().__init__()
        self.config = config
        self.gru = nn.GRU(config.n_bits, config.n_hidden, batch_first=True)
        self.head = nn.Linear(config.n_hidden, config.n_bits)

    def forward(self, pulses: Tensor) -> Tensor:
        """Return the remembered bits (batch, steps, n_bits), near -1 and 1.

        Parameters
        ----------
        pulses : Tensor (batch, steps, n_bits)
            -1, 0 or 1; most are 0.
        """
        hidden, _ = self.gru(pulses)
        return self.head(hidden)


def build(config: dict[str, Any]) -> FlipFlop:
    """Return a freshly initialised net of this shape, in eval mode."""
    with torch.no_grad():
        return FlipFlop(FlipFlopConfig(**config)).eval()
