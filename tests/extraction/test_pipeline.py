"""The writing thread: order, bounded queue, errors once, commits even when something fails."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

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
