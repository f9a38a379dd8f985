"""The attention page in Chromium: 12 × 12 heads of 256 tokens, a matrix of 1,024, a graph of 64.

    python -m benchmarks.attention_screen [--quick]

The server is a process of its own, as `interp view` starts it. Times run from the event in the page
to the second animation frame after the change, when its pixels are certain to be on the screen;
that adds up to 33 ms of waiting for frames to what the work takes. Heads are chosen that nothing
has been loaded for.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.browser import LAUNCH
from benchmarks.screen import count_bytes
from benchmarks.screen_data import percentile, served
from interp.storage import AttentionPlan, AttentionSite, RecordingPlan, RecordingWriter, StreamPlan
from interp.storage.key_ranges import pack_rows

N_LAYERS = 12
N_HEADS = 12
LENGTHS = (256, 1_024)

BARS = {
    "attention_grid_ms": 500,
    "attention_grid_bytes": 10_000_000,
    "attention_switch_p95_ms": 100,
    "attention_matrix_ms": 500,
    "attention_graph_ms": 500,
    "attention_hover_p95_ms": 50,
    "attention_dom_nodes": 5_000,
}

IN_PAGE = Path(__file__).with_suffix(".js").read_text("utf-8")


def write_recording(path: Path) -> None:
    """Write causal maps of both documents: what looks back, at the first token, or at much."""
    starts = np.concatenate([[0], np.cumsum(LENGTHS)])
    stream = StreamPlan(
        "text", ["short", "long"], starts,
        token_ids=np.arange(starts[-1]) % 50, vocabulary=[f" word{i}" for i in range(50)],
    )  # fmt: skip
    ranges = np.concatenate([np.stack([np.zeros(n, int), np.arange(n) + 1], 1) for n in LENGTHS])
    plans = {}
    for layer in range(N_LAYERS):
        name = f"h.{layer}.attn/attention"
        site = AttentionSite(
            name, f"h.{layer}.attn", "attention", N_HEADS, "float16", "text", n_heads=N_HEADS,
            key_stream="text", form="full", mass=None, keys="causal",
        )  # fmt: skip
        plans[name] = AttentionPlan(site, ranges, ())
    segments = np.stack([starts[:-1], starts[1:]], axis=1)
    writer = RecordingWriter.create(
        path, RecordingPlan(streams=[stream], sites={}, attention=plans, segments=segments)
    )
    rng = np.random.default_rng(0)
    for document, n in enumerate(LENGTHS):
        rows = ranges[starts[document] : starts[document + 1]]
        for name in plans:
            scores = rng.standard_normal((N_HEADS, n, n)).astype(np.float32) * 2
            scores[:4, np.arange(1, n), np.arange(n - 1)] += 6
            scores[4:8, :, 0] += 5
            weights = np.exp(scores) * np.tri(n, dtype=np.float32)
            weights /= weights.sum(-1, keepdims=True)
            packed = pack_rows(weights.astype(np.float16), rows)
            writer.write_attention(name, document, packed)
    writer.commit(len(LENGTHS))
    writer.complete()
    writer.close()


def measure(address: str, n_switches: int) -> dict[str, float]:
    """Return the times of one user."""
    from playwright.sync_api import sync_playwright

    out: dict[str, float] = {}
    with sync_playwright() as engine:
        browser = engine.chromium.launch(**LAUNCH)
        grids, matrices, graphs = [], [], []
        for _ in range(3):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"{address}?view=attention&tokens=64")
            page.wait_for_selector(".matrix[data-painted]")
            page.wait_for_timeout(800)
            page.evaluate(IN_PAGE)
            received = count_bytes(page)
            grids.append(page.evaluate("bench.window({tokens: 256})"))
            page.wait_for_timeout(500)
            out["attention_grid_bytes"] = sum(received)
            page.evaluate(
                "bench.look({look: 'matrix', doc: 1, tokens: 1024}, '.matrix', '1024x1024')"
            )
            matrices.append(page.evaluate("bench.head(3, 5, '1024x1024')"))
            page.evaluate("bench.look({doc: 0, tokens: 64}, '.matrix', '64x64')")
            graphs.append(page.evaluate("bench.look({look: 'graph'}, '.graph', '')"))
            out["attention_dom_nodes"] = page.evaluate("document.querySelectorAll('*').length")
            page.evaluate("bench.look({look: 'matrix', tokens: 256}, '.matrix', '256x256')")
            if len(grids) < 3:
                page.close()
        out["attention_grid_ms"] = statistics.median(grids)
        out["attention_matrix_ms"] = statistics.median(matrices)
        out["attention_graph_ms"] = statistics.median(graphs)
        order = np.random.default_rng(0).permutation(N_LAYERS * N_HEADS)[:n_switches].tolist()
        switches = [
            page.evaluate(f"bench.head({i // N_HEADS}, {i % N_HEADS}, '256x256')") for i in order
        ]
        out["attention_switch_p95_ms"] = percentile(switches, 0.95)
        hovers = [page.evaluate(f"bench.hover({share})") for share in np.linspace(0.2, 0.8, 40)]
        out["attention_hover_p95_ms"] = percentile(hovers, 0.95)
        browser.close()
    return out


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Return one row per bar."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "heads.h5"
        write_recording(path)
        with served([path]) as (address, _):
            found = measure(address, 20 if quick else 60)
    details = {
        "attention_grid_ms": f"{N_LAYERS} × {N_HEADS} thumbnails after the window changed",
        "attention_switch_p95_ms": "a head that was not loaded, 256 tokens",
        "attention_matrix_ms": "a head that was not loaded, 1,024 tokens",
        "attention_graph_ms": f"{N_LAYERS} layers × 64 tokens",
    }
    return [
        {
            "name": name,
            "value": round(found[name], 1),
            "bar": bar,
            "direction": "max",
            "passed": found[name] <= bar,
            "detail": details.get(name, ""),
        }
        for name, bar in BARS.items()
    ]


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
