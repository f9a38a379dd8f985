"""What recording costs: CPU time on one thread, against the plain forward and a loop of steps.

Every round runs the contenders one after the other, and the ratio is the median over rounds, so
that a busy machine slows all of them alike. A round of a small model is 0.1 s of forwards, with the
recorder opened once and emptied after each. Batches have the 256 steps of an extraction's window,
fewer where they would be large. Beside each ratio stands the one of the fastest rounds
(``..._least``), which other work on the machine disturbs least; and for streams of one layer
``bare``, the forward and the arithmetic without a recorder. The bars are held to the medians.
``python -m benchmarks.capture [--quick]`` prints JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from interp.capture import Recorder
from interp.capture.reconstruction import Weights, lstm_signals
from interp.capture.steps import Alike, Steps
from interp.sites import CELL, LSTM_GATES

BARS = {
    "capture_six_signals": "≤ 1.05 × the best of a step loop and 2.6 × the plain forward",
    "capture_stream": "≤ 1.6 × the plain forward, 2,000 steps at batch 1",
    "capture_hidden": "≤ 1.1 × the plain forward, hidden states of all layers",
    "capture_gpu": "≤ 2.6 × the plain forward",
}
SIX = ["**/hidden", "**/cell", "**/*_gate"]
SIZES = [(1, 64), (1, 128), (1, 256), (2, 512), (2, 1024)]
BATCHES = [1, 4, 16, 64]


def step_loop(model: nn.LSTM, data: Tensor) -> list[tuple[Tensor, ...]]:
    """Run an LSTM step by step and keep hidden, cell and the four gates of each layer.

    As fast as we know how to write it: the input's product is taken over all steps at once, and
    every result goes where it is kept.
    """
    n_steps, batch, _ = data.shape
    n = model.hidden_size
    kept = []
    for layer in range(model.num_layers):
        w_input, w_hidden, b_input, b_hidden = model._flat_weights[4 * layer : 4 * layer + 4]
        gates = F.linear(data, w_input, b_input + b_hidden)
        turned = w_hidden.t()
        hiddens, cells = (torch.empty(n_steps, batch, n, device=data.device) for _ in range(2))
        hidden, cell = (torch.zeros(batch, n, device=data.device) for _ in range(2))
        for t in range(n_steps):
            block = gates[t].addmm_(hidden, turned)
            block[:, : 2 * n].sigmoid_()
            block[:, 2 * n : 3 * n].tanh_()
            block[:, 3 * n :].sigmoid_()
            i, f, g, o = block.chunk(4, 1)
            cell = torch.mul(f, cell, out=cells[t]).addcmul_(i, g)
            hidden = torch.mul(o, cell.tanh(), out=hiddens[t])
        kept.append((hiddens, cells, gates))
        data = hiddens
    return kept


def interleaved(
    contenders: dict[str, Callable[[], Any]], budget_s: float
) -> dict[str, list[float]]:
    """Return CPU seconds per round of each contender; after a round to warm up, at least five."""
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    spent = 0.0
    while spent < budget_s or len(seconds["plain"]) < 5:
        for name, run in contenders.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
            spent += seconds[name][-1]
    return seconds


def bare_signals(model: nn.LSTM, data: Tensor) -> dict[str, Tensor]:
    """Return cells and gates of an LSTM of one layer by the recorder's arithmetic alone."""
    n_steps, batch, _ = data.shape
    zeros = torch.zeros(batch, model.hidden_size)
    hidden = model(data)[0].view(n_steps * batch, -1)
    rows, steps = data.view(n_steps * batch, -1), Steps(Alike(batch, n_steps))
    weights = Weights.of(model._flat_weights, True)
    return lstm_signals(rows, hidden, [zeros, zeros], weights, steps, (CELL, *LSTM_GATES))


def least_ratio(seconds: dict[str, list[float]], name: str, to: str) -> float:
    """Return the time of one contender's fastest round over that of another's."""
    return min(seconds[name]) / min(seconds[to])


