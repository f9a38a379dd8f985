"""SIGKILL at any time: the run resumes, and ends in the same arrays."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest

import interp
from tests.extraction.conftest import make_model, make_texts
from tests.extraction.test_attention import assert_same_maps, make_transformer

LENGTHS = [300, 90, 41, 200]
OPTIONS = {"sites": ["lstm/*"], "batch_size": 2, "window": 10, "commit_interval_s": 0.0}

ATTENTION = {"sites": ["**/attention", "blocks.0/output"], "batch_size": 1, "top_k": 0}
ATTENTION |= {"commit_interval_s": 0.0}

# The model ends its own process, while the writing thread is wherever it happens to be.
RUN = f"""
import os, signal, sys
import interp
from tests.extraction.conftest import make_model, make_texts

adapter, left = make_model(), int(sys.argv[2])
forward = adapter.forward
def deadly(ids, lengths, state):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(ids, lengths, state)
adapter.forward = deadly
interp.record(adapter, make_texts({LENGTHS}), sys.argv[1], resume=True, **{OPTIONS})
"""


def run_for(path, n_forwards):
    """Start or continue the run; return how it ended."""
    command = [sys.executable, "-c", RUN, str(path), str(n_forwards)]
    return subprocess.run(command).returncode


def done_segments(path):
    with interp.open(path) as recording:
        return recording.done_segments


@pytest.mark.timeout(600)  # four processes that import torch
def test_killed_again_and_again(tmp_path):
    path = tmp_path / "run.h5"
    before = 0
    for n_forwards in (12, 25, 33):
        assert run_for(path, n_forwards) == -signal.SIGKILL
        assert done_segments(path) > before
        before = done_segments(path)
    assert run_for(path, 1000) == 0
    whole = tmp_path / "whole.h5"
    interp.record(make_model(), make_texts(LENGTHS), whole, **OPTIONS)
    with interp.open(path) as found, interp.open(whole) as expected:
        assert found.is_complete
        assert found.fingerprint == expected.fingerprint
        for site in expected.sites:
            np.testing.assert_array_equal(found[site][:], expected[site][:])


RUN_WITH_ATTENTION = (
    RUN.replace("import make_model", "import make_transformer")
    .replace("tests.extraction.conftest", "tests.extraction.test_attention")
    .replace("make_model()", "make_transformer()")
    .replace(str(LENGTHS), "[40, 9, 41, 20, 33, 50]")
    .replace(f"**{OPTIONS}", f"attention=sys.argv[3], **{ATTENTION}")
)


@pytest.mark.timeout(600)  # processes that import torch
def test_killed_with_attention(tmp_path):
    """Full and sparse maps; the store's own tests kill it where sparse ones are made exact."""
    texts = make_texts([40, 9, 41, 20, 33, 50])
    for form in ("full", "top-p:0.9"):
        path = tmp_path / f"{form}.h5"
        command = [sys.executable, "-c", RUN_WITH_ATTENTION, str(path)]
        assert subprocess.run([*command, "5", form]).returncode == -signal.SIGKILL
        with interp.open(path) as recording:
            done = recording.done_segments
            assert 0 < done < recording.n_segments
            assert recording.verify().ok
        interp.record(make_transformer(), texts, path, resume=True, attention=form, **ATTENTION)
        whole = tmp_path / "whole.h5"
        interp.record(make_transformer(), texts, whole, attention=form, overwrite=True, **ATTENTION)
        with interp.open(path) as found, interp.open(whole) as expected:
            assert found.fingerprint == expected.fingerprint
            assert_same_maps(expected, found)
