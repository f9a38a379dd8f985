"""Twenty real browsers at one server, each switching units: what they wait, and who costs it.

Each user is a Chromium page in a context of its own, and so a renderer process of its own: nothing
is shared but the server. A user presses the key for the next unit every `THINK_S` seconds; in every
fifth turn a unit far away is chosen, as by a click in the list. Users begin spread over one period
and stand in different documents. A switch lasts from the key to the second animation frame after
text and strips show the unit, as for one user.

The browsers share this machine with the server, which no crowd of real users does: the processor
time of both, per switch, says who would be the bottleneck. A switch costs the server 10 ms, a
browser that draws in software twenty times that: with a switch every 2 s the browsers alone would
fill two cores, so users here look at a unit for 4 s.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from benchmarks.browser import LAUNCH
from benchmarks.screen_data import SITES, percentile

N_BROWSERS = 20
THINK_S = 4.0
WARM_UP_S = 6.0


def processor_s(pid: int) -> float:
    """Return the processor time of a process and its children, dead and alive."""
    import psutil

    root = psutil.Process(pid)
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def browsers_s() -> float:
    """Return the processor time of the browsers that this process has started."""
    import os

    import psutil

    children = psutil.Process(os.getpid()).children(recursive=True)
    roots = [child for child in children if "chrom" in child.name().lower()]
    return sum(sum(process.cpu_times()[:2]) for process in roots if process.is_running())


def measure_crowd(
    address: str, server_pid: int, turns: int, program: str, n_browsers: int = N_BROWSERS
) -> dict[str, Any]:
    """Return what `n_browsers` users waited, their errors, and processor times per switch."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        browser = engine.chromium.launch(**LAUNCH)
        pages = []
        errors: list[str] = []
        for number in range(n_browsers):
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            page.set_default_timeout(180_000)  # that all open at once is no part of the figure
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("requestfailed", lambda request: errors.append(request.url))
            page.goto(f"{address}?site={SITES[0]}&unit={23 * number}&doc={4 * number}")
            page.wait_for_selector(".coloured-text[data-unit]")
            pages.append(page)
        for page in pages:
            page.wait_for_selector(".ag-row")
            page.wait_for_selector(".strip[data-unit]")
            page.evaluate(program)
        time.sleep(WARM_UP_S)
        server, browsers, start = processor_s(server_pid), browsers_s(), time.perf_counter()
        for number, page in enumerate(pages):
            # Not awaited: the users act at the same time.
            begin_ms = 1000 * THINK_S * number / n_browsers
            page.evaluate(f"void bench.beUser({turns}, {1000 * THINK_S}, {begin_ms})")
        pages[0].wait_for_timeout(1000 * THINK_S * (turns + 1))
        found = [page.evaluate("bench.userIsDone()") for page in pages]
        seconds = time.perf_counter() - start
        server, browsers = processor_s(server_pid) - server, browsers_s() - browsers
        said = [page.evaluate("interp.selection.get().errors.map((e) => e.text)") for page in pages]
        browser.close()
    times = [time_ms for user in found for time_ms in user["times"]]
    jumps = [time_ms for user in found for time_ms in user["jumps"]]
    errors += [text for user in found for text in user["errors"]]
    errors += [text for texts in said for text in texts]
    everything = times + jumps
    return {
        "screen_load_p95_ms": percentile(everything, 0.95) if everything else float("nan"),
        "screen_load_errors": len(errors),
        "load_errors": errors[:3],
        "load_median_ms": percentile(everything, 0.5) if everything else float("nan"),
        "load_jump_p95_ms": percentile(jumps, 0.95) if jumps else float("nan"),
        "load_switches": len(everything),
        "load_server_ms": 1000 * server / max(1, len(everything)),
        "load_browser_ms": 1000 * browsers / max(1, len(everything)),
        "load_cores": (server + browsers) / seconds,
    }
