"""Batches of a DataLoader: numeric series, dictionaries, several inputs, unknown length."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils.data import DataLoader, TensorDataset

import interp
from interp.errors import InterpError
from interp.extraction.batches import batch_hash
from interp.extraction.stopping import Interrupted
from tests.extraction.conftest import make_model


class Series(nn.Module):
    """An LSTM over numeric series that also reads one number per series."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.head = nn.Linear(5, 1)

    def forward(self, series, offset=None):
        hidden, _ = self.lstm(series)
        pooled = hidden.mean(1) if not isinstance(hidden, nn.utils.rnn.PackedSequence) else None
        return None if pooled is None else self.head(pooled + (0 if offset is None else offset))


def make_loader(n=10, steps=6, batch_size=4, **keywords):
    torch.manual_seed(1)
    data = TensorDataset(torch.randn(n, steps, 3), torch.randn(n, 1))
    return DataLoader(data, batch_size=batch_size, **keywords)


def two_inputs(model, batch):
    return model(batch[0], batch[1])


def expected_hidden(model, series):
    with torch.no_grad():
        return model.lstm(series)[0].numpy()


def test_numeric_series_with_two_inputs(tmp_path):
    model, loader = Series().eval(), make_loader()
    path = tmp_path / "run.h5"
    sites = ["**/hidden", "**/cell", "head/output"]
    summary = interp.record(model, loader, path, sites=sites, dtype="float32", forward=two_inputs)
    assert (summary.n_documents, summary.n_positions) == (10, 60)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.h5"]
    series = torch.cat([batch[0] for batch in loader])
    with interp.open(path) as recording:
        assert recording.is_complete
        assert recording.predictions is None
        hidden = recording["lstm/l0/hidden"][:].reshape(10, 6, 5)
        np.testing.assert_allclose(hidden, expected_hidden(model, series), atol=1e-6)
        assert recording["head/output"].shape == (10, 1)
        assert recording.streams["text"].document_start.tolist() == list(range(0, 61, 6))


def test_generator_of_unknown_length_and_packed_sequences(tmp_path):
    model = Series().eval()
    torch.manual_seed(2)
    rows = [torch.randn(n, 3) for n in (4, 7, 2, 5, 9)]

    def batches():
        yield pack_sequence(rows[:3], enforce_sorted=False)
        yield pack_sequence(rows[3:], enforce_sorted=False)

    path = tmp_path / "run.h5"
    interp.record(model, batches(), path, dtype="float32", forward=lambda m, b: m.lstm(b))
    with interp.open(path) as recording:
        start = recording.streams["text"].document_start
        assert np.diff(start).tolist() == [4, 7, 2, 5, 9]
        values = recording["lstm/l0/hidden"][:]
        for index, row in enumerate(rows):
            found = values[start[index] : start[index + 1]]
            np.testing.assert_allclose(found, expected_hidden(model, row[None])[0], atol=1e-6)


class Packing(Series):
    """Packs inside, so that the recorder sees lengths which the batch does not tell."""

    def forward(self, series, lengths):
        self.seen(series)
        packed = nn.utils.rnn.pack_padded_sequence(
            series, lengths, batch_first=True, enforce_sorted=False
        )
        return self.lstm(packed)

    def __init__(self):
        super().__init__()
        self.seen = nn.Identity()


def test_lengths_of_one_site_hold_for_all(tmp_path):
    series, lengths = torch.randn(2, 5, 3), torch.tensor([2, 5])
    interp.record(
        Packing().eval(), [(series, lengths)], tmp_path / "run.h5", dtype="float32",
        sites=["seen/output", "lstm/l0/cell"], forward=lambda m, b: m(*b),
    )  # fmt: skip
    with interp.open(tmp_path / "run.h5") as recording:
        assert recording["lstm/l0/cell"].shape == (7, 5)
        np.testing.assert_array_equal(
            recording["seen/output"][:], torch.cat([series[0, :2], series[1]]).numpy()
        )


def test_sites_of_unequal_steps_are_refused(tmp_path):
    model = nn.Sequential(nn.Identity(), nn.AvgPool2d((2, 1))).eval()
    with pytest.raises(InterpError, match="must agree in batch and steps"):
        interp.record(model, [torch.zeros(2, 4, 3)], tmp_path / "run.h5", sites="*/output")


@pytest.mark.parametrize("how", ["lengths", "attention_mask", "callable"])
def test_padding_is_never_recorded(tmp_path, how):
    model = Series().eval()
    series = torch.randn(2, 5, 3)
    lengths = torch.tensor([5, 2])
    batch = {"series": series}
    if how == "lengths":
        batch["lengths"] = lengths
    if how == "attention_mask":
        batch["attention_mask"] = (torch.arange(5) < lengths[:, None]).long()
    interp.record(
        model, [batch], tmp_path / "run.h5", dtype="float32",
        forward=lambda m, b: m(b["series"]), names=lambda b: ["first", "second"],
        lengths=(lambda b: lengths) if how == "callable" else None,
    )  # fmt: skip
    with interp.open(tmp_path / "run.h5") as recording:
        stream = recording.streams["text"]
        assert stream.document_start.tolist() == [0, 5, 7]
        assert [document.name for document in stream.documents] == ["first", "second"]
        np.testing.assert_allclose(
            recording["lstm/l0/hidden"][5:7], expected_hidden(model, series)[1, :2], atol=1e-6
        )


