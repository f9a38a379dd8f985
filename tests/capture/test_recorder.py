"""What a recorder does for its user: naming, refusing, cleaning up."""

import gc
import threading
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack

from interp.capture import Recorder, list_sites, name_value
from interp.errors import CaptureError, InterpError, SiteError


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, 2, batch_first=True)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(5, 3)

    def forward(self, ids):
        return self.head(self.relu(self.lstm(self.embedding(ids))[0]))


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(7, 4)

    def forward(self, x, h):
        gate = name_value("gate", torch.sigmoid(self.linear(torch.cat([x, h], -1))))
        return gate * h + (1 - gate)


class HandWritten(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = Cell()

    def forward(self, x):
        h = x.new_zeros(len(x), 4)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return h


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Tagger().eval()


@pytest.fixture
def ids():
    return torch.arange(10).reshape(2, 5) % 9


def is_clean(model):
    return not _get_current_function_mode_stack() and not any(
        module._forward_hooks or module._forward_pre_hooks for module in model.modules()
    )


def test_outputs_of_modules_and_sites_in_model_order(model, ids):
    plain = model(ids)
    with Recorder(model, "**") as recorder:
        assert torch.equal(model(ids), plain)
    assert list(recorder.sites)[:4] == [
        "tagger/output", "embedding/output", "lstm/output", "lstm/l0/hidden",
    ]  # fmt: skip
    assert torch.equal(recorder["head/output"], plain)
    assert recorder["lstm/l1/hidden"].shape == (2, 5, 5)
    assert recorder.lengths("head/output").tolist() == [5, 5]
    assert recorder.sites["lstm/l1/cell"].layer == 1
    assert is_clean(model)


def test_an_in_place_operation_afterwards_changes_nothing(model, ids):
    with torch.no_grad(), Recorder(model, ["lstm/output", "lstm/l1/hidden"]) as recorder:
        output = model(ids)
        output.zero_()
    assert (recorder["lstm/output"] < 0).any() and (recorder["lstm/l1/hidden"] < 0).any()


def test_inputs_on_request(model, ids):
    with Recorder(model, ["head/*"]) as without, Recorder(model, "head/*", inputs=True) as both:
        model(ids)
    assert list(without.sites) == ["head/output"]
    assert list(both.sites) == ["head/input", "head/output"]
    with Recorder(model, "**/input") as recorder:
        model(ids)
    assert torch.equal(recorder["tagger/input"], ids)
    assert torch.equal(recorder["head/input"], recorder["relu/input"].relu())


def test_a_module_called_several_times_is_a_list_of_calls():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x):
            return self.fc(self.fc(x))

    model = Twice().eval()
    with torch.no_grad(), Recorder(model, "fc/output") as recorder:
        result = model(torch.randn(2, 3))
    first, second = recorder.calls("fc/output")
    assert torch.equal(second, result) and torch.equal(model.fc(first), result)
    with pytest.raises(CaptureError, match=r"recorder\.calls"):
        recorder["fc/output"]


def test_take_keeps_runs_apart(model, ids):
    with torch.no_grad(), Recorder(model, "lstm/*") as recorder:
        for k in range(3):
            model((ids + k) % 9)
            taken = recorder.take()
            assert list(taken) == list(recorder.sites)
            assert taken["lstm/l0/cell"].values.shape == (2, 5, 5)
            assert taken["lstm/l0/cell"].lengths is None
    with pytest.raises(CaptureError, match="take"):
        recorder["lstm/l0/cell"]


def test_a_hand_written_cell_and_named_values():
    model = HandWritten().eval()
    x = torch.randn(2, 6, 3)
    with torch.no_grad():
        plain = model(x)
        with Recorder(model, ["cell/*", "cell.linear/output"]) as each:
            model(x)
        with Recorder(model, ["cell/*", "cell.*"], steps="cell") as stacked:
            assert torch.equal(model(x), plain)
    assert len(each.calls("cell/gate")) == 6
    assert stacked["cell/gate"].shape == (2, 6, 4)
    torch.testing.assert_close(stacked["cell/gate"], stacked["cell.linear/output"].sigmoid())
    assert torch.equal(stacked["cell/output"][:, -1], plain)
    assert torch.equal(stacked["cell/gate"], torch.stack(each.calls("cell/gate"), 1))
    with pytest.raises(CaptureError, match=r"steps=\['cell'\]"):
        each["cell/gate"]


def test_naming_a_value_without_a_recorder_returns_it():
    value = torch.ones(2)
    assert name_value("gate", value) is value


@pytest.mark.parametrize("name, value", [("", torch.ones(1)), ("output", torch.ones(1)), ("x", 3)])
def test_bad_named_values(name, value):
    class Bad(nn.Module):
        def forward(self, x):
            name_value(name, value)
            return x

    model = Bad().eval()
    with pytest.raises(CaptureError), Recorder(model, "**"):
        model(torch.ones(1))
    assert is_clean(model)


def test_padded_batches_with_lengths(model, ids):
    with Recorder(model, ["**/cell", "head/output"], lengths=torch.tensor([5, 2])) as recorder:
        model(ids)
    for site in recorder.sites:
        assert recorder.lengths(site).tolist() == [5, 2]
        assert not recorder[site][1, 2:].any() and recorder[site][1, :2].any()


