"""What no run could be made of is refused in one sentence, before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import interp
from interp.errors import InterpError
from interp.extraction.batches import batch_hash
from tests.extraction.conftest import make_model, make_texts

WRONG = {
    "batch_size": ["4", 2.5, None, True, [1], 0],
    "window": ["a", 2.5, -1],
    "stride": ["a", 0],
    "top_k": [None, 1.5, -1],
    "max_document": [None, 1.5],
    "generate": ["a", 1.5, 0],
    "temperature": ["a", None, float("nan"), -1],
    "seed": ["a", 1.5, None],
    "commit_interval_s": ["a", None, -1, float("nan")],
    "device": [None, object(), "meta", 3],
    "random_init": ["yes", None],
    "model_dtype": ["bfloat16", None],
    "lines": ["x"],
    "encoding": [3, None],
    "steps": [3, [3], None],
    "sites": [3, [3], b"lstm/*", object()],
    "attention": [None, 3],
    "overwrite": ["x", None],
    "resume": ["x", 2],
    "forward": ["x"],
    "output": [None, 3, b"run.h5", "a\0b"],
    "corpus": [{"a": 3}, {"a": b"text"}],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_a_wrong_argument_is_one_message(tmp_path, name, value):
    given = {"corpus": {"a": "x = 1\n"}, "output": tmp_path / "run.h5", name: value}
    with pytest.raises(InterpError) as caught:
        interp.record(make_model(), given.pop("corpus"), given.pop("output"), **given)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_and_devices_of_torch_are_taken(tmp_path):
    interp.record(
        make_model(), make_texts([5, 3]), tmp_path / "run.h5", batch_size=np.int64(2),
        window=np.int32(4), device=torch.device("cpu"), commit_interval_s=np.float32(1),
    )  # fmt: skip
    with interp.open(tmp_path / "run.h5") as recording:
        assert recording.schedule["batch_size"] == 2
        assert recording.provenance["device"] == "cpu"


def batches(*parts):
    return [[torch.as_tensor(part)] for part in parts]


def record_batches(path, given, **options):
    return interp.record(
        nn.Identity(), given, path, forward=lambda model, batch: model(batch[0]),
        sites=["**/output"], **options,
    )  # fmt: skip


def test_complex_values_are_refused_not_cut_to_their_real_part(tmp_path):
    with pytest.raises(InterpError, match=r"identity/output gives complex64 values"):
        record_batches(tmp_path / "run.h5", batches(torch.full((1, 2, 3), 1 + 2j)))


@pytest.mark.parametrize("lengths", [[1.5, 2], [3, "a"], object(), [1], [[1, 2], [3]]])
def test_lengths_that_are_no_whole_numbers_are_refused(tmp_path, lengths):
    with pytest.raises(InterpError, match="Lengths"):
        record_batches(
            tmp_path / "run.h5", batches(torch.ones(2, 4, 3)), lengths=lambda batch: lengths
        )


def test_batches_without_a_row_are_an_empty_corpus(tmp_path):
    with pytest.raises(InterpError, match="empty"):
        record_batches(tmp_path / "run.h5", batches(torch.ones(0, 4, 3)))
    assert not list(tmp_path.iterdir())


def test_loaded_batches_go_on_only_with_a_model_that_computes_the_same(tmp_path):
    path = tmp_path / "run.h5"
    lstm = nn.LSTM(3, 4, batch_first=True)
    attention = nn.MultiheadAttention(4, 2)
    model = nn.ModuleDict({"lstm": lstm, "attention": attention})
    given = torch.randn(8, 5, 3)

    def loader(until):
        for i in range(0, 8, 2):
            if i == until:
                raise OSError("the disk of the corpus is gone")
            yield given[i : i + 2]

    def run(scale, sites, until=None, resume=False):
        def forward(model, batch):
            hidden = model["lstm"](batch * scale)[0].transpose(0, 1)
            model["attention"](hidden, hidden, hidden)

        interp.record(
            model, loader(until), path, forward=forward, sites=sites, resume=resume,
            commit_interval_s=0.0, dtype="float32",
        )  # fmt: skip

    for sites in (["lstm/l0/hidden"], ["attention/attention"]):
        with pytest.raises(OSError, match="gone"):
            run(1.0, sites, until=6)
        with pytest.raises(InterpError, match="computes other values now"):
            run(9.0, sites, resume=True)
        run(1.0, sites, resume=True)
        with interp.open(path) as recording:
            assert recording.is_complete
            assert recording.streams["text"].n_documents == 8
        path.unlink()


def test_what_an_object_holds_counts_for_the_hash_of_a_batch():
    class Graph:
        def __init__(self, value):
            self.x = torch.tensor(value)

    assert batch_hash([Graph(1.0)]) == batch_hash([Graph(1.0)])
    assert batch_hash([Graph(1.0)]) != batch_hash([Graph(2.0)])
    assert batch_hash([np.float32(1)]) != batch_hash([np.float32(2)])
