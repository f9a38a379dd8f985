"""Names of sites, aliases, and values that hand-written modules name."""

import pytest
import torch
from torch import nn

from interp.capture import Recorder, list_sites, name_value
from interp.errors import CaptureError
from tests.capture.models import HandWritten, is_clean


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


def test_a_list_of_all_that_can_be_recorded(model, ids):
    sites = list_sites(model, lambda: model(ids))
    assert sites["lstm/l1/output_gate"].n_units == 5
    assert sites["tagger/output"].per == "position"
    assert "head/input" not in sites
    assert is_clean(model)
