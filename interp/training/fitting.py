"""Steps of gradient descent on a task that draws its own batches."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class FitConfig:
    """How a small model is trained.

    Adam; the rate warms up linearly for `n_warm_up` steps and then falls along a cosine to zero
    at `n_steps`.
    """

    n_steps: int
    batch_size: int = 64
    learning_rate: float = 3e-3
    n_warm_up: int = 50
    clip_norm: float = 1.0
    weight_decay: float = 0.0
    seed: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return the fields as a JSON-able dictionary."""
        return asdict(self)


def cosine_rate(peak: float, n_warm_up: int, step: int, n_steps: int) -> float:
    """Return the learning rate of step `step` of `n_steps`: up to `peak`, then down to zero."""
    if step < n_warm_up:
        return peak * (step + 1) / n_warm_up
    progress = (step - n_warm_up) / max(1, n_steps - n_warm_up)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def fit(
    module: nn.Module,
    loss: Callable[[np.random.Generator, int], Tensor],
    config: FitConfig,
    folder: Path,
    report: Callable[[dict[str, float]], None] = lambda row: None,
    report_every: int = 200,
) -> list[dict[str, float]]:
    """Train `module` in place, leave it in eval mode and return the log, one row per report.

    Parameters
    ----------
    module : torch.nn.Module
    loss : callable
        Given a random generator and a batch size, draws a batch and returns its loss.
    config : FitConfig
    folder : Path
        Gets ``log.jsonl``.
    report : callable
        Called with each row: step, mean loss since the last report, seconds.
    report_every : int
        Steps between rows.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    module.train()
    parameters = list(module.parameters())
    optimizer = torch.optim.AdamW(
        parameters, config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    log: list[dict[str, float]] = []
    running: list[float] = []
    started = time.monotonic()
    for step in range(config.n_steps):
        rate = cosine_rate(config.learning_rate, config.n_warm_up, step, config.n_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        value = loss(rng, config.batch_size)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        optimizer.step()
        running.append(float(value.detach()))
        if (step + 1) % report_every == 0 or step + 1 == config.n_steps:
            log.append(
                {
                    "step": step + 1,
                    "loss": float(np.mean(running)),
                    "elapsed_s": time.monotonic() - started,
                }
            )
            running.clear()
            with (folder / "log.jsonl").open("a") as handle:
                handle.write(json.dumps(log[-1]) + "\n")
            report(log[-1])
    module.eval()
    return log
