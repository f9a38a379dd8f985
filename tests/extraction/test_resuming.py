"""A run that was stopped anywhere continues to the same arrays, and only with the same inputs."""

from __future__ import annotations

import numpy as np
import pytest

import interp
from interp.errors import InterpError
from interp.extraction.stopping import Interrupted
from tests.extraction.conftest import make_model, make_texts

LENGTHS = [90, 30, 61, 7, 120, 33]
OPTIONS = {
    "sites": ["lstm/*"],
    "dtype": "float32",
    "batch_size": 2,
    "window": 16,
    "commit_interval_s": 0.0,
}


def stop_after(adapter, n_forwards, error=KeyboardInterrupt):
    """Return the adapter, made to give Ctrl-C or another end after `n_forwards` forwards."""
    forward, left = adapter.forward, iter(range(n_forwards))

    def stopping(ids, lengths, state):
        if next(left, None) is None:
            raise error
        return forward(ids, lengths, state)

    adapter.forward = stopping
    return adapter


def arrays(path):
    with interp.open(path) as recording:
        assert recording.is_complete
        said = recording.predictions
        return {
            **{site: recording[site][:] for site in recording.sites},
            "top_id": said.top_ids[:],
            "top_probability": said.top_probabilities[:],
            "loss": said.loss[:],
        }


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run.h5"
    interp.record(make_model(), make_texts(LENGTHS), path, **OPTIONS)
    return arrays(path)


@pytest.mark.parametrize("n_forwards", range(2, 16))
def test_stopped_at_any_step_continues_to_equal_arrays(tmp_path, uninterrupted, n_forwards):
    path = tmp_path / "run.h5"
    texts = make_texts(LENGTHS)
    with pytest.raises(Interrupted, match=r"continue with the same command and --resume"):
        interp.record(stop_after(make_model(), n_forwards), texts, path, **OPTIONS)
    summary = interp.record(make_model(), texts, path, resume=True, **OPTIONS)
    # The first two forwards find the sites and time a step; each later one was recorded.
    assert (summary.n_resumed > 0) == (n_forwards > 2)
    found = arrays(path)
    assert list(found) == list(uninterrupted)
    for name, values in uninterrupted.items():
        np.testing.assert_array_equal(found[name], values)


def test_one_long_document_loses_nothing_that_was_done(tmp_path):
    texts = make_texts([400])
    path, whole = tmp_path / "run.h5", tmp_path / "whole.h5"
    with pytest.raises(Interrupted):
        interp.record(stop_after(make_model(), 2 + 20), texts, path, **OPTIONS)
    summary = interp.record(make_model(), texts, path, resume=True, **OPTIONS)
    assert summary.n_resumed == 20 * 16
    interp.record(make_model(), texts, whole, **OPTIONS)
    for name, values in arrays(whole).items():
        np.testing.assert_array_equal(arrays(path)[name], values)


def test_an_error_of_the_model_keeps_what_was_done(tmp_path):
    path = tmp_path / "run.h5"
    with pytest.raises(ZeroDivisionError):
        model = stop_after(make_model(), 6, ZeroDivisionError)
        interp.record(model, make_texts(LENGTHS), path, **OPTIONS)
    summary = interp.record(make_model(), make_texts(LENGTHS), path, resume=True, **OPTIONS)
    assert summary.n_resumed > 0


def test_resuming_a_complete_recording_changes_nothing(tmp_path):
    path = tmp_path / "run.h5"
    texts = make_texts([20])
    interp.record(make_model(), texts, path, **OPTIONS)
    before = path.read_bytes()
    summary = interp.record(make_model(), texts, path, resume=True, **OPTIONS)
    assert summary.n_resumed == 20
    assert path.read_bytes() == before


def test_resuming_without_a_file_starts_one(tmp_path):
    path = tmp_path / "run.h5"
    interp.record(make_model(), make_texts([20]), path, resume=True, **OPTIONS)
    assert arrays(path)["loss"].shape == (20,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": make_model(seed=1)}, "model differs.*weights_hash"),
        ({"corpus": make_texts(LENGTHS, seed=1)}, "corpus differs"),
        ({"corpus": make_texts(LENGTHS[:-1])}, "corpus differs.*6 documents"),
        ({"sites": ["**/hidden"]}, "sites differ"),
        ({"dtype": "float16"}, "sites differ.*float"),
        ({"batch_size": 3}, "batch_size was 2, now 3"),
        ({"window": 17}, "window was 16, now 17"),
        ({"top_k": 2}, "predictions differ"),
    ],
)
def test_resuming_with_something_else_is_refused_and_named(tmp_path, change, message):
    path = tmp_path / "run.h5"
    with pytest.raises(Interrupted):
        interp.record(stop_after(make_model(), 5), make_texts(LENGTHS), path, **OPTIONS)
    before = path.read_bytes()
    arguments = {"model": make_model(), "corpus": make_texts(LENGTHS), **OPTIONS, **change}
    with pytest.raises(InterpError, match=message):
        interp.record(output=path, resume=True, **arguments)
    assert path.read_bytes() == before


def test_resume_and_overwrite_together_are_refused(tmp_path):
    with pytest.raises(InterpError, match="not both"):
        interp.record(make_model(), {"a": "b"}, tmp_path / "x.h5", resume=True, overwrite=True)
