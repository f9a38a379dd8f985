"""Reading and writing a recording of 1M positions × 512 units in float16, warm.

    python -m benchmarks.reading [--quick | --chunks]

Warm reads wait for nothing, so CPU time is what they take on an idle machine; the wall time of
this one stands beside it. ``--chunks`` compares chunk shapes, read directly and through h5py.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.memory import peak_bytes
from interp.sites import SiteDescription
from interp.storage import Recording, RecordingPlan, RecordingWriter, StreamPlan, open_recording
from interp.storage.matrix import RawMatrix, raw_matrix
from interp.storage.view import View

SITE = "lstm/l0/cell"
N_UNITS = 512
WINDOW = 200

BARS = {
    "reading_unit_ms": 60,
    "reading_positions_ms": 15,
    "reading_view_unit_ms": 10,
    "reading_size_ratio": 1.05,
    "writing_mb_per_s": 200,
}


def segments(n_positions: int, seed: int = 0) -> np.ndarray:
    """Segments of 256 to 1024 rows at arbitrary offsets, some out of order."""
    rng = np.random.default_rng(seed)
    edges = np.cumsum(rng.integers(256, 1025, n_positions // 256))
    edges = np.concatenate([[0], edges[edges < n_positions], [n_positions]])
    rows = np.stack([edges[:-1], edges[1:]], axis=1)
    for start in range(0, len(rows), 32):  # as if 32 documents were written side by side
        rng.shuffle(rows[start : start + 32])
    return rows


def values_like_a_model(n_rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.tanh(rng.standard_normal((n_rows, N_UNITS), dtype="f4"))


def write(path: Path, n_positions: int) -> dict[str, float]:
    """Write a recording; return the rate and the memory that writing added."""
    site = SiteDescription(SITE, "lstm", "cell", N_UNITS, "float16", layer=0, direction="forward")
    starts = np.linspace(0, n_positions, 101).astype(int)
    texts = ["x" * n for n in np.diff(starts)]
    stream = StreamPlan("text", [f"{i}.py" for i in range(100)], starts, texts)
    rows = segments(n_positions)
    plan = RecordingPlan([stream], {SITE: site}, segments=rows, provenance={}, schedule={})
    source = values_like_a_model(2048)
    memory = peak_bytes()
    wall, cpu = time.perf_counter(), time.process_time()
    with RecordingWriter.create(path, plan) as writer:
        for i, (start, stop) in enumerate(rows.tolist()):
            first = start % 1024
            writer.write(SITE, i, source[first : first + stop - start])
            if i % 64 == 63:
                writer.commit(i + 1)
        writer.commit(len(rows))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        writer.complete()
    grown = peak_bytes() - memory
    n_bytes = n_positions * N_UNITS * 2
    return {
        "mb_per_cpu_s": n_bytes / cpu / 1e6,
        "mb_per_wall_s": n_bytes / wall / 1e6,
        "memory_mb": grown / 2**20,
        "n_segments": len(rows),
    }


def timed(action: Callable[[int], object], repeats: int = 15) -> dict[str, float]:
    """Return median times in ms, after a round that warms the page cache."""
    action(0)
    cpu, wall = [], []
    for i in range(1, repeats + 1):
        before = time.process_time(), time.perf_counter()
        action(i)
        cpu.append((time.process_time() - before[0]) * 1e3)
        wall.append((time.perf_counter() - before[1]) * 1e3)
    return {
        "cpu_ms": round(statistics.median(cpu), 2),
        "wall_ms": round(statistics.median(wall), 2),
        "wall_min_ms": round(min(wall), 2),
    }


def read(recording: Recording, view: View) -> dict[str, dict[str, float]]:
    array = recording[SITE]
    array[:]  # warm
    for unit in range(N_UNITS):
        view.unit(SITE, unit)

    def window(i: int) -> np.ndarray:
        start = i * 7919 % (len(array) - WINDOW)
        return array[start : start + WINDOW]

    return {
        "unit": timed(lambda i: recording.unit(SITE, i * 37 % N_UNITS)),
        "positions": timed(window),
        "view": timed(lambda i: view.unit(SITE, i * 37 % N_UNITS)),
    }


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Write and read one recording; return one result per bar."""
    n_positions = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.h5"
        written = write(path, n_positions)
        ratio = path.stat().st_size / (n_positions * N_UNITS * 2)
        with open_recording(path) as recording, recording.view() as view:
            began = time.process_time()
            view.build(SITE)
            build_s = time.process_time() - began
            times = read(recording, view)
            with h5py.File(path) as file:
                dataset = file["activations"][SITE]
                plain = {
                    "unit": timed(lambda i: dataset[:, i * 37 % N_UNITS], 7),
                    "positions": timed(lambda i: dataset[i * 7919 : i * 7919 + WINDOW], 7),
                }
    shape = f"{n_positions:,} × {N_UNITS} float16"

    def result(name: str, value: float, direction: str = "max", **detail: Any) -> dict[str, Any]:
        bar = BARS[name]
        passed = value <= bar if direction == "max" else value >= bar
        detail = {"shape": shape, **detail}
        return {
            "name": name,
            "value": round(value, 3),
            "bar": bar,
            "direction": direction,
            "passed": bool(passed),
            "detail": detail,
        }

    unit, positions = times["unit"], times["positions"]
    return [
        result("reading_unit_ms", unit["cpu_ms"], **unit, h5py=plain["unit"]),
        result("reading_positions_ms", positions["cpu_ms"], **positions, h5py=plain["positions"]),
        result("reading_view_unit_ms", times["view"]["cpu_ms"], **times["view"], build_s=build_s),
        result("reading_size_ratio", ratio),
        result("writing_mb_per_s", written["mb_per_cpu_s"], "min", **written),
    ]


