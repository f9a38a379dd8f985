"""Style and types are checked with the tests, so that one run shows everything that is wrong."""

import subprocess
import sys

import pytest

from tests.project.source import ROOT


def _run(*command):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    return done.returncode, done.stdout + done.stderr


def test_ruff_finds_nothing():
    status, output = _run("ruff", "check", "--output-format=concise", ".")
    assert status == 0, output


@pytest.mark.timeout(600)
def test_mypy_finds_nothing():
    status, output = _run("mypy")
    assert status == 0, output


@pytest.mark.timeout(600)
def test_the_scripts_have_right_types_and_no_known_mistakes():
    done = subprocess.run(
        [sys.executable, ".ci/javascript.py", "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
