"""How fast a corpus becomes a recording, and how much memory that takes.

Rates are steady ones (from the first step of a run to its last byte on disk) over at least a
minute each, with the runs to be compared taking turns, so that a machine that is busy with
something else is as busy for both. Recording includes predictions; the bare loop computes logits
only. torch has one thread, as the writer needs the second core of a small machine. Where other
work takes that core, CPU times tell the rates with it and without: of the main thread, of both.

    python -m benchmarks.extraction [--quick]
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_bytes

BARS = {
    "extraction_hidden_vs_forward": 0.8,
    "extraction_gates_vs_capture": 0.8,
    "extraction_memory_2M_vs_0.2M": 1.1,
    "extraction_memory_one_document": 1.1,
}
#: Documents of the first comparison of memory have so many characters; of the second, all.
DOCUMENT = 5000

BATCH_SIZE = 32
WINDOW = 256
HIDDEN = ["**/hidden"]
ALL_SIGNALS = ["lstm/l*"]


@dataclass
class Clock:
    """Adds up what one kind of run took."""

    positions: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    main_s: float = 0.0
    rates: list[int] = field(default_factory=list)

    def add(self, positions: int, wall_s: float, cpu_s: float, main_s: float) -> None:
        """Count a run: its wall time, CPU time of the process and of the main thread."""
        self.positions += positions
        self.wall_s += wall_s
        self.cpu_s += cpu_s
        self.main_s += main_s
        self.rates.append(round(positions / wall_s))

    @property
    def rate(self) -> float:
        return self.positions / self.wall_s


def python_text(n_characters: int) -> str:
    """Return the beginning of the standard library's source, in the order of file names."""
    parts, length = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        text = path.read_text("utf-8")
        parts.append(text)
        length += len(text)
        if length >= n_characters:
            break
    text = "".join(parts)
    return (text * (n_characters // len(text) + 1))[:n_characters]


def documents(n_documents: int, length: int) -> dict[str, str]:
    text = python_text(n_documents * length)
    return {f"d{i}": text[i * length : (i + 1) * length] for i in range(n_documents)}


def character_model(n_layers: int, n_hidden: int) -> Any:
    import torch

    from interp.models.characters import build

    torch.manual_seed(0)
    return build({"kind": "lstm", "n_layers": n_layers, "n_hidden": n_hidden, "n_embedding": 64})


class Loop:
    """The steps of a recording without the writing."""

    def __init__(self, adapter: Any, texts: dict[str, str]) -> None:
        from interp.corpora import read_corpus
        from interp.extraction.encoding import Feed, encode_corpus
        from interp.extraction.engine import Engine
        from interp.extraction.schedule import plan_schedule
        from interp.models import load

        loaded = load(adapter)
        encoded = encode_corpus(adapter, read_corpus(texts))
        self.module = loaded.module
        self.schedule = plan_schedule(encoded.lengths, BATCH_SIZE, WINDOW)
        feed = Feed(encoded, self.schedule.document_start(), "next")
        self.engine = Engine(loaded, feed, "float16", 0, lambda document, position: "")
        self.n_positions = encoded.n_positions

    def bare(self, clock: Clock) -> None:
        import torch

        with torch.inference_mode(), timed(clock, self.n_positions):
            for step in self.schedule.steps():
                self.engine.forward(step)

    def capturing(self, sites: list[str], clock: Clock) -> None:
        import torch

        from interp.capture import Recorder

        with torch.inference_mode(), Recorder(self.module, sites=sites) as recorder:
            with timed(clock, self.n_positions):
                for step in self.schedule.steps():
                    self.engine.forward(step)
                    recorder.take()


class timed:
    """Adds wall and CPU time of its body to a clock."""

    def __init__(self, clock: Clock, positions: int) -> None:
        self.clock, self.positions = clock, positions

    def __enter__(self) -> None:
        self.start = now()

    def __exit__(self, *exception: object) -> None:
        self.clock.add(self.positions, *(b - a for a, b in zip(self.start, now(), strict=True)))


def now() -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), time.thread_time()


class FirstStep:
    """Notes the time when the recording proper begins: a display that shows nothing."""

    def __init__(self) -> None:
        self.start = now()

    def estimated(self, estimate: Any) -> None:
        self.start = now()

    def advanced(self, progress: Any) -> None:
        pass

    def said(self, message: str) -> None:
        pass


def recording(adapter: Any, texts: dict[str, str], sites: list[str], path: Path, clock: Clock):
    import interp

    display = FirstStep()
    summary = interp.record(
        adapter, texts, path, sites=sites, batch_size=BATCH_SIZE, window=WINDOW,
        overwrite=True, progress=display,
    )  # fmt: skip
    _, cpu_s, main_s = (b - a for a, b in zip(display.start, now(), strict=True))
    clock.add(summary.n_positions, summary.duration_s, cpu_s, main_s)


def compare(
    baseline: Callable[[Clock], None], ours: Callable[[Clock], None], least_s: float
) -> tuple[Clock, Clock]:
    """Let both take turns until each has run for `least_s`."""
    clocks = Clock(), Clock()
    warm = Clock()
    baseline(warm)
    while min(clock.wall_s for clock in clocks) < least_s:
        baseline(clocks[0])
        ours(clocks[1])
    return clocks


def result(name: str, base: Clock, ours: Clock, what: str) -> dict[str, Any]:
    ratio = ours.rate / base.rate
    scale = ours.positions / base.positions
    cpu, main = base.cpu_s * scale / ours.cpu_s, base.main_s * scale / ours.main_s
    detail = (
        f"{ours.rate:,.0f} of {base.rate:,.0f} positions/s ({what}), {ours.wall_s:.0f} and "
        f"{base.wall_s:.0f} s in {len(ours.rates)} turns; "
        f"by CPU time of the main thread {main:.2f}, of both threads {cpu:.2f}"
    )
    return {
        "name": name, "value": round(ratio, 3), "bar": BARS[name], "direction": "min",
        "passed": ratio >= BARS[name], "detail": detail,
    }  # fmt: skip


def peak_memory(n_characters: int, length: int) -> int:
    """Record documents of one length in a new process and return its peak memory in bytes."""
    numbers = [str(n_characters), str(length)]
    command = [sys.executable, "-m", "benchmarks.extraction", "--memory", *numbers]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)


