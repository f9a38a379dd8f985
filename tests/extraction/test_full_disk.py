"""A disk that is really full: the kernel's own refusal, one message, and a run that goes on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import interp
from tests.extraction import full_disk_scenario
from tests.extraction.small_disk import run_on_small_disk

SCENARIO = [sys.executable, "-m", full_disk_scenario.__name__]
N_BYTES = 80 << 20  # 64 MiB are never used up


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    full_disk_scenario.write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory):
    """The recording of the same corpus on a disk with room."""
    path = tmp_path_factory.mktemp("room") / "run.h5"
    model = full_disk_scenario.make_wide_model()
    options = {"sites": ["lstm/*"], "batch_size": 4, "window": 32, "dtype": "float32"}
    interp.record(model, corpus, path, **options)
    with interp.open(path) as recording:
        return recording.fingerprint


def message_of(result):
    assert result["status"] == 2, result
    assert "Traceback" not in result["err"]
    lines = result["err"].strip().splitlines()
    assert sum(line.startswith("interp: ") for line in lines) == 1, lines
    return lines[-1]


def check(seen, undisturbed):
    message = message_of(seen["filled"])
    assert "The disk is full." in message and "resume" in message
    assert not seen["is_complete"]
    assert seen["done_segments"] > 0
    assert "disk" in message_of(seen["still full"]).lower()
    assert seen["resumed"]["status"] == 0, seen["resumed"]
    assert seen["fingerprint"] == undisturbed


def read(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(300)
def test_a_disk_that_is_filled_in_the_middle_of_a_run(tmp_path, corpus, undisturbed):
    small = tmp_path / "small"
    small.mkdir()
    words = [*SCENARIO, str(small), str(corpus)]
    done = run_on_small_disk([*words, "disk"], small, N_BYTES)
    if done is None:  # no such file system for this user: the kernel still refuses by a limit
        check(read(subprocess.run([*words, "limit"], capture_output=True, text=True)), undisturbed)
        return
    seen = read(done)
    check(seen, undisturbed)
    assert "disk" in message_of(seen["before"]).lower()
    assert seen["left"] == ["ballast"]


@pytest.mark.timeout(300)
def test_a_limit_on_the_size_of_files(tmp_path, corpus, undisturbed):
    words = [*SCENARIO, str(tmp_path), str(corpus), "limit"]
    check(read(subprocess.run(words, capture_output=True, text=True)), undisturbed)
