"""How long a user waits: for help, for `interp info`, and for the demonstration's coloured page.

Whole processes, wall time, as a user would feel it.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BARS = {"help_s": 0.7, "info_s": 0.7, "demo_first_start_s": 30.0}

_LONGEST_S = 180
_INTERP = [sys.executable, "-m", "interp.cli.main"]


def seconds(command: list[str], runs: int) -> list[float]:
    """Return the wall time of each run of a command that must succeed."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return times


def small_recording(folder: Path) -> Path:
    """Record a few lines with a bundled model."""
    text = folder / "text.py"
    text.write_text("def f(x):\n    return 'x'\n" * 40)
    path = folder / "run.h5"
    subprocess.run(
        [*_INTERP, "record", "zoo:code-lstm", str(text), "-o", str(path), "-q"], check=True
    )
    return path


def demo_first_start(cache: Path) -> float:
    """Return seconds from `interp demo` with an empty cache to text that is coloured on screen."""
    from playwright.sync_api import sync_playwright

    from benchmarks.browser import LAUNCH

    started = time.perf_counter()
    process = subprocess.Popen(
        [*_INTERP, "demo", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"INTERP_CACHE": str(cache)},
    )
    try:
        url = None
        for line in process.stdout or []:
            if found := re.search(r"http://127\.0\.0\.1:\d+\S*", line):
                url = found.group()
                break
        if url is None:
            raise RuntimeError("interp demo printed no address")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(**LAUNCH)
            page = browser.new_page()
            page.goto(url)
            while not page.evaluate(PAINTED):  # wait_for_function would need eval, which is refused
                if time.perf_counter() - started > _LONGEST_S:
                    raise RuntimeError(f"no coloured text after {_LONGEST_S} s")
                page.wait_for_timeout(50)
            elapsed = time.perf_counter() - started
            browser.close()
        return elapsed
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


#: True once a canvas under the text holds pixels of at least two colours that are not clear.
PAINTED = """() => [...document.querySelectorAll('canvas')].some(canvas => {
  if (!canvas.width || !canvas.height) return false;
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let i = 0; i < pixels.length; i += 4)
    if (pixels[i + 3]) seen.add(pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2]);
  return seen.size > 1;
})"""


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure; `quick` runs each once."""
    runs = 1 if quick else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured = {
            "help_s": seconds([*_INTERP, "--help"], runs),
            "info_s": seconds([*_INTERP, "info", str(small_recording(folder))], runs),
            "demo_first_start_s": [
                demo_first_start(folder / f"cache{i}") for i in range(1 if quick else 3)
            ],
        }
    return [
        {
            "name": f"start/{name}",
            "value": round(statistics.median(times), 3),
            "bar": BARS[name],
            "direction": "max",
            "passed": statistics.median(times) <= BARS[name],
            "detail": {"runs_s": [round(t, 3) for t in times]},
        }
        for name, times in measured.items()
    ]
