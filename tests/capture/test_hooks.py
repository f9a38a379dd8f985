"""Hooks of others beside the recorder's, and what the recorder's own leave behind."""

import copy
import gc
import threading
import weakref

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from interp.capture import Recorder
from interp.errors import CaptureError
from tests.capture import oracle
from tests.capture.models import is_clean


@pytest.fixture
def lstm():
    torch.manual_seed(0)
    return nn.LSTM(3, 4, batch_first=True).double().eval()


X = torch.randn(2, 6, 3, dtype=torch.float64)


def doubled(module, args, output):
    return output[0] * 2, output[1]


def check(recorder, lstm, x):
    zeros = torch.zeros(1, len(x), 4, dtype=x.dtype)
    lengths = torch.full((len(x),), x.shape[1])
    for key, value in oracle.run(lstm, x, lengths, zeros, zeros).items():
        torch.testing.assert_close(recorder[oracle.site(*key, "lstm")], value)


def test_a_hook_on_all_modules_that_changes_outputs(lstm):
    handle = register_module_forward_hook(doubled)
    try:
        for sites in ("**", ["lstm/l0/*"]):
            with torch.no_grad(), Recorder(lstm, sites) as recorder:
                output, _ = lstm(X)
            check(recorder, lstm, X)
        assert not torch.equal(output, recorder["lstm/l0/hidden"])
    finally:
        handle.remove()
    assert is_clean(lstm)


def test_a_forward_of_torchs_own_class_that_was_replaced(lstm, monkeypatch):
    own = nn.LSTM.forward
    monkeypatch.setattr(
        nn.LSTM, "forward", lambda self, x: (torch.zeros_like(own(self, 3 * x)[0]), None)
    )
    with torch.no_grad(), Recorder(lstm, "**") as recorder:
        lstm(X)
    check(recorder, lstm, 3 * X)


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_hook_that_comes_ahead_of_an_open_recorder_is_refused(lstm, everywhere):
    with torch.no_grad(), Recorder(lstm, "**") as recorder:
        if everywhere:
            handle = register_module_forward_hook(doubled)
        else:
            handle = lstm.register_forward_hook(doubled, prepend=True)
        try:
            with pytest.raises(CaptureError, match="ahead of the recorder's on 'lstm'"):
                lstm(X)
        finally:
            handle.remove()
        with Recorder(lstm, "**"):  # a recorder inside is no such hook
            lstm(X)
    check(recorder, lstm, X)
    assert is_clean(lstm)


def test_a_copy_of_the_model_made_meanwhile_is_not_recorded(lstm):
    with torch.no_grad(), Recorder(lstm, "**") as recorder:
        other = copy.deepcopy(lstm)
        other(2 * X)
        lstm(X)
    check(recorder, lstm, X)
    n_sites = len(recorder.calls("lstm/l0/cell"))
    other(X)
    assert len(recorder.calls("lstm/l0/cell")) == n_sites == 1


def test_hooks_are_taken_off_while_another_thread_is_about_to_call_them(lstm):
    running, closed, errors = threading.Event(), threading.Event(), []

    def wait(module, args, output):
        if threading.current_thread() is thread:
            running.set()
            assert closed.wait(10)

    def work():
        try:
            lstm(X)
        except Exception as error:
            errors.append(error)

    handle = lstm.register_forward_hook(wait)
    thread = threading.Thread(target=work)
    with Recorder(lstm, "**/output") as recorder:
        lstm(X)
        thread.start()
        assert running.wait(10)
    closed.set()  # torch goes on through the hooks that it found before
    thread.join()
    handle.remove()
    assert not errors
    assert len(recorder.calls("lstm/output")) == 1


def test_what_was_recorded_goes_with_the_recorder_not_with_the_collector(lstm):
    gc.collect()
    gc.disable()
    try:
        with torch.no_grad(), Recorder(lstm, "**") as recorder:
            lstm(X)
        held = weakref.ref(recorder._session.store)
        del recorder
        assert held() is None
    finally:
        gc.enable()
