"""Run all benchmarks, each in a process of its own, and compare with the bars.

    python -m benchmarks.run [NAME ...] [--quick] [--output benchmarks/results.json]

Exit status 1 when a bar is missed or a benchmark breaks, 2 for an unknown name.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NOT_BENCHMARKS = {"run", "__init__"}
KEYS = {"name", "value", "bar", "direction", "passed", "detail"}


def available(folder: Path = FOLDER) -> list[str]:
    """Return the names of the benchmark modules: those that define `run`."""
    names = sorted(path.stem for path in folder.glob("*.py"))
    return [
        name
        for name in names
        if name not in NOT_BENCHMARKS and "\ndef run(" in (folder / f"{name}.py").read_text("utf-8")
    ]


def checked(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result whose `passed` follows from value, bar and direction, or raise."""
    if missing := KEYS - {"passed"} - set(result):
        raise ValueError(f"result {result.get('name')!r} lacks {', '.join(sorted(missing))}")
    if result["direction"] not in ("max", "min"):
        raise ValueError(f"direction of {result['name']!r} is {result['direction']!r}")
    value, bar = result["value"], result["bar"]
    # A value that could not be measured, NaN included, misses its bar.
    holds = value is not None and (value <= bar if result["direction"] == "max" else value >= bar)
    return result | {"passed": bool(holds) and result.get("passed", True) is not False}


def run_one(name: str, quick: bool, limit_s: float = 3600) -> dict[str, Any]:
    """Run one benchmark in a new process; return its results, or why there are none."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.json"
        command = [sys.executable, "-m", "benchmarks.run", "--child", name, "--output", str(path)]
        try:
            status = subprocess.run(
                [*command, *(["--quick"] if quick else [])], timeout=limit_s, cwd=FOLDER.parent
            ).returncode
            problem = f"exit status {status}" if status else None
        except subprocess.TimeoutExpired:
            problem = f"not done within {limit_s:.0f} s"
        results = json.loads(path.read_text()) if path.exists() and not problem else []
    return {
        "benchmark": name,
        "results": results,
        "problem": problem or (None if results else "no results"),
        "duration_s": round(time.monotonic() - started, 1),
    }


def machine() -> dict[str, Any]:
    """Describe what the numbers were measured on."""
    packages = {}
    for package in ("torch", "numpy", "h5py", "dash"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = None
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        processor = models[0] if models else processor
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": processor,
        "n_cores": os.cpu_count(),
        "load_1_min": round(os.getloadavg()[0], 2),
        "packages": packages,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def table(runs: list[dict[str, Any]]) -> str:
    """Return one line per bar, and one per benchmark that broke."""
    lines = []
    for run in runs:
        for result in run["results"]:
            sign = "<=" if result["direction"] == "max" else ">="
            value = "none" if result["value"] is None else f"{result['value']:.4g}"
            verdict = "ok    " if result["passed"] else "MISSED"
            lines.append(
                f"{verdict}  {result['name']}: {value} (bar {sign} {result['bar']:g}) "
                f"{result['detail']}".rstrip()
            )
        if run["problem"]:
            lines.append(f"BROKEN  {run['benchmark']}: {run['problem']}")
    return "\n".join(lines)


def _child(name: str, quick: bool, output: Path) -> None:
    results = importlib.import_module(f"benchmarks.{name}").run(quick)
    output.write_text(json.dumps([checked(result) for result in results], default=float))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run; all when none is named")
    parser.add_argument("--quick", action="store_true", help="shorter runs, noisier numbers")
    parser.add_argument("--output", type=Path, default=FOLDER / "results.json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        _child(options.child, options.quick, options.output)
        return 0
    names = available()
    if unknown := sorted(set(options.names) - set(names)):
        print(f"no benchmark {', '.join(unknown)}; there is: {', '.join(names)}", file=sys.stderr)
        return 2
    runs = []
    for name in options.names or names:
        print(f"== {name}", flush=True)
        runs.append(run_one(name, options.quick))
    report = {"machine": machine(), "quick": options.quick, "benchmarks": runs}
    options.output.write_text(json.dumps(report, indent=2) + "\n")
    print(table(runs))
    results = [result for run in runs for result in run["results"]]
    n_missed = sum(not result["passed"] for result in results)
    n_broken = sum(run["problem"] is not None for run in runs)
    print(f"{len(results) - n_missed} bars held, {n_missed} missed, {n_broken} benchmarks broken")
    return 1 if n_missed or n_broken or not results else 0


if __name__ == "__main__":
    sys.exit(main())
