"""A search from the dashboard over 1M × 512: how long until first results, and until the finding.

    python -m benchmarks.search_screen [--quick]

The recording holds one site of 512 units, one of which is on inside a planted concept, in a file
that has been read once. The server is a process of its own; the questions are those of the page.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.screen_data import plan, python_text, served
from interp.storage import AnnotationPlan, RecordingPlan, RecordingWriter

N_CHARACTERS = 1_000_000
SITE = "lstm/l0/cell"
PLANTED = 87

BARS = {"search_first_s": 2}


def write_recording(path: Path, n_characters: int) -> None:
    """Write one site of 512 units that wander, unit 87 with the concept."""
    whole = plan(python_text(n_characters), max(1, n_characters // 16_384))
    rng = np.random.default_rng(0)
    concept = np.repeat(rng.random(n_characters // 20 + 1) < 0.2, 20)[:n_characters]
    asked = RecordingPlan(
        streams=whole.streams,
        sites={SITE: whole.sites[SITE]},
        segments=whole.segments["text"],
        annotations=[AnnotationPlan("planted", concept)],
    )
    noise = rng.standard_normal((40_000, 512)).astype(np.float32)
    writer = RecordingWriter.create(path, asked)
    for k, (start, stop) in enumerate(np.asarray(asked.segments["text"])):
        rows = noise[(17 * k) % 20_000 :][: stop - start].copy()
        rows[:, PLANTED] += 2 * concept[start:stop]
        writer.write(SITE, k, rows.astype(np.float16))
    writer.commit(len(asked.segments["text"]))
    writer.complete()
    writer.close()


def ask(address: str) -> dict[str, float]:
    """Search as the page does; return the seconds until each answer."""
    question = f"{address}api/search/search?concept=planted&scope=site&site={SITE}"
    started, found = time.perf_counter(), {}
    while True:
        with urllib.request.urlopen(question) as answer:
            job = json.load(answer)
        if job["state"] == "failed":
            raise RuntimeError(job["error"])
        if job["result"] is not None:
            first = job["result"]["units"][0]["unit"]
            if first != f"{SITE}:{PLANTED}":
                raise RuntimeError(f"{first} was found instead of the planted unit")
            found.setdefault("first", time.perf_counter() - started)
        if job["state"] == "done":
            return found | {"whole": time.perf_counter() - started}
        time.sleep(0.05)


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Return one row per bar."""
    n = 200_000 if quick else N_CHARACTERS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "search.h5"
        write_recording(path, n)
        with served([path]) as (address, _):
            urllib.request.urlopen(f"{address}api/search/about").read()
            found = ask(address)
    return [
        {
            "name": "search_first_s",
            "value": round(found["first"], 3),
            "bar": BARS["search_first_s"],
            "direction": "max",
            "passed": found["first"] <= BARS["search_first_s"],
            "detail": f"{n:,} × 512; the whole finding after {found['whole']:.1f} s",
        }
    ]


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
