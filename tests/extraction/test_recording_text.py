"""What a recording of texts holds equals one long pass, whatever batches and windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import interp
from interp.errors import InterpError, ModelError, SiteError, StorageError
from tests.extraction.conftest import long_pass, make_model, make_tagger, make_texts

LENGTHS = [70, 1, 23, 200, 24, 64, 5]


def documents_of(recording, site):
    start = recording.streams["text"].document_start
    values = recording[site][:]
    return [values[a:b] for a, b in zip(start[:-1], start[1:], strict=True)]


@pytest.mark.parametrize(("batch_size", "window"), [(1, 7), (3, 64), (32, 16), (4, 1000)])
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_values_equal_one_long_pass(tmp_path, kind, batch_size, window):
    adapter = make_model(kind)
    texts = make_texts(LENGTHS)
    path = tmp_path / "run.h5"
    interp.record(
        adapter, texts, path, sites=f"{kind}/*", dtype="float32", batch_size=batch_size,
        window=window,
    )  # fmt: skip
    with interp.open(path) as recording:
        assert recording.is_complete
        assert [d.name for d in recording.streams["text"].documents] == list(texts)
        for index, text in enumerate(texts.values()):
            expected, _, _ = long_pass(adapter, text, [f"{kind}/*"])
            assert list(recording.sites) == list(expected)
            for site, values in expected.items():
                found = documents_of(recording, site)[index]
                np.testing.assert_allclose(found, values, rtol=0, atol=1e-6)


def test_float64_values_equal_one_long_pass_to_the_last_digits(tmp_path):
    adapter = make_model(dtype=torch.float64)
    texts = make_texts([1500, 40])
    interp.record(adapter, texts, tmp_path / "run.h5", sites="lstm/*", dtype="float64", window=50)
    with interp.open(tmp_path / "run.h5") as recording:
        for index, text in enumerate(texts.values()):
            for site, values in long_pass(adapter, text, ["lstm/*"])[0].items():
                found = documents_of(recording, site)[index]
                np.testing.assert_allclose(found, values, rtol=0, atol=1e-12)


def test_windows_of_one_document_give_the_same_bits_as_one_pass(tmp_path):
    adapter = make_model()
    texts = make_texts([500])
    for window in (500, 100):
        interp.record(
            adapter, texts, tmp_path / f"{window}.h5", sites="**/hidden", dtype="float32",
            window=window,
        )  # fmt: skip
    with interp.open(tmp_path / "500.h5") as one, interp.open(tmp_path / "100.h5") as many:
        for site in one.sites:
            np.testing.assert_array_equal(one[site][:], many[site][:])


def test_predictions_speak_of_the_next_character(tmp_path):
    adapter = make_model()
    texts = make_texts([40, 17])
    interp.record(adapter, texts, tmp_path / "run.h5", window=10, top_k=3)
    with interp.open(tmp_path / "run.h5") as recording:
        said = recording.predictions
        start = recording.streams["text"].document_start
        for index, text in enumerate(texts.values()):
            _, log_p, ids = long_pass(adapter, text, ["head/output"])
            rows = slice(start[index], start[index + 1])
            loss = said.loss[rows]
            np.testing.assert_allclose(
                loss[:-1], -log_p[np.arange(len(ids) - 1), ids[1:]], atol=1e-5
            )
            assert np.isnan(loss[-1])
            best = np.sort(log_p, axis=1)[:, ::-1][:, :3]
            np.testing.assert_allclose(said.top_probabilities[rows], np.exp(best), atol=1e-3)
            chosen = np.take_along_axis(log_p, said.top_ids[rows].astype(int), axis=1)
            np.testing.assert_allclose(chosen, best, atol=1e-5)


def test_no_predictions_on_request(tmp_path):
    interp.record(make_model(), {"a": "abc"}, tmp_path / "run.h5", top_k=0)
    with interp.open(tmp_path / "run.h5") as recording:
        assert recording.predictions is None


def test_bidirectional_nets_read_documents_whole(tmp_path):
    adapter = make_tagger()
    texts = make_texts([30, 7, 90])
    interp.record(adapter, texts, tmp_path / "run.h5", sites="lstm/*", dtype="float32", window=8)
    with interp.open(tmp_path / "run.h5") as recording:
        assert "lstm/l0_reverse/cell" in recording.sites
        loss = recording.predictions.loss[:]
        start = recording.streams["text"].document_start
        for index, text in enumerate(texts.values()):
            values, log_p, ids = long_pass(adapter, text, ["lstm/*"])
            for site, expected in values.items():
                found = documents_of(recording, site)[index]
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
            np.testing.assert_allclose(
                loss[start[index] : start[index + 1]], -log_p[np.arange(len(ids)), ids], atol=1e-5
            )


def test_bidirectional_nets_refuse_documents_longer_than_stated(tmp_path):
    with pytest.raises(InterpError, match=r"d1 has 90 positions.*up to 50 positions"):
        interp.record(make_tagger(), make_texts([30, 90]), tmp_path / "run.h5", max_document=50)
    assert not (tmp_path / "run.h5").exists()


def test_bare_module_cannot_read_text(tmp_path):
    with pytest.raises(ModelError, match="no way from text to it"):
        interp.record(torch.nn.LSTM(3, 4), {"a": "abc"}, tmp_path / "run.h5")


def test_unknown_site_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(SiteError, match=r"lstm/l0/cell"):
        interp.record(make_model(), {"a": "abc"}, tmp_path / "run.h5", sites="lstm/l0/cel")
    with pytest.raises(InterpError, match="No attention was seen in any"):
        interp.record(make_model(), {"a": "abc"}, tmp_path / "run.h5", sites="**/attention")
    assert list(tmp_path.iterdir()) == []


def test_adapters_are_in_their_own_mode_afterwards(tmp_path):
    adapter = make_model()
    adapter.module.train()
    interp.record(adapter, {"a": "abc"}, tmp_path / "run.h5")
    assert all(part.training for part in adapter.module.modules())


def test_empty_files_are_told_of(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "__init__.py").touch()
    (tmp_path / "texts" / "a.py").write_text("abc")
    summary = interp.record(make_model(), tmp_path / "texts", tmp_path / "run.h5")
    assert str(summary).endswith("1 empty file left out") or "1 empty file left out\n" in str(
        summary
    )
    assert summary.to_dict()["left_out"] == "1 empty file left out"
    assert ": 1 document, 3 positions, 2 sites with 24 units, " in str(summary)


def test_existing_file_is_kept_unless_told(tmp_path):
    path = tmp_path / "run.h5"
    interp.record(make_model(), {"a": "abc"}, path)
    before = path.read_bytes()
    with pytest.raises(InterpError, match=r"--resume.*--overwrite"):
        interp.record(make_model(), {"a": "xyz"}, path)
    assert path.read_bytes() == before
    interp.record(make_model(), {"a": "xyz"}, path, overwrite=True)
    with interp.open(path) as recording:
        assert recording.streams["text"].documents[0].text == "xyz"


class Growing(torch.nn.Module):
    """Counts positions and adds them up, so that a value leaves float16 where the test says."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale
        self.sum = torch.nn.Identity()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, ids, state=None):
        counted = torch.cumsum(torch.ones_like(ids, dtype=torch.float32), 1)
        counted = counted + (0 if state is None else state[:, None])
        values = torch.stack([torch.zeros_like(counted), counted * self.scale], dim=-1)
        return self.sum(values), counted[:, -1]


