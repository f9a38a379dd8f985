"""SIGKILL at any time: the run resumes, and ends in the same arrays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import interp
from tests.extraction.conftest import make_model, make_texts

LENGTHS = [300, 90, 41, 200]
OPTIONS = {"sites": ["lstm/*"], "batch_size": 2, "window": 10, "commit_interval_s": 0.0}

# Slow enough to be met in the middle; begins by saying that it is ready.
RUN = f"""
import sys, time
import interp
from tests.extraction.conftest import make_model, make_texts

adapter = make_model()
forward = adapter.forward
def slowly(ids, lengths, state):
    time.sleep(0.03)
    return forward(ids, lengths, state)
adapter.forward = slowly
print("ready", flush=True)
interp.record(adapter, make_texts({LENGTHS}), sys.argv[1], resume=True, **{OPTIONS})
"""


def run_for(path, seconds):
    """Start or continue the run, kill it after some seconds; return whether it had ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(path)], stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        return False
    finally:
        process.wait()
        process.stdout.close()


def done_segments(path):
    with interp.open(path) as recording:
        return recording.done_segments


@pytest.mark.timeout(600)  # four processes that import torch
def test_killed_again_and_again(tmp_path):
    path = tmp_path / "run.h5"
    before = 0
    for seconds in (0.45, 0.7, 0.55):
        assert not run_for(path, seconds)
        if path.exists():
            assert done_segments(path) >= before
            before = done_segments(path)
    assert before > 0
    deadline = time.monotonic() + 60
    while not run_for(path, 30) and time.monotonic() < deadline:
        pass
    whole = tmp_path / "whole.h5"
    interp.record(make_model(), make_texts(LENGTHS), whole, **OPTIONS)
    with interp.open(path) as found, interp.open(whole) as expected:
        assert found.is_complete
        assert found.fingerprint == expected.fingerprint
        for site in expected.sites:
            np.testing.assert_array_equal(found[site][:], expected[site][:])