def ratio(seconds: dict[str, list[float]], name: str, to: str) -> float:
    """Return the median over rounds of one contender's time over another's."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[to], strict=True))


def _case(layers: int, units: int, batch: int, n_steps: int, budget_s: float) -> dict[str, float]:
    """Measure one size: ratios to the plain forward, and to the best of the two yardsticks."""
    torch.manual_seed(0)
    model = nn.LSTM(units, units, layers).eval()
    data = torch.randn(n_steps, batch, units)
    model(data)  # the first takes several times as long
    start = time.process_time()
    for _ in range(3):
        model(data)
    n_forwards = max(1, int(0.1 / ((time.process_time() - start) / 3)))

    def repeated(forward: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> None:
            for _ in range(n_forwards):
                forward()

        return run

    def recorded(sites: list[str]) -> Callable[[], Any]:
        recorder = Recorder(model, sites)

        def run() -> None:
            with recorder:
                for _ in range(n_forwards):
                    model(data)
                    recorder.take()

        return run

    contenders = {
        "plain": repeated(lambda: model(data)),
        "six": recorded(SIX),
        "hidden": recorded(["**/hidden"]),
        "loop": repeated(lambda: step_loop(model, data)),
    }
    if batch == 1 and n_steps > 1000:
        del contenders["loop"]
        if layers == 1:
            contenders["bare"] = repeated(lambda: bare_signals(model, data))
    with torch.no_grad():
        seconds = interleaved(contenders, budget_s)
    found = {name: round(ratio(seconds, name, "plain"), 3) for name in contenders}
    for name in ("six", "hidden"):
        found[f"{name}_least"] = round(least_ratio(seconds, name, "plain"), 3)
    found["plain_ms"] = round(statistics.median(seconds["plain"]) / n_forwards * 1e3, 2)
    found |= {"n_steps": n_steps, "n_forwards": n_forwards}
    if "loop" in contenders:
        found["to_best"] = round(found["six"] / min(found["loop"], 2.6), 3)
    return found


def _gpu_case() -> dict[str, float]:
    """Measure 2 × 512, batch 64, 256 steps on the GPU, in wall time with everything awaited."""
    torch.manual_seed(0)
    model = nn.LSTM(512, 512, 2).cuda().eval()
    data = torch.randn(256, 64, 512, device="cuda")
    recorder = Recorder(model, SIX)

    def recorded() -> None:
        with recorder:
            model(data)

    def timed(run: Callable[[], Any]) -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    contenders = {
        "plain": lambda: model(data),
        "six": recorded,
        "loop": lambda: step_loop(model, data),
    }
    with torch.no_grad():
        for run in contenders.values():
            run()
        rounds = [{name: timed(run) for name, run in contenders.items()} for _ in range(20)]
    seconds = {name: [each[name] for each in rounds] for name in contenders}
    return {name: round(ratio(seconds, name, "plain"), 3) for name in contenders}


def _n_steps(units: int, batch: int) -> int:
    return min(256, (1 << 21) // (units * batch))


def _row(name: str, value: float, bar: float, detail: Any) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 3),
        "bar": bar,
        "direction": "max",
        "passed": value <= bar,
        "detail": detail,
    }


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Measure every bar; the value of a bar is that of its worst size."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _run(quick)
    finally:
        torch.set_num_threads(n_threads)


def _run(quick: bool) -> list[dict[str, Any]]:
    sizes = SIZES[::3] if quick else SIZES
    budget_s = 0.5 if quick else 2.0
    batches = {
        f"{layers}x{units}, batch {batch}": _case(
            layers, units, batch, _n_steps(units, batch), budget_s
        )
        for layers, units in sizes
        for batch in (BATCHES[::3] if quick else BATCHES)
    }
    streams = {
        f"{layers}x{units}": _case(layers, units, 1, 2000, budget_s) for layers, units in sizes
    }
    worst_hidden = max(case["hidden"] for case in (*batches.values(), *streams.values()))
    rows = [
        _row(
            "capture_six_signals", max(case["to_best"] for case in batches.values()), 1.05, batches
        ),
        _row("capture_stream", max(case["six"] for case in streams.values()), 1.6, streams),
        _row("capture_hidden", worst_hidden, 1.1, "the worst of the sizes above"),
    ]
    if torch.cuda.is_available():
        found = _gpu_case()
        rows.append(_row("capture_gpu", found["six"], 2.6, found))
    return rows


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=1))
