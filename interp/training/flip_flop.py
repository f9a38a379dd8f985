"""Three bits to remember: the flip-flop task of Sussillo & Barak (2013)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from interp.models.flip_flop import FlipFlopConfig
from interp.training.fitting import FitConfig
from interp.training.tasks import Measure, Task

PULSE_RATE = 0.1


def pulses_and_bits(
    rng: np.random.Generator, n_sequences: int, n_steps: int, n_bits: int = 3
) -> tuple[Tensor, Tensor]:
    """Return pulses and the sign of each channel's last pulse.

    Parameters
    ----------
    rng : numpy Generator
    n_sequences, n_steps, n_bits : int

    Returns
    -------
    pulses : Tensor (n_sequences, n_steps, n_bits) float32
        -1, 0 or 1, not 0 with probability `PULSE_RATE`.
    bits : Tensor (n_sequences, n_steps, n_bits) float32
        -1 or 1; 0 before a channel's first pulse.
    """
    shape = (n_sequences, n_steps, n_bits)
    signs = rng.choice(np.array([-1.0, 1.0], np.float32), shape)
    pulses = np.where(rng.random(shape) < PULSE_RATE, signs, np.float32(0))
    steps = np.arange(n_steps)[None, :, None]
    last = np.maximum.accumulate(np.where(pulses != 0, steps, -1), axis=1)
    bits = np.where(last >= 0, np.take_along_axis(pulses, np.maximum(last, 0), axis=1), 0)
    return torch.from_numpy(pulses), torch.from_numpy(bits.astype(np.float32))


class FlipFlopTask(Task):
    """A GRU of 16 units that holds three bits."""

    summary = (
        "A GRU of 16 units that remembers, for each of three channels, the sign of the last "
        "pulse. With no input it has eight stable fixed points, one for each pattern of bits."
    )
    training = FitConfig(n_steps=1_500, batch_size=64, learning_rate=1e-2)
    n_steps_of_a_sequence = 60

    def config(self) -> dict[str, Any]:
        """Return the shape of the net."""
        return FlipFlopConfig().to_dict()

    def data(self) -> dict[str, str]:
        """Return how sequences are drawn."""
        return {
            "data": f"drawn afresh for every batch: {self.n_steps_of_a_sequence} steps, a pulse of "
            f"-1 or 1 in each channel with probability {PULSE_RATE:g} per step"
        }

    def loss(self, found: Any, rng: np.random.Generator, batch_size: int) -> Tensor:
        """Return the squared error of all channels at all steps."""
        pulses, bits = pulses_and_bits(rng, batch_size, self.n_steps_of_a_sequence)
        return F.mse_loss(found(pulses), bits)

    def measure(self, found: Any) -> list[Measure]:
        """Return how often the bits are right, over times longer than those trained on."""
        pulses, bits = pulses_and_bits(np.random.default_rng(1_000), 64, 300)
        output = found(pulses)
        known = bits != 0
        right = (output.sign() == bits)[known].float().mean()
        error = (output - bits)[known].square().mean()
        return [
            Measure(
                "bits right", float(right), "share of known bits whose sign is right, 300 steps"
            ),
            Measure("squared error", float(error), "mean over known bits"),
        ]

    def notes(self) -> list[str]:
        """Say that it reads numbers."""
        return [
            "It reads numbers, not text: record it with batches of pulses (batch, steps, 3), as in "
            '`interp.record("zoo:flip-flop", loader, "run.h5", forward=lambda model, batch: '
            "model(batch))`."
        ]