def test_dictionaries_and_tensors_need_no_forward(tmp_path):
    interp.record(Series().eval(), [{"series": torch.zeros(2, 3, 3)}], tmp_path / "a.h5")
    interp.record(Series().eval(), iter([torch.zeros(2, 3, 3)]), tmp_path / "b.h5")
    for name in ("a.h5", "b.h5"):
        with interp.open(tmp_path / name) as recording:
            assert recording["lstm/l0/hidden"].shape == (6, 5)


@pytest.mark.parametrize("n_batches", [1, 2, 3])
def test_stopped_run_continues_to_equal_arrays(tmp_path, n_batches):
    path, whole = tmp_path / "run.h5", tmp_path / "whole.h5"
    options = {"sites": ["**/hidden", "head/output"], "commit_interval_s": 0.0}

    left = iter(range(n_batches))

    def stopping(model, batch):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return two_inputs(model, batch)

    model = Series().eval()
    with pytest.raises(Interrupted, match="--resume"):
        interp.record(model, make_loader(), path, forward=stopping, **options)
    assert not path.exists()
    summary = interp.record(model, make_loader(), path, forward=two_inputs, resume=True, **options)
    # The first forward finds the sites.
    assert summary.n_resumed == 6 * min(4 * (n_batches - 1), 10)
    interp.record(model, make_loader(), whole, forward=two_inputs, **options)
    with interp.open(path) as found, interp.open(whole) as expected:
        for site in expected.sites:
            np.testing.assert_array_equal(found[site][:], expected[site][:])


def interrupted(tmp_path, model):
    path = tmp_path / "run.h5"

    def batches():
        yield from list(make_loader())[:2]
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        interp.record(model, batches(), path, forward=two_inputs)
    return path


def test_resuming_with_other_batches_model_or_sites_is_refused(tmp_path):
    model = Series().eval()
    path = interrupted(tmp_path, model)
    with pytest.raises(InterpError, match=r"holds an unfinished run.*resume"):
        interp.record(model, make_loader(), path, forward=two_inputs)
    with pytest.raises(InterpError, match="batch 1 of the corpus is not what it was"):
        first, second, third = make_loader()
        interp.record(model, [first, third, second], path, forward=two_inputs, resume=True)
    with pytest.raises(InterpError, match="corpus ends after 1 batches, 2 had been"):
        interp.record(model, list(make_loader())[:1], path, forward=two_inputs, resume=True)
    with pytest.raises(InterpError, match="cannot be resumed: sites was"):
        interp.record(model, make_loader(), path, forward=two_inputs, resume=True, sites="**/cell")
    other = Series().eval()
    with torch.no_grad():
        other.head.bias += 1
    with pytest.raises(InterpError, match="cannot be resumed: model was"):
        interp.record(other, make_loader(), path, forward=two_inputs, resume=True)
    interp.record(model, make_loader(), path, forward=two_inputs, resume=True)
    interp.record(model, make_loader(), path, forward=two_inputs, resume=True)
    with interp.open(path) as recording:
        assert recording.is_complete


def test_part_files_cut_off_in_mid_commit_are_repaired(tmp_path):
    model = Series().eval()
    path = interrupted(tmp_path, model)
    parts = tmp_path / "run.h5.parts"
    with open(parts / "00000.bin", "ab") as file:
        file.write(b"half a row")
    with open(parts / "log.jsonl", "ab") as file:
        file.write(b'{"hash": "x", "leng')
    interp.record(model, make_loader(), path, forward=two_inputs, resume=True)
    interp.record(model, make_loader(), tmp_path / "whole.h5", forward=two_inputs)
    with interp.open(path) as found, interp.open(tmp_path / "whole.h5") as expected:
        np.testing.assert_array_equal(found["lstm/l0/hidden"][:], expected["lstm/l0/hidden"][:])


def test_overflow_is_told_by_document(tmp_path):
    model = nn.Sequential(nn.Identity()).eval()
    batch = torch.zeros(2, 4, 3)
    batch[1, 2, 1] = 1e6
    with pytest.raises(InterpError, match=r"0/output:1 is 1e\+06 at position 2 of document 1"):
        interp.record(model, [batch], tmp_path / "run.h5", sites="0/output")


