"""Text from a model: one character after another."""

from __future__ import annotations

import numpy as np
import torch

from interp.errors import ModelError
from interp.models.adapter import Adapter


def _context_length(adapter: Adapter) -> int:
    context = getattr(adapter, "context_length", None)
    if not context:
        raise ModelError(
            "This model cannot be sampled: its adapter neither carries state from one step to the "
            "next nor has a context_length. See docs/recording-your-model.md."
        )
    return context


def sample(
    adapter: Adapter,
    prompt: str = "def ",
    n_characters: int = 400,
    temperature: float = 0.7,
    seed: int = 0,
) -> str:
    """Return `prompt` continued by `n_characters` positions drawn from the model.

    Parameters
    ----------
    adapter : Adapter
        A language model that carries state, or one with a `context_length`, which reads the
        last characters of that number anew for each one that it draws.
    prompt : str
        At least one character; the state is warmed up on it.
    n_characters : int
    temperature : float
        Divides the logits; 0 takes the most likely character each time.
    seed : int
    """
    if not prompt:
        raise ModelError("A prompt needs at least one character; the model starts from it.")
    if not 0 <= seed < 2**63:
        raise ModelError(f"seed must be from 0 to 2**63 - 1, not {seed}.")
    if temperature < 0:
        raise ModelError(f"The temperature must be 0 or more, not {temperature}.")
    generator = torch.Generator().manual_seed(seed)
    ids = torch.as_tensor(adapter.encode(prompt)[0]).long()[None]
    context = None if adapter.carries_state else _context_length(adapter)
    ids = ids[:, -context:] if context else ids
    drawn: list[int] = []
    state = None
    with torch.inference_mode():
        for _ in range(n_characters):
            logits, state = adapter.forward(ids, torch.tensor([ids.shape[1]]), state)
            if logits is None:
                raise ModelError("The model gives no logits, so nothing can be drawn from it.")
            last = logits[0, -1].float()
            if temperature == 0:
                choice = last.argmax()[None]
            else:
                # From the largest on, so that a small temperature does not leave the floats.
                scaled = (last - last.max()).double() / temperature
                chances = torch.softmax(scaled, -1).float()
                choice = torch.multinomial(chances, 1, generator=generator)
            drawn.append(int(choice))
            ids = choice[None] if context is None else torch.cat([ids, choice[None]], 1)
            ids = ids[:, -context:] if context else ids
    return prompt + "".join(adapter.decode(np.array(drawn)))
