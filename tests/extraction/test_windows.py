"""Documents longer than a model's context: overlapping windows, each position stored once."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import interp
from interp.errors import InterpError
from interp.extraction.schedule import plan_schedule
from interp.models.characters import build
from tests.extraction.conftest import make_model, make_tagger, make_texts

CONTEXT = 32
SITES = ["blocks.0/output", "blocks.1.mlp/output"]


@pytest.fixture(scope="module")
def adapter():
    torch.manual_seed(0)
    return build(
        {"kind": "transformer", "n_layers": 2, "n_heads": 2, "n_embedding": 16,
         "context_length": CONTEXT}
    )  # fmt: skip


def by_hand(adapter, text, window, stride):
    """Values of each site and log probabilities of each position, one window after the other."""
    ids = adapter.encode(text)[0].astype(np.int64)
    values, said, done = {site: [] for site in SITES}, [], 0
    for begin in range(0, len(ids), stride):
        piece = torch.from_numpy(ids[begin : begin + window])[None]
        with torch.no_grad(), interp.Recorder(adapter.module, sites=SITES) as recorder:
            logits = adapter.module(piece)[0]
        new = slice(done - begin, None)
        for site in SITES:
            values[site].append(recorder[site][0][new].numpy())
        said.append(torch.log_softmax(logits[0].double(), -1)[new].numpy())
        done = begin + piece.shape[1]
        if done == len(ids):
            break
    return (
        {site: np.concatenate(parts) for site, parts in values.items()},
        np.concatenate(said),
        ids,
    )


@pytest.mark.parametrize(
    ("options", "window", "stride"),
    [
        ({}, CONTEXT, CONTEXT // 2),
        ({"stride": 5}, CONTEXT, 5),
        ({"window": 20, "stride": 20, "batch_size": 2}, 20, 20),
        ({"window": 10, "stride": 1, "batch_size": 1}, 10, 1),
    ],
)
def test_values_are_those_of_the_first_window_that_holds_the_position(
    tmp_path, adapter, options, window, stride
):
    texts = make_texts([100, CONTEXT, 3, 61, 33])
    interp.record(adapter, texts, tmp_path / "run.h5", sites=SITES, dtype="float32", **options)
    with interp.open(tmp_path / "run.h5") as recording:
        start = recording.streams["text"].document_start
        for index, text in enumerate(texts.values()):
            values, log_p, ids = by_hand(adapter, text, window, stride)
            rows = slice(start[index], start[index + 1])
            for site in SITES:
                np.testing.assert_allclose(recording[site][rows], values[site], atol=1e-6)
            loss = recording.predictions.loss[rows]
            expected = -log_p[np.arange(len(ids) - 1), ids[1:]]
            np.testing.assert_allclose(loss[:-1], expected, atol=1e-5)
            assert np.isnan(loss[-1])
    with h5py.File(tmp_path / "run.h5") as file:
        schedule = json.loads(file["schedule"].asstr()[()])
    assert (schedule["window"], schedule["stride"]) == (window, stride)
    assert "first window" in schedule["stored_from"]


def test_a_resumed_run_reads_the_same_windows(tmp_path, adapter):
    texts = make_texts([90, 70, 40])
    options = {"sites": SITES, "dtype": "float32", "stride": 7, "batch_size": 2}
    interp.record(adapter, texts, tmp_path / "whole.h5", **options)

    class Stops:
        def estimated(self, estimate):
            pass

        def said(self, message):
            assert "windows" in message or "positions are there" in message

        def advanced(self, progress):
            if progress.done > 60:
                raise KeyboardInterrupt

    from interp.extraction.stopping import Interrupted

    path = tmp_path / "part.h5"
    with pytest.raises(Interrupted):
        interp.record(adapter, texts, path, progress=Stops(), commit_interval_s=0.0, **options)
    interp.record(adapter, texts, path, resume=True, **options)
    with interp.open(tmp_path / "whole.h5") as whole, interp.open(path) as part:
        for site in SITES:
            np.testing.assert_array_equal(whole[site][:], part[site][:])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=9), st.integers(1, 20), st.data())
def test_every_position_is_stored_once_with_most_left_context(lengths, window, data):
    stride = data.draw(st.integers(1, window))
    schedule = plan_schedule(np.array(lengths), 3, window, stride=stride)
    seen = np.zeros(sum(lengths), int)
    for begin, stop in schedule.segments():
        assert begin < stop
        seen[begin:stop] += 1
    assert (seen == 1).all()
    ranges, start = schedule.key_ranges(), schedule.document_start()
    for document, length in enumerate(lengths):
        for t in range(length):
            earliest = max(0, -(-(t - window + 1) // stride)) * stride
            expected = [earliest, min(earliest + window, length)]
            assert ranges[start[document] + t].tolist() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 33}, "--window is 33, but .* reads at most 32 positions"),
        ({"window": 10, "stride": 11}, "would be left out"),
        ({"stride": 0}, "stride must be at least 1"),
    ],
)
def test_windows_that_do_not_fit_are_refused(tmp_path, adapter, options, message):
    with pytest.raises(InterpError, match=message):
        interp.record(adapter, make_texts([100]), tmp_path / "run.h5", sites=SITES, **options)


def test_stride_is_refused_where_state_is_carried_or_no_window_is_known(tmp_path):
    with pytest.raises(InterpError, match="carries its state"):
        interp.record(make_model(), make_texts([9]), tmp_path / "run.h5", stride=3)
    with pytest.raises(InterpError, match="needs --window"):
        interp.record(make_tagger(), make_texts([9]), tmp_path / "run.h5", stride=3)


def test_a_bidirectional_net_reads_windows_when_asked(tmp_path):
    adapter, texts = make_tagger(), make_texts([50])
    interp.record(
        adapter, texts, tmp_path / "run.h5", sites="lstm/*", dtype="float32", window=20, stride=10
    )
    ids = torch.as_tensor(adapter.encode(texts["d0"])[0][10:30].astype(np.int64))[None]
    with torch.no_grad(), interp.Recorder(adapter.module, sites="lstm/*") as recorder:
        adapter.forward(ids, torch.tensor([20]), None)
    with interp.open(tmp_path / "run.h5") as recording:
        for site in recorder.sites:
            np.testing.assert_allclose(recording[site][20:30], recorder[site][0][10:], atol=1e-6)
