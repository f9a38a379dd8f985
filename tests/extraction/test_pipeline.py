"""The writing thread: order, bounded queue, errors once, commits even when something fails."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from interp.extraction import pipeline
from interp.extraction.pipeline import QUEUE_STEPS, Buffers, StepResult, WriterThread


class Writer:
    """Notes what it is told; fails or waits where the test says."""

    def __init__(self, fail_at=None, gate=None):
        self.done_segments = 0
        self.written = []
        self.commits = []
        self.fail_at = fail_at
        self.gate = gate

    def write(self, site, segment_index, values):
        if self.gate is not None:
            self.gate.wait(10)
        if segment_index == self.fail_at:
            raise OSError("broken")
        self.written.append((site, segment_index, values.copy()))

    def write_predictions(self, *arguments):
        raise AssertionError("there are none")

    def commit(self, done_segments):
        self.commits.append(done_segments)


def result(segment, lengths):
    values = np.arange(len(lengths) * max(lengths) * 2, dtype=np.float16)
    return StepResult(
        {"a": values.reshape(len(lengths), max(lengths), 2)}, np.array(lengths), segment, None
    )


def test_rows_are_written_in_order_without_padding():
    writer = Writer()
    thread = WriterThread(writer, commit_interval_s=1000)
    thread.submit(result(0, [3, 1]))
    thread.submit(result(2, [2]))
    assert thread.finish() == 3
    assert [(site, index, len(values)) for site, index, values in writer.written] == [
        ("a", 0, 3),
        ("a", 1, 1),
        ("a", 2, 2),
    ]
    assert writer.commits == [3]


def test_commits_follow_the_interval():
    writer = Writer()
    thread = WriterThread(writer, commit_interval_s=0.0)
    for segment in range(4):
        thread.submit(result(segment, [1]))
    thread.finish()
    assert writer.commits == [1, 2, 3, 4]


def test_an_error_is_raised_once_and_what_was_written_is_committed():
    writer = Writer(fail_at=2)
    thread = WriterThread(writer, commit_interval_s=1000)
    with pytest.raises(OSError, match="broken"):
        for segment in range(100):
            thread.submit(result(segment, [1]))
    with pytest.raises(OSError, match="broken"):
        thread.finish()
    assert writer.commits == [2]
    assert thread.committed == 2


def test_the_queue_is_bounded():
    gate = threading.Event()
    thread = WriterThread(Writer(gate=gate), commit_interval_s=1000)
    submitted = []

    def submit():
        for segment in range(10):
            thread.submit(result(segment, [1]))
            submitted.append(segment)

    other = threading.Thread(target=submit)
    other.start()
    time.sleep(0.3)
    # One is being written, the queue is full, the next waits.
    assert len(submitted) <= QUEUE_STEPS + 1
    gate.set()
    other.join(10)
    assert thread.finish() == 10


def test_memory_is_used_again_only_after_it_was_written():
    gate = threading.Event()
    writer = Writer(gate=gate)
    thread = WriterThread(writer, commit_interval_s=1000)
    sets = [thread.buffers() for _ in range(QUEUE_STEPS + 2)]
    for segment, buffers in enumerate(sets[:-1]):
        values = buffers.take("a", (1, 1, 2), torch.float16).fill_(segment)
        thread.submit(StepResult({"a": values.numpy()}, np.array([1]), segment, None, buffers))
    gate.set()
    assert thread.buffers() is sets[0]
    assert thread.buffers() is sets[1]
    thread.finish()
    assert [values.max() for _, _, values in writer.written] == [0, 1]


def test_an_error_reaches_who_waits_for_memory():
    thread = WriterThread(Writer(fail_at=0), commit_interval_s=1000)
    for _ in range(QUEUE_STEPS + 2):
        thread.buffers()
    thread.submit(result(0, [1]))
    with pytest.raises(OSError, match="broken"):
        thread.buffers()


def test_memory_grows_to_the_largest_step_only():
    buffers = Buffers()
    first = buffers.take("a", (4, 5, 6), torch.float16)
    assert first.shape == (4, 5, 6)
    again = buffers.take("a", (2, 5, 6), torch.float16)
    assert again.data_ptr() == first.data_ptr()
    assert buffers.take("b", (1,), torch.float32).dtype == torch.float32


class Deaf(queue.SimpleQueue):
    """What an interrupt in mid-put leaves: a step that is lost, and nobody woken at the end."""

    def put(self, item, block=True, timeout=None):
        if isinstance(item, StepResult) and item.segment == 1:
            raise KeyboardInterrupt
        if item is not None:
            super().put(item)


def test_a_wake_up_lost_to_ctrl_c_does_not_keep_the_thread(monkeypatch):
    monkeypatch.setattr(pipeline.queue, "SimpleQueue", Deaf)
    writer = Writer()
    thread = WriterThread(writer, commit_interval_s=1000)
    thread.submit(result(0, [2]))
    with pytest.raises(KeyboardInterrupt):
        thread.submit(result(1, [2]))
    committed = []
    other = threading.Thread(target=lambda: committed.append(thread.finish()), daemon=True)
    other.start()
    other.join(60)
    assert committed == [1]
    assert writer.commits == [1]


STORM = """
import signal, sys, time
import numpy as np
from interp.extraction.pipeline import StepResult, WriterThread

class Writer:
    done_segments, closed = 0, False
    def write(self, site, segment_index, values):
        assert not self.closed
    def commit(self, done_segments):
        assert not self.closed
        self.committed = done_segments

def interrupt(*_):
    raise KeyboardInterrupt

values, lengths = np.zeros((1, 1, 1), np.float16), np.array([1])
signal.signal(signal.SIGALRM, interrupt)
for turn in range(200):
    writer = Writer()
    thread = WriterThread(writer, 1000)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-5 + 37e-6 * (turn % 100))
        for segment in range(10**9):
            thread.submit(StepResult({"a": values}, lengths, segment, None))
    except KeyboardInterrupt:
        pass
    thread.finish()
    writer.closed = True
print("every thread ended")
"""


def test_ctrl_c_at_any_moment_ends_the_thread():
    words = [sys.executable, "-c", STORM]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("every thread ended\n", "")