def compare_chunks(n_positions: int = 1_000_000) -> list[dict[str, Any]]:
    """Time chunk shapes, read directly and through h5py, and written in unaligned segments."""
    rows = []
    for chunk in [(1024, 512), (2048, 64), (8192, 8), (8192, 16), (8192, 32), (65536, 1)]:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(_one_chunk(Path(folder) / "x.h5", chunk, n_positions))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _one_chunk(path: Path, chunk: tuple[int, int], n: int) -> dict[str, Any]:
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(chunk)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((n, N_UNITS))
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F16LE, space, properties)
    source = values_like_a_model(2048).astype("f2")
    with open(path, "r+b", buffering=0) as handle:
        with h5py.File(path) as file:
            matrix = raw_matrix(handle, file["x"])
        assert isinstance(matrix, RawMatrix)
        began = time.process_time()
        for start, stop in segments(n).tolist():
            matrix.write_rows(start, source[start % 1024 : start % 1024 + stop - start])
        write_s = time.process_time() - began
        everything = np.arange(N_UNITS)
        with h5py.File(path) as file:
            dataset = file["x"]

            def at(i: int) -> int:
                return i * 7919 % (n - WINDOW)

            return {
                "chunk": chunk,
                "size_ratio": round(path.stat().st_size / (n * N_UNITS * 2), 3),
                "write_cpu_s": round(write_s, 2),
                "unit": timed(lambda i: matrix.read(0, n, np.array([i * 37 % N_UNITS])), 7),
                "positions": timed(lambda i: matrix.read(at(i), at(i) + WINDOW, everything), 7),
                "h5py_unit": timed(lambda i: dataset[:, i * 37 % N_UNITS], 5),
                "h5py_positions": timed(lambda i: dataset[at(i) : at(i) + WINDOW], 5),
            }


if __name__ == "__main__":
    if "--chunks" in sys.argv:
        print(json.dumps(compare_chunks(), indent=2))
    else:
        print(json.dumps(run("--quick" in sys.argv), indent=2))