def test_time_first_modules_are_recorded_batch_first():
    class TimeFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.lstm(x)[0])

    model = TimeFirst().eval()
    with torch.no_grad(), Recorder(model, "**", batch_first=False) as recorder:
        result = model(torch.randn(7, 2, 3))
    assert recorder["lstm/l0/hidden"].shape == recorder["lstm/output"].shape == (2, 7, 4)
    assert torch.equal(recorder["head/output"], result.transpose(0, 1))


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


def test_a_recorder_can_be_used_again_and_not_twice_at_once(model, ids):
    recorder = Recorder(model, "lstm/l0/cell")
    for _ in range(2):
        with recorder:
            model(ids)
            with pytest.raises(CaptureError, match="already"):
                recorder.__enter__()
        assert recorder["lstm/l0/cell"].shape == (2, 5, 5)
    assert is_clean(model)


def test_nothing_is_recorded_before(model):
    with pytest.raises(CaptureError, match="with recorder"):
        Recorder(model, "**")["head/output"]


def test_nested_recorders_see_the_same(model, ids):
    plain = model(ids)
    with Recorder(model, "lstm/*") as outer, Recorder(model, ["**/cell", "head/output"]) as inner:
        for _ in range(2):
            assert torch.equal(model(ids), plain)
    for site in ("lstm/l0/cell", "lstm/l1/cell"):
        assert torch.equal(outer.calls(site)[1], inner.calls(site)[1])
    assert len(outer.calls("lstm/l0/hidden")) == 2
    assert is_clean(model)


def test_two_threads_record_two_models_and_one_model():
    shared = nn.LSTM(3, 4, 2, batch_first=True).eval()
    found = {}

    def work(k):
        x = torch.full((1, 5 + k, 3), float(k))
        for model, key in ((nn.LSTM(3, 4).eval(), "own"), (shared, "shared")):
            with torch.no_grad(), Recorder(model, "**/cell") as recorder:
                for _ in range(20):
                    model(x)
                    found[k, key] = recorder.take()["lstm/l0/cell"].values

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with torch.no_grad():
        for k in range(2):
            with Recorder(shared, "**/cell") as recorder:
                shared(torch.full((1, 5 + k, 3), float(k)))
            assert torch.equal(found[k, "shared"], recorder["lstm/l0/cell"])
            assert found[k, "own"].shape[:2] == (5 + k, 1)
    assert is_clean(shared)


def test_one_module_under_two_names():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.second = self.first

        def forward(self, x):
            return self.second(x)

    model = Shared().eval()
    for site in ("first/output", "second/output", "second/*"):
        with torch.no_grad(), Recorder(model, site) as recorder:
            result = model(torch.ones(1, 3))
        assert list(recorder.sites) == ["first/output"]
        assert torch.equal(recorder["second/output"], result)


def test_names_with_special_characters():
    model = nn.Sequential()
    model.add_module("a/b:[*]# %", nn.Linear(3, 3))
    name = "a%2Fb%3A%5B%2A%5D%23%20%25/output"
    with Recorder(model.eval(), name) as recorder:
        model(torch.ones(1, 3))
    assert list(recorder.sites) == [name]
    assert recorder.sites[name].module == "a/b:[*]# %"


def test_a_child_that_has_the_models_own_name():
    class LSTM(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 4)

        def forward(self, x):
            return self.lstm(x)[0]

    model = LSTM().eval()
    with Recorder(model, "**/output") as recorder:
        model(torch.ones(2, 1, 3))
    assert list(recorder.sites) == ["lstm_/output", "lstm/output"]


def test_nothing_keeps_model_or_values_alive(model, ids):
    with Recorder(model, "**") as recorder:
        model(ids)
    held = weakref.ref(recorder._session.store)
    gone = weakref.ref(model)
    del model, recorder
    gc.collect()
    assert held() is None
    assert gone() is None or gc.get_referrers(gone())  # the fixture may hold it still


def test_a_list_of_all_that_can_be_recorded(model, ids):
    sites = list_sites(model, lambda: model(ids))
    assert sites["lstm/l1/output_gate"].n_units == 5
    assert sites["tagger/output"].per == "position"
    assert "head/input" not in sites
    assert is_clean(model)


def test_where_the_bits_differ_the_original_result_is_returned(model, ids, monkeypatch):
    from interp.capture import recurrent

    monkeypatch.setattr(recurrent, "_same_bits", lambda one, other: False)
    plain = model(ids)
    with Recorder(model, "lstm/*") as recorder:
        for _ in range(2):
            assert torch.equal(model(ids), plain)
            assert recorder.take()["lstm/l0/cell"].values.shape == (2, 5, 5)


def test_weights_that_are_not_finite_are_the_models_affair(model, ids):
    model.lstm.weight_hh_l0.data[0, 0] = float("nan")
    with Recorder(model, "lstm/*") as recorder:
        model(ids)
    assert recorder["lstm/l0/cell"].isnan().any()