class GrowingAdapter:
    predicts = "next"
    carries_state = True

    def __init__(self, scale):
        self.module = Growing(scale).eval()
        self.vocabulary = [chr(code) for code in range(128)]

    def encode(self, text):
        return np.array([ord(c) for c in text]), None

    def decode(self, ids):
        return [self.vocabulary[i] for i in ids]

    def forward(self, ids, lengths, state):
        return None, self.module(ids, state)[1]


def test_overflow_names_site_unit_position_value_and_keeps_what_was_recorded(tmp_path):
    path = tmp_path / "run.h5"
    # 89 * 738 is the first multiple that float16 rounds to infinity.
    with pytest.raises(StorageError) as caught:
        interp.record(GrowingAdapter(738.0), {"a": "x" * 200}, path, sites="sum/output", window=20)
    message = str(caught.value)
    assert "sum/output:1 is 65682 at position 88 of a" in message
    assert "--dtype float32" in message
    assert "keeps the 80 positions" in message
    with interp.open(path) as recording:
        assert not recording.is_complete
        kept = recording["sum/output"][:80]
    np.testing.assert_allclose(kept[:, 1], 738.0 * np.arange(1, 81), rtol=1e-3)
    interp.record(
        GrowingAdapter(738.0), {"a": "x" * 200}, path, sites="sum/output", dtype="float32",
        overwrite=True,
    )  # fmt: skip
    with interp.open(path) as recording:
        np.testing.assert_array_equal(recording["sum/output"][:, 1], 738.0 * np.arange(1, 201))


