"""The runner of benchmarks: every bar is judged, and nothing broken passes."""

import json
import math
import sys

import pytest

from benchmarks import run as runner

RESULT = {"name": "read", "value": 50.0, "bar": 60.0, "direction": "max", "detail": "ms"}


@pytest.mark.parametrize(
    ("change", "passed"),
    [
        ({}, True),
        ({"value": 60.0}, True),
        ({"value": 60.1}, False),
        ({"value": math.nan}, False),
        ({"value": None}, False),
        ({"direction": "min"}, False),
        ({"direction": "min", "value": 70}, True),
        ({"passed": False}, False),
        ({"passed": True, "value": 99.0}, False),
    ],
)
def test_passed_follows_from_the_value(change, passed):
    assert runner.checked(RESULT | change)["passed"] is passed


def test_an_incomplete_result_is_refused():
    with pytest.raises(ValueError, match="lacks bar"):
        runner.checked({key: value for key, value in RESULT.items() if key != "bar"})
    with pytest.raises(ValueError, match="up"):
        runner.checked(RESULT | {"direction": "up"})


def _project_with(folder, **modules):
    package = folder / "benchmarks"
    package.mkdir()
    (package / "run.py").write_text((runner.FOLDER / "run.py").read_text())
    (package / "__init__.py").touch()
    for name, body in modules.items():
        (package / f"{name}.py").write_text(f"import os\n\ndef run(quick):\n    {body}\n")
    return folder


def _run(folder, *arguments):
    import subprocess

    return subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_all_held_is_status_0_and_written_as_json(tmp_path):
    folder = _project_with(tmp_path, fast=f"return [{RESULT!r} | {{'value': 1 + quick}}]")
    done = _run(folder, "--quick")
    assert done.returncode == 0, done.stderr
    assert "1 bars held, 0 missed" in done.stdout
    report = json.loads((folder / "benchmarks" / "results.json").read_text())
    assert report["quick"] is True and report["machine"]["n_cores"] >= 1
    assert report["benchmarks"][0]["results"][0]["value"] == 2


def test_a_missed_bar_and_a_broken_benchmark_are_status_1(tmp_path):
    folder = _project_with(
        tmp_path,
        broken="raise RuntimeError('no luck')",
        slow=f"return [{RESULT!r} | {{'value': 61.0}}]",
        killed="os._exit(0)",
        empty="return []",
    )
    done = _run(folder)
    assert done.returncode == 1
    assert "MISSED  read: 61 (bar <= 60) ms" in done.stdout
    assert "BROKEN  broken: exit status 1" in done.stdout and "no luck" in done.stderr
    assert "BROKEN  empty: no results" in done.stdout
    assert "BROKEN  killed" in done.stdout
    assert _run(folder, "empty").returncode == 1


def test_an_unknown_name_is_answered_with_the_names(tmp_path):
    done = _run(_project_with(tmp_path, fast="return []"), "fats")
    assert done.returncode == 2
    assert "no benchmark fats; there is: fast" in done.stderr
