"""What attention maps in memory and on disk cost, against an eager model that returns them.

The model is a decoder of 8 layers, width 256, 8 heads, on 4 rows of 512 tokens, in float32. It is
run plainly, recorded (`**/attention`, a new recorder each time, so that every run includes the
proof of the first batch), and as a copy in the eager implementation that is asked for its
attentions; in turns, in one thread, by CPU time. To disk it is `interp.record` of several such
batches, probing, estimate and all, against the eager model on the same batches with its maps thrown
away. Reading is one head of one document out of the recording, as float32.

Peak memory is that of processes that do one run each, the kinds in turns, the median of several:
how the heap of one process happens to lie changes it by a tenth. Two figures are made of the peaks:
their ratio, and the ratio of what they are above the peak of the plain run, which leaves out the
libraries and the model. `recorded` asks for every map and keeps them all, as the eager model does;
`held` leaves them with the recorder.

    python -m benchmarks.attention [--quick]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from benchmarks.memory import peak_bytes

os.environ.setdefault("HF_HUB_OFFLINE", "1")

BARS = {
    "attention_maps_vs_eager": 1.1,
    "attention_memory_vs_eager": 1.0,
    "attention_memory_held_vs_eager": 0.7,
    "attention_peak_vs_eager": 1.0,
    "attention_to_disk_vs_eager": 1.3,
    "attention_to_disk_memory_vs_eager": 1.0,
    "attention_one_head_ms": 5.0,
}
LAYERS, WIDTH, HEADS, TOKENS, BATCH, VOCABULARY = 8, 256, 8, 512, 4, 1000
KINDS = ("plain", "eager", "recorded")
PEAKS = (*KINDS, "held", "disk")
BATCHES = 6
FIRST = ord("A")


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
            return [recorder] if kind == "held" else [recorder[site] for site in recorder.sites]

    return run


class TokenAdapter:
    """Texts whose characters stand for tokens."""

    predicts: Literal["next", "same"] = "next"
    carries_state = False

    def __init__(self, module: Any) -> None:
        self.module = module
        self.vocabulary = [chr(FIRST + i) for i in range(VOCABULARY)]

    def encode(self, text: str) -> tuple[Any, None]:
        import numpy as np

        return np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64) - FIRST, None

    def decode(self, ids: Any) -> list[str]:
        return [self.vocabulary[i] for i in ids]

    def forward(self, ids: Any, lengths: Any, state: Any) -> tuple[None, None]:
        self.module(ids, use_cache=False)
        return None, None


def texts(n_batches: int) -> dict[str, str]:
    """Documents of 512 random tokens."""
    import random

    chance = random.Random(0)
    return {
        str(i): "".join(chr(FIRST + chance.randrange(VOCABULARY)) for _ in range(TOKENS))
        for i in range(BATCH * n_batches)
    }


def to_disk(adapter: TokenAdapter, documents: dict[str, str], path: Path) -> Any:
    """Record all maps of some documents."""
    import interp

    return interp.record(adapter, documents, path, sites=["**/attention"], batch_size=BATCH)


def disk_times(rounds: int, n_batches: int) -> tuple[list[float], str, float]:
    """Return ratios to disk / eager, what they are made of, and ms for one head of one document."""
    import torch

    import interp

    torch.set_num_threads(1)
    eager, adapter, documents = build("eager"), TokenAdapter(build("sdpa")), texts(n_batches)
    ids = [torch.as_tensor(adapter.encode(text)[0]) for text in documents.values()]
    batches = [torch.stack(ids[i : i + BATCH]) for i in range(0, len(ids), BATCH)]
    spent: dict[str, list[float]] = {"eager": [], "disk": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.h5"
        for _ in range(rounds + 1):  # the first warms up
            start = time.process_time()
            with torch.no_grad():
                for batch in batches:
                    last = eager(batch, output_attentions=True, use_cache=False).attentions
            spent["eager"].append(time.process_time() - start)
            path.unlink(missing_ok=True)
            start = time.process_time()
            to_disk(adapter, documents, path)
            spent["disk"].append(time.process_time() - start)
        ratios = [ours / theirs for ours, theirs in zip(spent["disk"], spent["eager"], strict=True)]
        detail = ", ".join(f"{kind} {statistics.median(s[1:]):.3f} s" for kind, s in spent.items())
        with interp.open(path) as recording:
            names = list(recording.attention_sites)
            n_documents = len(documents)
            found = recording.attention(names[-1], n_documents - 1)
            worst = float((torch.from_numpy(found) - last[-1][-1]).abs().max())
            assert worst <= 2**-12 + 1e-6, worst
            start = time.process_time()
            for i in range(100):
                recording.attention(names[i % LAYERS], i * 7 % n_documents, i % HEADS)
            read_ms = (time.process_time() - start) * 10
    return ratios[1:], f"{detail}, {n_batches} batches", read_ms


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


def peak_of(kind: str) -> int:
    """Return the peak memory of a process of its own that does one run."""
    command = [sys.executable, "-m", "benchmarks.attention", "--one", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def peaks_of(rounds: int) -> dict[str, list[int]]:
    """Return the peak memory of several processes of each kind, taken in turns."""
    found: dict[str, list[int]] = {kind: [] for kind in PEAKS}
    for _ in range(rounds):
        for kind, peaks in found.items():
            peaks.append(peak_of(kind))
    return found


def in_mib(kind: str, peaks: list[int]) -> str:
    """Return the median of some peaks and how far they lie apart."""
    least, middle, most = (f(peaks) / 2**20 for f in (min, statistics.median, max))
    return f"{kind} {middle:.0f} MiB ({least:.0f} to {most:.0f})"


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Measure and return one result per bar."""
    spent = times(3 if quick else 9)
    middle = {kind: statistics.median(values) for kind, values in spent.items()}
    all_peaks = peaks_of(3 if quick else 7)
    peaks = {kind: statistics.median(found) for kind, found in all_peaks.items()}
    said = {kind: in_mib(kind, found) for kind, found in all_peaks.items()}
    ratios, disk_detail, read_ms = disk_times(2 if quick else 5, 3 if quick else BATCHES)
    extra = {kind: peaks[kind] - peaks["plain"] for kind in peaks}
    pairs = zip(spent["recorded"], spent["eager"], strict=True)
    values = {
        "attention_maps_vs_eager": (
            statistics.median(ours / eager for ours, eager in pairs),
            ", ".join(f"{kind} {middle[kind]:.3f} s" for kind in KINDS),
        ),
        "attention_memory_vs_eager": (
            extra["recorded"] / extra["eager"],
            "above the plain run; " + ", ".join(said[kind] for kind in KINDS),
        ),
        "attention_memory_held_vs_eager": (
            extra["held"] / extra["eager"],
            f"above the plain run; {said['held']}",
        ),
        "attention_peak_vs_eager": (
            peaks["recorded"] / peaks["eager"],
            "whole processes, with libraries and model",
        ),
        "attention_to_disk_vs_eager": (statistics.median(ratios), disk_detail),
        "attention_to_disk_memory_vs_eager": (
            extra["disk"] / extra["eager"],
            f"above the plain run; {said['disk']}",
        ),
        "attention_one_head_ms": (read_ms, f"one head of {TOKENS} tokens, float16 to float32"),
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
    if sys.argv[1:] == ["--one", "disk"]:
        with tempfile.TemporaryDirectory() as folder:
            to_disk(TokenAdapter(build("sdpa")), texts(2), Path(folder) / "run.h5")
        print(peak_bytes())
    elif "--one" in sys.argv:
        maps = runner(sys.argv[-1])()
        print(peak_bytes())
    else:
        print(json.dumps(run("--quick" in sys.argv), indent=2))
