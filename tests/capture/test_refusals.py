"""What the recorder refuses, and that nothing of it stays on the model."""

import copy
import gc
import warnings
import weakref

import pytest
import torch
from torch import nn

from interp.capture import Recorder
from interp.errors import CaptureError, InterpError, SiteError
from tests.capture.models import is_clean


@pytest.mark.parametrize(
    "sites, message",
    [
        ("lstm/l0/cel", "nearest: lstm/l0/cell"),
        ("lstn/l0/cell", "lstm/l0/cell"),
        ("lstm", "lstm/output"),
        ("lstm/l7/*", "matches no site"),
        ([], "No site was asked for"),
    ],
)
def test_unknown_sites_are_refused_at_once_with_the_nearest(model, sites, message):
    with pytest.raises(SiteError, match=message):
        Recorder(model, sites)
    assert is_clean(model)


def test_a_site_that_never_fired_is_refused_at_the_end_and_at_take(model, ids):
    sites = ["head/output", "embedding/output"]
    with pytest.raises(SiteError, match="'head/output' never fired"), Recorder(model, sites):
        model.embedding(ids)
    with pytest.raises(SiteError, match="no module of the model was called"):
        with Recorder(model, "head/output"):
            pass
    with pytest.raises(SiteError, match="tagger/gat"), Recorder(model, "tagger/gat") as recorder:
        model(ids)
        recorder.take()
    with Recorder(model, "head/output") as recorder:
        model(ids)
        with pytest.raises(SiteError, match="head/output"):
            recorder["head/outputs"]
    assert is_clean(model)


def test_everything_is_gone_after_an_exception_in_the_forward(model, ids):
    before = model(ids)
    with pytest.raises(IndexError), Recorder(model, "**"):
        model(ids + 100)
    assert is_clean(model)
    with Recorder(model, "head/output") as recorder:
        with pytest.raises(IndexError):
            model(ids + 100)
        assert torch.equal(model(ids), before)
    assert torch.equal(recorder["head/output"], before)


def test_train_mode_is_refused_unless_asked_for(model, ids):
    model.train()
    with pytest.raises(CaptureError, match=r"model\.eval\(\)"), Recorder(model, "**/cell"):
        pass
    with pytest.raises(CaptureError, match="train mode"), Recorder(model.eval(), "**/cell"):
        model.train()
        model(ids)
    assert is_clean(model)
    model.lstm.dropout = 0.5
    torch.manual_seed(1)
    plain = model(ids)
    torch.manual_seed(1)
    with Recorder(model, "**/hidden", train_mode=True) as recorder:
        assert torch.equal(model(ids), plain)
    assert recorder["lstm/l0/hidden"].shape == (2, 5, 5)


def test_modules_that_cannot_be_hooked_are_refused_with_the_reason(model, ids):
    class Outer(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.fc = inner, nn.Linear(3, 3)

        def forward(self, x):
            return self.fc(self.inner(x))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.trace(nn.Linear(3, 3).eval(), torch.ones(1, 3))
    outer = Outer(scripted).eval()
    with pytest.raises(CaptureError, match=r"torch\.jit"):
        Recorder(outer, "inner/output")
    with pytest.warns(UserWarning, match="inner"), Recorder(outer, "**/output") as recorder:
        outer(torch.ones(1, 3))
    assert "fc/output" in recorder.sites
    with pytest.raises(CaptureError, match=r"torch\.compile"):
        Recorder(torch.compile(model, backend="eager"), "**")
    with pytest.raises(CaptureError, match=r"\.compile\(\)"):
        model.compile(backend="eager")
        Recorder(model, "**")


def test_what_is_no_model():
    with pytest.raises(InterpError, match=r"torch\.nn\.Module"):
        Recorder(lambda x: x, "**")


def test_nothing_is_recorded_before(model):
    with pytest.raises(CaptureError, match="with recorder"):
        Recorder(model, "**")["head/output"]


def test_nothing_keeps_model_or_values_alive(model, ids):
    model = copy.deepcopy(model)  # the fixture holds its own
    with Recorder(model, "**") as recorder:
        model(ids)
    held = weakref.ref(recorder._session.store)
    gone = weakref.ref(model)
    del model, recorder
    gc.collect()
    assert held() is None and gone() is None
