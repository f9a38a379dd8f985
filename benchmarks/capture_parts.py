"""Where the time of recording one stream goes: parts, as shares of the plain forward.

``python -m benchmarks.capture_parts`` prints the table of docs/reconstruction.md: medians of wall
time in one thread, six signals of one layer over 2,000 steps at batch 1.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from benchmarks.capture import SIX
from interp.capture import Recorder, reconstruction

PARTS = {
    "product": (reconstruction, "affine"),
    "sigmoid and tanh": (reconstruction._Group, "activate_"),
    "scan": (reconstruction, "scan_"),
    "input beside previous state": (reconstruction._Preactivations, "_inputs"),
    "weights side by side": (reconstruction._Preactivations, "_prepare"),
}
ROUNDS, PER_ROUND = 12, 14


def timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """Return the function, which notes how long each call takes."""

    def run(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = function(*args, **kwargs)
        seconds.append(time.perf_counter() - start)
        return result

    return run


def shares(units: int) -> dict[str, float]:
    """Return each part's share of the plain forward of a layer of some units."""
    torch.manual_seed(0)
    model, data = nn.LSTM(units, units).eval(), torch.randn(2000, 1, units)
    recorder, found = Recorder(model, SIX), {name: [] for name in ("plain", "copy", *PARTS)}
    plain, copy = timed(model, found["plain"]), timed(torch.clone, found["copy"])
    for _ in range(ROUNDS):
        patches = [
            patch.object(place, name, timed(getattr(place, name), found[part]))
            for part, (place, name) in PARTS.items()
        ]
        for each in patches:
            each.start()
        with recorder:
            for _ in range(PER_ROUND):
                model(data)
                recorder.take()
        patch.stopall()
        for _ in range(PER_ROUND):
            copy(plain(data)[0])
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    return {name: round(median / medians["plain"], 3) for name, median in medians.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        for units in (64, 128):
            print(f"1 x {units}: {shares(units)}")