def test_what_the_model_computes_as_infinite_is_refused_or_stored_as_asked(tmp_path):
    path = tmp_path / "run.h5"
    adapter = GrowingAdapter(float("inf"))
    with pytest.raises(StorageError, match=r"sum/output:1 is inf .*--nonfinite store"):
        interp.record(adapter, {"a": "xyz"}, path, sites="sum/output")
    interp.record(
        adapter, {"a": "xyz"}, path, sites="sum/output", nonfinite="store", overwrite=True
    )
    with interp.open(path) as recording:
        assert np.isinf(recording["sum/output"][:, 1]).all()


class PooledAdapter(GrowingAdapter):
    def __init__(self):
        super().__init__(1.0)
        self.module.pool = torch.nn.Identity()

    def forward(self, ids, lengths, state):
        values, state = self.module(ids, state)
        self.module.pool(values[:, -1])
        return None, state


def test_sites_without_a_position_axis_have_a_row_per_document(tmp_path):
    texts = {"a": "xxxx", "b": "xxxx"}
    path = tmp_path / "run.h5"
    interp.record(PooledAdapter(), texts, path, sites=["sum/output", "pool/output"])
    with interp.open(path) as recording:
        assert recording["sum/output"].shape == (8, 2)
        np.testing.assert_array_equal(recording["pool/output"][:], [[0, 4], [0, 4]])
    with pytest.raises(InterpError, match="pool/output has no position axis"):
        interp.record(PooledAdapter(), texts, path, sites="**", window=2, overwrite=True)


class OtherShape(GrowingAdapter):
    def forward(self, ids, lengths, state):
        values, state = self.module(ids, state)
        self.module.halved(values[:, ::2])
        return None, state

    def __init__(self):
        super().__init__(1.0)
        self.module.halved = torch.nn.Identity()


def test_sites_with_other_steps_than_the_text_are_refused(tmp_path):
    with pytest.raises(InterpError, match=r"halved/output has shape"):
        interp.record(OtherShape(), {"a": "xxxx"}, tmp_path / "run.h5", sites="halved/output")


def test_provenance_says_how_to_make_it_again(tmp_path):
    interp.record(
        make_model(), {"a": "abc"}, tmp_path / "run.h5", seed=7, command="interp record this"
    )
    with interp.open(tmp_path / "run.h5") as recording:
        provenance = recording.provenance
    assert len(provenance["model"]["weights_hash"]) == 64
    assert len(provenance["corpus"]["hash"]) == 64
    assert provenance["seed"] == 7
    assert provenance["command"] == "interp record this"
    assert {"python", "torch", "h5py", "numpy", "interp"} <= set(provenance["versions"])
    assert str(tmp_path) not in str(provenance)
