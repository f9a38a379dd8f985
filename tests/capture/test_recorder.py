"""What the recorder records of a run, and of several."""

import threading

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.overrides import _get_current_function_mode_stack

from interp.capture import Recorder
from interp.errors import CaptureError
from tests.capture.models import PacksItself, is_clean


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


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_fused_layer_that_is_called_once_per_step(kind, layers):
    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = kind(3, 4, layers, batch_first=True), nn.Linear(4, 3)

        def forward(self, x):
            state, outputs = None, []
            for step in x.split(1, 1):
                output, state = self.rnn(step, state)
                outputs.append(self.head(output))
            return torch.cat(outputs, 1)

    model, x = Decoder().eval(), torch.randn(2, 6, 3)
    with (
        torch.no_grad(),
        Recorder(model, ["rnn/**", "head/output"], steps=["rnn", "head"]) as steps,
    ):
        result = model(x)
    with torch.no_grad(), Recorder(model, "rnn/**") as whole:
        model.rnn(x)
    assert torch.equal(steps["head/output"], result)
    assert list(steps.sites)[:-1] == list(whole.sites)
    for site in whole.sites:
        torch.testing.assert_close(steps[site], whole[site])


def test_lengths_and_first_use_do_not_depend_on_the_default_device(model, ids):
    """Values for the recorder's own use stay on the CPU where new tensors go elsewhere."""
    with Recorder(model, "**/cell", lengths=torch.tensor([5, 2])) as expected:
        model(ids)
    given = torch.tensor([5, 2])
    with torch.device("meta"), Recorder(model, "**/cell", lengths=given) as recorder:
        model(ids)
        assert recorder.lengths("lstm/l0/cell").tolist() == [5, 2]
    assert torch.equal(recorder["lstm/l0/cell"], expected["lstm/l0/cell"])


@pytest.mark.parametrize("layers", [1, 2])
def test_rows_stand_as_the_caller_had_them_where_a_module_packs_within(layers):
    module = PacksItself(3, 4, layers, batch_first=True).eval()
    lengths = torch.tensor([2, 6, 5])
    with torch.no_grad(), Recorder(module, "**") as recorder:
        result = module(torch.randn(3, 6, 3), lengths)
    assert torch.equal(recorder[f"packsitself/l{layers - 1}/hidden"], result)
    for site in list(recorder.sites)[1:]:
        assert torch.equal(recorder.lengths(site), lengths)


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


def test_padded_batches_with_lengths(model, ids):
    with Recorder(model, ["**/cell", "head/output"], lengths=torch.tensor([5, 2])) as recorder:
        model(ids)
    for site in recorder.sites:
        assert recorder.lengths(site).tolist() == [5, 2]
        assert not recorder[site][1, 2:].any() and recorder[site][1, :2].any()


def test_lengths_of_the_batches_that_follow(model, ids):
    with Recorder(model, "**/cell", lengths=torch.tensor([3, 4])) as alone:
        model(ids)
    with Recorder(model, "**/cell", lengths=torch.tensor([5, 2])) as recorder:
        model(ids)
        first = recorder.take()
        recorder.set_lengths(torch.tensor([3, 4]))
        model(ids)
    for site in alone.sites:
        assert first[site].lengths.tolist() == [5, 2]
        assert recorder.lengths(site).tolist() == [3, 4]
        assert torch.equal(recorder[site], alone[site])


def test_padding_of_steps_that_are_stacked():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTMCell(3, 4)

        def forward(self, x):
            state = None
            for step in x.unbind(1):
                state = self.cell(step, state)
            return state[0]

    model = Loop().eval()
    with torch.no_grad(), Recorder(model, "cell/*", lengths=torch.tensor([5, 2])) as recorder:
        model(torch.randn(2, 5, 3))
        taken = recorder.take()
        recorder.set_lengths(torch.tensor([1, 3]))
        model(torch.randn(2, 3, 3))
    for site in recorder.sites:
        assert taken[site].lengths.tolist() == [5, 2]
        assert not taken[site].values[1, 2:].any() and taken[site].values[1, :2].any()
        assert recorder.lengths(site).tolist() == [1, 3]
        assert not recorder[site][0, 1:].any() and recorder[site][1].any()


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


def test_a_recorder_can_be_used_again_and_not_twice_at_once(model, ids):
    recorder = Recorder(model, "lstm/l0/cell")
    for _ in range(2):
        with recorder:
            model(ids)
            with pytest.raises(CaptureError, match="already"):
                recorder.__enter__()
        assert recorder["lstm/l0/cell"].shape == (2, 5, 5)
    assert is_clean(model)


def test_nested_recorders_see_the_same(model, ids):
    plain = model(ids)
    with Recorder(model, "lstm/*") as outer, Recorder(model, ["**/cell", "head/output"]) as inner:
        for _ in range(2):
            assert torch.equal(model(ids), plain)
    for site in ("lstm/l0/cell", "lstm/l1/cell"):
        # Fewer gates lie otherwise in the processor's vectors, whose ends are rounded otherwise.
        torch.testing.assert_close(outer.calls(site)[1], inner.calls(site)[1], rtol=0, atol=2e-7)
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


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_hidden_states_of_a_single_layer_are_its_output_and_need_no_mode(kind):
    torch.manual_seed(0)
    for options in ({}, {"batch_first": True}, *([{"proj_size": 2}] if kind is nn.LSTM else [])):
        module = kind(3, 4, **options).eval()
        name = f"{kind.__name__.lower()}/l0/hidden"
        packed = pack_padded_sequence(torch.randn(2, 6, 3), torch.tensor([3, 6]), True, False)
        for x in (torch.randn(6, 2, 3), torch.randn(6, 3), packed):
            with torch.no_grad(), Recorder(module, "**/hidden") as alone:
                assert not _get_current_function_mode_stack()
                module(x)
            with torch.no_grad(), Recorder(module, ["**/l0/*", "**/output"]) as whole:
                with Recorder(module, "**/hidden") as nested:
                    module(x)
            assert list(alone.sites) == [name]
            for other in (whole, nested):
                assert torch.equal(alone[name], other[name])
                assert torch.equal(alone.lengths(name), other.lengths(name))
            assert torch.equal(alone[name], whole[name.replace("l0/hidden", "output")])
    assert is_clean(module)


def test_hidden_states_are_the_kernels_where_a_hook_changes_the_output():
    torch.manual_seed(0)
    module, x = nn.LSTM(3, 4).eval(), torch.randn(6, 2, 3)
    plain = module(x)[0].transpose(0, 1)
    handle = module.register_forward_hook(lambda module, args, output: (output[0] * 0, output[1]))
    for sites in ("**/hidden", "**"):
        with torch.no_grad(), Recorder(module, [sites, "**/output"]) as recorder:
            module(x)
        assert torch.equal(recorder["lstm/l0/hidden"], plain)
        assert not recorder["lstm/output"].any()
    handle.remove()
    assert is_clean(module)