def record_for_memory(n_characters: int, length: int) -> int:
    import torch

    import interp

    torch.set_num_threads(1)
    texts = documents(n_characters // length, length)
    with scratch() as folder:
        interp.record(character_model(1, 128), texts, Path(folder) / "run.h5", sites=["lstm/l*"])
    return peak_bytes()


def compare_memory(name: str, small: int, large: int, lengths: tuple[int, int]) -> dict[str, Any]:
    """Return the peak memory of a large corpus over that of a small one."""
    peaks = [peak_memory(*case) for case in zip((small, large), lengths, strict=True)]
    ratio = peaks[1] / peaks[0]
    return {
        "name": name, "value": round(ratio, 3), "bar": BARS[name], "direction": "max",
        "passed": ratio <= BARS[name],
        "detail": f"peak resident memory {peaks[1] / 1e6:.0f} MB at {large:,} characters, "
        f"{peaks[0] / 1e6:.0f} MB at {small:,}, in documents of {lengths[1]:,} and {lengths[0]:,}",
    }  # fmt: skip


def scratch() -> Any:
    """Return a temporary folder on the disk of the working tree; /tmp may be memory."""
    Path("build").mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(dir="build")


def run(quick: bool = False) -> list[dict[str, Any]]:
    import torch

    torch.set_num_threads(1)
    least_s, length = (3.0, 1024) if quick else (60.0, 6144)
    small, large = 200_000, 600_000 if quick else 2_000_000
    adapter = character_model(2, 512)
    texts = documents(BATCH_SIZE, length)
    loop = Loop(adapter, texts)
    with scratch() as folder:
        path = Path(folder) / "run.h5"
        hidden = compare(
            loop.bare, lambda clock: recording(adapter, texts, HIDDEN, path, clock), least_s
        )
        gates = compare(
            lambda clock: loop.capturing(ALL_SIGNALS, clock),
            lambda clock: recording(adapter, texts, ALL_SIGNALS, path, clock),
            least_s,
        )
    shape = f"2 x 512, float16, batch {BATCH_SIZE}, window {WINDOW}"
    return [
        result("extraction_hidden_vs_forward", *hidden, f"{shape}; bare forward loop"),
        result("extraction_gates_vs_capture", *gates, f"{shape}; capturing all six signals"),
        compare_memory("extraction_memory_2M_vs_0.2M", small, large, (DOCUMENT, DOCUMENT)),
        compare_memory("extraction_memory_one_document", small, large, (small, large)),
    ]


if __name__ == "__main__":
    if "--memory" in sys.argv:
        print(record_for_memory(int(sys.argv[-2]), int(sys.argv[-1])))
    else:
        print(json.dumps(run("--quick" in sys.argv), indent=1))