@pytest.mark.parametrize(
    ("batches", "keywords", "message"),
    [
        ([], {}, "The corpus is empty: it gives no batch"),
        (3, {"forward": two_inputs}, "is an int; it must be an iterable of batches"),
        (3.0, {}, "is a float; it must be text .* or an iterable of batches"),
        (None, {}, "The corpus is None; it must be text .* or an iterable of batches"),
        ((), {}, "The corpus is empty: a tuple that holds no path, no document, no batch"),
        ([(torch.zeros(1, 2, 3), 0)], {}, r"say how the model takes them.*forward=lambda"),
        ([torch.zeros(2, 3, 3)], {"lengths": lambda b: [3, 4]}, "do not fit 2 rows of 3"),
        ([torch.zeros(2, 3, 3)], {"names": lambda b: ["a"]}, "1 names for a batch of 2"),
        ([torch.zeros(2, 3, 3)], {"glob": "*"}, "are for text"),
    ],
)
def test_unclear_batches_are_refused(tmp_path, batches, keywords, message):
    with pytest.raises(InterpError, match=message):
        interp.record(Series().eval(), iter(batches) if isinstance(batches, list) else batches,
                      tmp_path / "run.h5", **keywords)  # fmt: skip
    assert not (tmp_path / "run.h5").exists()


def test_a_disk_too_small_is_refused_before_the_run(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(InterpError, match=r"disk has 1 kB free; this needs about"):
        interp.record(Series().eval(), make_loader(100), tmp_path / "run.h5", forward=two_inputs)
    assert list(tmp_path.iterdir()) == []


def test_batch_hash_sees_values_shapes_and_keys():
    a = torch.arange(6)
    hashes = [
        batch_hash(a), batch_hash(a.reshape(2, 3)), batch_hash(a + 1), batch_hash(a.float()),
        batch_hash({"x": a}), batch_hash({"y": a}), batch_hash((a, a)), batch_hash(a.numpy()),
        batch_hash(["text"]), batch_hash(["texts"]),
    ]  # fmt: skip
    assert len(set(hashes)) == len(hashes)
    assert batch_hash({"x": a}) == batch_hash({"x": a.clone()})


def test_adapter_models_take_batches_too(tmp_path):
    adapter = make_model()
    ids = torch.randint(0, 98, (3, 8))
    interp.record(adapter, [ids], tmp_path / "run.h5", forward=lambda m, batch: m(batch))
    with interp.open(tmp_path / "run.h5") as recording:
        assert recording["lstm/l1/hidden"].shape == (24, 12)


def test_an_empty_list_may_have_been_meant_to_hold_batches(tmp_path):
    with pytest.raises(InterpError, match="corpus is empty: a list that holds .* no batch"):
        interp.record(Series().eval(), [], tmp_path / "run.h5")


def test_what_stops_at_the_very_start_leaves_nothing(tmp_path):
    model = nn.Sequential(nn.Identity()).eval()
    with pytest.raises(InterpError, match=r"is 1e\+06 at position 0") as caught:
        interp.record(model, [torch.full((1, 2, 3), 1e6)], tmp_path / "run.h5", sites="0/output")
    assert "keeps" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_stops_later_keeps_what_was_recorded(tmp_path):
    model = nn.Sequential(nn.Identity()).eval()
    batches = [torch.zeros(1, 2, 3), torch.full((1, 2, 3), 1e6)]
    with pytest.raises(InterpError, match=r"run.h5.parts keeps the 2 positions recorded before"):
        interp.record(model, batches, tmp_path / "run.h5", sites="0/output")
    assert [path.name for path in tmp_path.iterdir()] == ["run.h5.parts"]


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_in_its_own_mode_afterwards(tmp_path, fails):
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(), nn.Dropout()).train()
    model[2].eval()
    seen = []

    def forward(model, batch):
        seen.extend(part.training for part in model.modules())
        if fails:
            raise InterpError("Broken.")
        return model(batch)

    try:
        interp.record(
            model, [torch.ones(2, 3, 3)], tmp_path / "run.h5", sites="**", forward=forward
        )
    except InterpError as error:
        assert fails and "Broken." in str(error)
    assert not any(seen)
    assert [part.training for part in model.modules()] == [True, True, True, False]


def test_the_mode_comes_back_after_weights_that_are_refused(tmp_path):
    model = nn.Linear(3, 2).train()
    with torch.no_grad():
        model.weight[0, 0] = torch.nan
    with pytest.raises(InterpError):
        interp.record(model, [torch.ones(2, 3, 3)], tmp_path / "run.h5", sites="**")
    assert model.training


@pytest.mark.parametrize(
    "dtype", ["float32", np.float32, np.dtype("float32"), torch.float32], ids=repr
)
def test_storage_types_are_named_in_any_way(tmp_path, dtype):
    path = tmp_path / "run.h5"
    interp.record(Series().eval(), [torch.zeros(2, 3, 3)], path, dtype=dtype)
    with interp.open(path) as recording:
        assert recording["lstm/l0/hidden"].dtype == np.float32


@pytest.mark.parametrize("dtype", [np.int32, torch.bfloat16, None, object()])
def test_other_storage_types_are_refused(tmp_path, dtype):
    with pytest.raises(InterpError, match="No storage type named"):
        interp.record(Series().eval(), [torch.zeros(2, 3, 3)], tmp_path / "run.h5", dtype=dtype)
