"""What attention maps in memory cost, against the eager implementation that returns them.

The model is a decoder of 8 layers, width 256, 8 heads, on 4 rows of 512 tokens, in float32. It is
run plainly, recorded (`**/attention`, a new recorder each time, so that every run includes the
proof of the first batch), and as a copy in the eager implementation that is asked for its
attentions; in turns, in one thread, by CPU time. Peak memory is that of processes that do one run
each, less that of one without maps.

    python -m benchmarks.attention [--quick]
"""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

BARS = {"attention_maps_vs_eager": 1.1, "attention_memory_vs_eager": 1.0}
LAYERS, WIDTH, HEADS, TOKENS, BATCH, VOCABULARY = 8, 256, 8, 512, 4, 1000
KINDS = ("plain", "eager", "recorded")


def build(implementation: str) -> Any:
    import torch
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaModel

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        vocab_size=VOCABULARY,
        max_position_embeddings=TOKENS,
    )
    config._attn_implementation = implementation
    return LlamaModel(config).eval()


def runner(kind: str) -> Callable[[], list[Any]]:
    """Return a function that runs the model once and returns its maps."""
    import torch

    import interp

    torch.set_num_threads(1)
    model = build("eager" if kind == "eager" else "sdpa")
    ids = torch.randint(VOCABULARY, (BATCH, TOKENS), generator=torch.Generator().manual_seed(0))

    def run() -> list[Any]:
        with torch.no_grad():
            if kind == "eager":
                return list(model(ids, output_attentions=True, use_cache=False).attentions)
            if kind == "plain":
                model(ids, use_cache=False)
                return []
            with interp.Recorder(model, sites="**/attention") as recorder:
                model(ids, use_cache=False)
            return [recorder[site] for site in recorder.sites]

    return run


def times(rounds: int) -> dict[str, list[float]]:
    """Return CPU seconds of each kind of run, taken in turns."""
    runners = {kind: runner(kind) for kind in KINDS}
    spent: dict[str, list[float]] = {kind: [] for kind in KINDS}
    maps = {kind: run() for kind, run in runners.items()}
    worst = max(
        float((ours - eager).abs().max())
        for ours, eager in zip(maps["recorded"], maps["eager"], strict=True)
    )
    assert worst <= 1e-6 and len(maps["recorded"]) == LAYERS, worst
    maps.clear()
    for _ in range(rounds):
        for kind, run in runners.items():
            start = time.process_time()
            run()
            spent[kind].append(time.process_time() - start)
    return spent


def own_peak_bytes() -> int:
    """Return the peak memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():
        # The peak in resource usage begins with that of the parent process.
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_bytes(kind: str) -> int:
    """Return the peak memory of a process of its own that does one run."""
    command = [sys.executable, "-m", "benchmarks.attention", "--one", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Measure and return one result per bar."""
    spent = times(3 if quick else 9)
    middle = {kind: statistics.median(values) for kind, values in spent.items()}
    peaks = {kind: peak_bytes(kind) for kind in KINDS}
    extra = {kind: peaks[kind] - peaks["plain"] for kind in KINDS}
    pairs = zip(spent["recorded"], spent["eager"], strict=True)
    values = {
        "attention_maps_vs_eager": (
            statistics.median(ours / eager for ours, eager in pairs),
            ", ".join(f"{kind} {middle[kind]:.3f} s" for kind in KINDS),
        ),
        "attention_memory_vs_eager": (
            extra["recorded"] / extra["eager"],
            ", ".join(f"{kind} {peaks[kind] / 2**20:.0f} MiB" for kind in KINDS),
        ),
    }
    return [
        {
            "name": name,
            "value": value,
            "bar": BARS[name],
            "direction": "max",
            "passed": value <= BARS[name],
            "detail": detail,
        }
        for name, (value, detail) in values.items()
    ]


if __name__ == "__main__":
    if "--one" in sys.argv:
        maps = runner(sys.argv[-1])()
        print(own_peak_bytes())
    else:
        print(json.dumps(run("--quick" in sys.argv), indent=2))
