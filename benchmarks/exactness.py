"""How far recorded values of the shipped LSTM lie from one exact step.

Each recorded value is compared with one float64 step from the recorded state before it. Beside it
stands what a single step of torch's own float32 kernel from the same state leaves: the rounding of
the model's arithmetic, which no recorder can remove without changing the model's output.
``docs/reconstruction.md`` quotes these figures. ``python -m benchmarks.exactness``
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from torch import Tensor

from interp.capture import Recorder
from interp.corpora.standard_library import read_part
from interp.models.zoo import load_bundled

BARS = {"exactness_shipped_lstm": 3e-5}
N_FILES, N_STEPS = 8, 3_000


def exact_step(x: Tensor, h: Tensor, c: Tensor, weights: list[Tensor]) -> dict[str, Tensor]:
    """Return every signal after one float64 step, (rows, n_units) each."""
    w_input, w_hidden, b_input, b_hidden = (weight.double() for weight in weights)
    z = x.double() @ w_input.T + h.double() @ w_hidden.T + b_input + b_hidden
    i, f, g, o = z.chunk(4, -1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    cell = f * c.double() + i * g
    return {
        "input_gate": i, "forget_gate": f, "cell_gate": g, "output_gate": o,
        "cell": cell, "hidden": o * cell.tanh(),
    }  # fmt: skip


def worst(found: Tensor, exact: Tensor) -> float:
    """Return the largest difference, relative where the exact value is above 1."""
    return float(((found.double() - exact).abs() / exact.abs().clamp(min=1)).max())


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure; `quick` reads shorter pieces."""
    n_steps = 500 if quick else N_STEPS
    adapter = load_bundled("code-lstm")
    files = [file for file in read_part("stdlib:test") if len(file.text) > N_STEPS][:N_FILES]
    pieces = [torch.from_numpy(adapter.encode(file.text[:n_steps])[0]).long() for file in files]
    with torch.inference_mode():
        ids = torch.stack(pieces)
        with Recorder(adapter.module, sites=["lstm/l*"]) as recorder:
            adapter.module(ids)
        data = adapter.module.embedding(ids)
        detail: dict[str, Any] = {"files": len(files), "characters_each": n_steps}
        for layer in range(2):
            states = [recorder[f"lstm/l{layer}/{signal}"] for signal in ("hidden", "cell")]
            before = [torch.cat([s[:, :1] * 0, s[:, :-1]], 1).flatten(0, 1) for s in states]
            weights = adapter.module.lstm.all_weights[layer]
            exact = exact_step(data.flatten(0, 1), *before, weights)
            errors = {
                signal: worst(recorder[f"lstm/l{layer}/{signal}"].flatten(0, 1), value)
                for signal, value in exact.items()
            }
            one = data.reshape(-1, 1, data.shape[-1])
            state = tuple(part[None].contiguous() for part in before)
            _, h, c = torch.lstm(one, state, weights, True, 1, 0.0, False, False, True)
            detail[f"layer {layer}"] = errors | {
                "hidden, one step of the kernel": worst(h[0], exact["hidden"]),
                "cell, one step of the kernel": worst(c[0], exact["cell"]),
                "largest cell": float(states[1].abs().max()),
            }
            data = states[0]
    value = max(
        error for layer in range(2) for signal, error in detail[f"layer {layer}"].items()
        if signal in exact
    )  # fmt: skip
    bar = BARS["exactness_shipped_lstm"]
    return [{"name": "exactness_shipped_lstm", "value": value, "bar": bar, "direction": "max",
             "passed": value <= bar, "detail": detail}]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv[1:]), indent=2))
