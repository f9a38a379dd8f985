"""What the model said about the token that came, from its logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from interp.errors import ModelError


@dataclass(frozen=True)
class StepPredictions:
    """Predictions of one step, padded rows and all.

    Attributes
    ----------
    top_ids : ndarray (n_rows, n_steps, k) int32
        Most probable tokens, best first.
    top_probabilities : ndarray (n_rows, n_steps, k) float32
        Their probabilities.
    loss : ndarray (n_rows, n_steps) float32
        Negative log probability (nats) of the token that came; NaN where none did.
    """

    top_ids: np.ndarray
    top_probabilities: np.ndarray
    loss: np.ndarray


def predict(logits: torch.Tensor, targets: torch.Tensor, top_k: int) -> StepPredictions:
    """Return the most probable tokens and the loss of the actual ones.

    Parameters
    ----------
    logits : Tensor (n_rows, n_steps, n_vocabulary)
    targets : Tensor (n_rows, n_steps) int64
        -1 where there is nothing to compare with.
    top_k : int
        From 1 to n_vocabulary.

    Raises
    ------
    ModelError
        If the logits are not one row per position.
    """
    if logits.ndim != 3 or logits.shape[:2] != targets.shape:
        raise ModelError(
            f"The adapter's forward gives logits of shape {tuple(logits.shape)} for ids of shape "
            f"{tuple(targets.shape)}; they must be (batch, steps, n_vocabulary)."
        )
    # Sums over a large vocabulary lose digits in half precision.
    flat = logits.flatten(0, 1).float()
    wanted = targets.flatten()
    top, top_ids = torch.topk(flat, top_k, dim=-1)
    # One pass over the vocabulary: the full table of probabilities is never formed.
    total = torch.logsumexp(flat, dim=-1)
    actual = flat.gather(1, wanted.clamp_min(0).unsqueeze(1)).squeeze(1)
    loss = torch.where(wanted >= 0, total - actual, torch.nan)
    shape = targets.shape
    return StepPredictions(
        top_ids.to(torch.int32).reshape(*shape, top_k).cpu().numpy(),
        torch.exp(top - total.unsqueeze(1)).reshape(*shape, top_k).cpu().numpy(),
        loss.reshape(shape).cpu().numpy(),
    )
