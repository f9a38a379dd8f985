"""A run goes on only with a model that computes the same, and padding reaches no value."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import interp
from interp.errors import InterpError
from interp.extraction.same_values import differing
from interp.extraction.stopping import Interrupted
from tests.extraction.conftest import (
    BidirectionalAdapter,
    make_model,
    make_tagger,
    make_texts,
)
from tests.extraction.test_resuming import stop_after

TEXTS = make_texts([40, 9, 61, 7, 33, 20])
OPTIONS = {"batch_size": 2, "window": 16, "commit_interval_s": 0.0, "dtype": "float32"}


def begin(path, sites, **options):
    with pytest.raises(Interrupted):
        stopped = stop_after(make_model(), 2 + 5)
        interp.record(stopped, TEXTS, path, sites=sites, **OPTIONS, **options)


@pytest.mark.parametrize("site", ["lstm/l0/cell", "head/output"])
def test_a_model_whose_code_has_changed_is_not_continued(tmp_path, site):
    path = tmp_path / "run.h5"
    begin(path, [site])
    changed = make_model()
    changed.module.embedding.register_forward_hook(lambda module, given, values: values * 1.1)
    with pytest.raises(InterpError, match=r"computes other values now.*was -?\d.*now it is"):
        interp.record(changed, TEXTS, path, sites=[site], resume=True, **OPTIONS)
    # Nothing was added, and the model of before may go on.
    interp.record(make_model(), TEXTS, path, sites=[site], resume=True, **OPTIONS)
    whole = tmp_path / "whole.h5"
    interp.record(make_model(), TEXTS, whole, sites=[site], **OPTIONS)
    with interp.open(path) as found, interp.open(whole) as wanted:
        np.testing.assert_array_equal(found[site][:], wanted[site][:])


def test_the_mean_loss_of_a_continued_run_is_that_of_the_whole(tmp_path):
    path, site = tmp_path / "run.h5", "lstm/l0/cell"
    begin(path, [site])
    options = {**OPTIONS, "sites": [site]}
    continued = interp.record(make_model(), TEXTS, path, resume=True, **options)
    whole = interp.record(make_model(), TEXTS, tmp_path / "whole.h5", **options)
    assert 0 < continued.n_resumed < whole.n_positions
    assert continued.mean_loss == pytest.approx(whole.mean_loss, rel=1e-6)
    again = interp.record(make_model(), TEXTS, path, resume=True, **options)
    assert again.mean_loss == pytest.approx(whole.mean_loss, rel=1e-6)


def test_what_a_power_cut_damaged_in_the_midst_of_a_step_is_written_again(tmp_path):
    path, whole, site = tmp_path / "run.h5", tmp_path / "whole.h5", "lstm/l0/cell"
    begin(path, [site])
    with interp.open(path) as recording:
        assert recording.done_segments > 4
    with h5py.File(path, "r+") as file:
        start, stop = file["progress/segments/text"][3]
        file[f"activations/{site}"][start:stop] = 7
    interp.record(make_model(), TEXTS, path, sites=[site], resume=True, **OPTIONS)
    interp.record(make_model(), TEXTS, whole, sites=[site], **OPTIONS)
    with interp.open(path) as found, interp.open(whole) as wanted:
        np.testing.assert_array_equal(found[site][:], wanted[site][:])
        assert found.verify().ok


class Heads(nn.Module):
    """Attention whose scores are scaled by a plain number: no weight tells it."""

    def __init__(self, scale):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(98, 8)
        self.query, self.key = nn.Linear(8, 8), nn.Linear(8, 8)
        self.scale = scale

    def forward(self, ids, lengths):
        x = self.embedding(ids)
        steps = torch.arange(ids.shape[1])
        seen = (steps[None] < lengths[:, None])[:, None, None]
        heads = [part(x).unflatten(-1, (2, 4)).transpose(1, 2) for part in (self.query, self.key)]
        value = x.unflatten(-1, (2, 4)).transpose(1, 2)
        out = nn.functional.scaled_dot_product_attention(
            *heads, value, attn_mask=seen.expand(-1, 2, ids.shape[1], -1), scale=self.scale
        )
        return nn.functional.pad(out.transpose(1, 2).flatten(2), (0, 90))


@pytest.mark.parametrize("form", ["full", "top-p:0.9", "stats"])
def test_maps_are_compared_too(tmp_path, form):
    path = tmp_path / "run.h5"
    options = {**OPTIONS, "window": 60, "attention": form, "sites": ["**/attention"]}

    def model(scale):
        adapter = BidirectionalAdapter(Heads(scale).eval())
        adapter.carries_state = False
        return adapter

    with pytest.raises(Interrupted):
        interp.record(stop_after(model(1.0), 2 + 2), TEXTS, path, **options)
    with pytest.raises(InterpError, match="computes other values now"):
        interp.record(model(2.0), TEXTS, path, resume=True, **options)
    assert interp.record(model(1.0), TEXTS, path, resume=True, **options).n_resumed > 0


class Unpacked(nn.Module):
    """A bidirectional net that reads padding: its reverse direction begins there."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(98, 5)
        self.lstm = nn.LSTM(5, 6, bidirectional=True, batch_first=True)
        self.head = nn.Linear(12, 98)

    def forward(self, ids, lengths):
        return self.head(self.lstm(self.embedding(ids))[0])


def test_padding_that_reaches_values_is_refused_by_name(tmp_path):
    adapter = BidirectionalAdapter(Unpacked().eval())
    with pytest.raises(InterpError, match=r"lstm/l0_reverse/hidden .*--batch-size 1"):
        interp.record(adapter, TEXTS, tmp_path / "run.h5", batch_size=4)
    assert not (tmp_path / "run.h5").exists()
    interp.record(adapter, TEXTS, tmp_path / "one.h5", batch_size=1, dtype="float32")
    with interp.open(tmp_path / "one.h5") as recording:
        for name, text in TEXTS.items():
            ids = torch.as_tensor(adapter.encode(text)[0])[None]
            with torch.no_grad():
                hidden = adapter.module.lstm(adapter.module.embedding(ids))[0][0]
            document = recording.document(name)
            found = recording["lstm/l0_reverse/hidden"][document.start : document.stop]
            np.testing.assert_allclose(found, hidden[:, 6:].numpy(), atol=1e-6)


def test_a_net_that_leaves_padding_out_and_one_that_draws_numbers_are_recorded(tmp_path):
    interp.record(make_tagger(), TEXTS, tmp_path / "packed.h5", batch_size=4)

    drawing = make_tagger()
    drawing.module.embedding.register_forward_hook(
        lambda module, given, values: values + torch.randn_like(values)
    )
    interp.record(drawing, TEXTS, tmp_path / "drawing.h5", batch_size=4)


def test_differences_are_relative_to_the_largest_value():
    values = np.array([[100.0, 1.0], [np.nan, np.inf]])
    assert differing(values, values, 1e-3) is None
    assert differing(values, values + 0.05, 1e-3) is None
    assert differing(values, values + [[0, 0.2], [0, 0]], 1e-3) == (0, 1)
    assert differing(values, np.array([[100.0, 1.0], [0.0, np.inf]]), 1e-3) == (1, 0)
    assert differing(values, np.array([[100.0, 1.0], [np.nan, -np.inf]]), 1e-3) == (1, 1)
    assert differing(values[:0], values[:0], 1e-3) is None
