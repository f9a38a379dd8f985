"""Exact AUROC of 512 units × 10 concepts over a million positions, against a loop in scikit-learn.

A time is the wall time or, if that is less, the CPU-seconds of all threads together: on a machine
that is busy with other work the latter bound what the wall time would be on an idle one.

python -m benchmarks.probes [--quick]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory import peak_bytes

N_POSITIONS, N_UNITS, N_CONCEPTS = 1_000_000, 512, 10
BARS = {
    "exact AUROC, 512 units x 10 concepts x 1M positions (s)": (3.0, "max"),
    "times faster than a scikit-learn loop": (100.0, "min"),
    "memory for it (GB)": (2.0, "max"),
    "first results of a search over 1M x 512 (s)": (2.0, "max"),
}


def make_recording(path: Path, n_positions: int, n_units: int, dtype: str = "float16") -> Path:
    """Write a recording of slow random units in 200 documents; return its path."""
    from interp.sites import SiteDescription
    from interp.storage import RecordingPlan, RecordingWriter, StreamPlan

    starts = np.linspace(0, n_positions, 201).astype(np.int64)
    stream = StreamPlan(
        "text", [f"d{i}" for i in range(200)], starts, token_ids=np.zeros(n_positions, np.int64)
    )
    site = SiteDescription("lstm/l0/cell", "lstm", "cell", n_units, dtype)
    segments = np.stack([starts[:-1], starts[1:]], axis=1)
    plan = RecordingPlan([stream], {site.name: site}, None, segments, {}, {})
    writer = RecordingWriter.create(path, plan)
    rng = np.random.default_rng(0)
    for i, (start, stop) in enumerate(segments.tolist()):
        steps = rng.standard_normal((stop - start, n_units), dtype=np.float32)
        writer.write(site.name, i, np.tanh(steps + np.sin(np.arange(n_units))).astype(dtype))
    writer.commit(len(segments))
    writer.complete()
    writer.close()
    return path


def make_tracks(n_positions: int, n_concepts: int) -> np.ndarray:
    """Return yes-or-no tracks (n_positions, n_concepts) that change slowly, as concepts do."""
    rng = np.random.default_rng(1)
    changes = rng.random((n_positions, n_concepts)) < 0.05
    return np.cumsum(changes, axis=0) % 2 == 1


def run(quick: bool = False) -> list[dict[str, Any]]:
    import interp
    from probes.auroc import compute_auroc
    from probes.documents import Rows
    from probes.scan import scan_units
    from probes.search import search_units, similar_places

    n = N_POSITIONS // 10 if quick else N_POSITIONS
    with tempfile.TemporaryDirectory() as folder:
        path = make_recording(Path(folder) / "run.h5", n, N_UNITS)
        tracks = make_tracks(n, N_CONCEPTS)
        with interp.open(path) as recording:
            site = "lstm/l0/cell"
            started = time.perf_counter()
            compute_auroc(recording[site][:2000, :2], tracks[:2000])
            compile_s = time.perf_counter() - started
            for block in recording[site].blocks():  # warm
                block[0, 0]
            rows = Rows.of(recording.streams["text"].document_start, np.arange(200))
            before = peak_bytes()
            walls, cpus = [], []
            for _ in range(3):
                wall, cpu = time.perf_counter(), time.process_time()
                scan = scan_units(recording, [site], rows, tracks)
                walls.append(time.perf_counter() - wall)
                cpus.append(time.process_time() - cpu)
            peak = peak_bytes()
            searches, search_cpus = [], []
            for _ in range(3):
                wall, cpu = time.perf_counter(), time.process_time()
                units = search_units(recording, [(5_000, 5_060), (9_000, 9_040)], site)
                similar_places(recording, [(5_000, 5_060)], units[:5])
                searches.append(time.perf_counter() - wall)
                search_cpus.append(time.process_time() - cpu)
            sample = recording.unit(site, 0)
            from sklearn.metrics import roc_auc_score

            cpu = time.process_time()
            theirs = [roc_auc_score(tracks[:, k], sample) for k in range(2)]
            loop_s = (time.process_time() - cpu) / 2 * N_UNITS * N_CONCEPTS
            np.testing.assert_allclose(scan.scores[0, :2] + 0.5, theirs, atol=1e-9)
    detail = f"s; wall {np.round(walls, 2)}; {min(cpus):.2f} CPU-s; compiling {compile_s:.1f} s"
    values = [min(walls + cpus), loop_s / min(cpus), peak / 1e9, min(searches + search_cpus)]
    details = [
        detail,
        f"CPU-seconds: {loop_s:.0f} for the loop, from 2 of {N_UNITS * N_CONCEPTS} areas",
        f"peak of the process; {before / 1e9:.2f} before the scan, labels included",
        f"units for two brushed ranges, and similar places; wall {np.round(searches, 2)}, "
        f"{min(search_cpus):.2f} CPU-s",
    ]
    return [
        {"name": name, "value": value, "bar": bar, "direction": direction, "detail": detail}
        | {"passed": bool(value <= bar if direction == "max" else value >= bar)}
        for (name, (bar, direction)), value, detail in zip(
            BARS.items(), values, details, strict=True
        )
    ]


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2, default=float))
