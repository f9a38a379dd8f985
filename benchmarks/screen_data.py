"""Recordings for the benchmarks of the screen, and a server over them in a process of its own."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from interp.sites import SiteDescription
from interp.storage import PredictionPlan, RecordingPlan, RecordingWriter, StreamPlan

N_UNITS = 512
SITES = ("lstm/l0/cell", "lstm/l0/hidden", "lstm/l0/forget_gate")
PROGRAM = "import sys, dashboard; dashboard.serve(sys.argv[1:], open_browser=False)"


def python_text(n_characters: int) -> str:
    """Return source of the standard library, repeated where there is too little."""
    import sysconfig

    root = Path(sysconfig.get_paths()["stdlib"])
    pieces, n = [], 0
    for path in sorted(root.glob("*.py")):
        text = path.read_text("utf-8", "replace")
        pieces.append(text)
        n += len(text)
        if n >= n_characters:
            break
    text = "".join(pieces)
    return (text * (1 + n_characters // len(text)))[:n_characters]


def plan(text: str, n_segments: int = 1, package: str = "package") -> RecordingPlan:
    """Return the plan of a recording of an LSTM layer over a text."""
    n = len(text)
    starts = np.linspace(0, n, 101).astype(np.int64)
    names = [f"{package}/module_{i}.py" for i in range(100)]
    texts = [text[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]
    edges = np.linspace(0, n, n_segments + 1).astype(np.int64)
    sites = {
        name: SiteDescription(name, "lstm", name.rpartition("/")[2], N_UNITS, "float16")
        for name in SITES
    }
    return RecordingPlan(
        streams=[
            StreamPlan(
                "text",
                names,
                starts,
                texts,
                token_ids=np.zeros(n, np.int64),
                vocabulary=["a", "b", "c", "d", "e"],
            )
        ],
        sites=sites,
        predictions=PredictionPlan("text", "next", 5),
        segments=np.stack([edges[:-1], edges[1:]], axis=1),
        provenance={"made by": "benchmarks", "package": package},
    )


def wandering(n: int, seed: int = 0) -> np.ndarray:
    """Return (n, N_UNITS) float32 values that wander as a model's do."""
    noise = np.random.default_rng(seed).standard_normal((n, N_UNITS), dtype=np.float32)
    for step in range(1, len(noise)):
        noise[step] = 0.9 * noise[step - 1] + 0.44 * noise[step]
    return noise


def write_segment(writer: RecordingWriter, k: int, rows: np.ndarray) -> None:
    """Write one segment of every site, and predictions."""
    values = np.tanh(rows).astype(np.float16)
    for site in SITES:
        writer.write(site, k, np.abs(values) if site.endswith("gate") else values)
    ids = np.tile(np.arange(5), (len(rows), 1))
    probability = np.tile(np.array([0.5, 0.2, 0.1, 0.1, 0.1]), (len(rows), 1))
    writer.write_predictions(k, ids, probability, np.abs(rows[:, 0]))


def write_recording(path: Path, n_characters: int) -> None:
    """Write a recording with all its values."""
    n_segments = max(1, n_characters // 16_384)
    asked = plan(python_text(n_characters), n_segments)
    noise = wandering(40_000)
    with RecordingWriter.create(path, asked) as writer:
        for k, (start, stop) in enumerate(np.asarray(asked.segments["text"])):
            write_segment(writer, k, noise[(17 * k) % 20_000 :][: int(stop - start)])
        writer.commit(n_segments)
        writer.complete()


def write_holes(path: Path, n_characters: int, number: int) -> None:
    """Write a complete recording of full size whose values are holes but for its first segment.

    Text, names, first values and so the fingerprint are this recording's own; the rest of the
    values takes no room on the disk.
    """
    n_segments = n_characters // 16_384
    text = python_text(n_characters + 20_000)[1_000 * number :][:n_characters]
    asked = plan(text, n_segments, f"package_{number}")
    with RecordingWriter.create(path, asked) as writer:
        stop = int(np.asarray(asked.segments["text"])[0, 1])
        write_segment(writer, 0, wandering(stop, number))
        writer._written[:] = True  # holes read as zeros: their checksums are not the file's
        writer.commit(n_segments)
        writer.complete()


@contextlib.contextmanager
def served(paths: list[Path]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve recordings as `interp view` does; yields the address and the process."""
    command = [sys.executable, "-c", PROGRAM, *map(str, paths)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://[\d.:]+/", line)
        if found is None:
            raise RuntimeError(f"the dashboard did not start: {line}")
        yield found[0], process
    finally:
        process.terminate()
        process.wait()


def fetch(address: str) -> bytes:
    """Return the answer to a GET request."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        data: bytes = answer.read()
    return data


def percentile(values: list[float], share: float) -> float:
    """Return the value that a share of the others does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
