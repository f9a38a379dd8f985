"""`record` with attention sites: the maps are those of each document run alone."""

from __future__ import annotations

import tempfile
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import interp
from interp.errors import InterpError
from interp.extraction.attention_sink import AttentionSink
from interp.extraction.stopping import Interrupted
from interp.models.characters import CharacterAdapter, build
from tests.extraction.conftest import make_texts
from tests.extraction.test_resuming import stop_after

SITES = ["**/attention"]
NAMES = ["blocks.0.attention/attention", "blocks.1.attention/attention"]
LENGTHS = [40, 7, 1, 23, 40]


def make_transformer(seed=0, **changes):
    torch.manual_seed(seed)
    sizes = {"n_layers": 2, "n_heads": 2, "n_embedding": 16, "context_length": 64, **changes}
    adapter = build({"kind": "transformer", **sizes})
    with torch.no_grad():
        for parameter in adapter.module.parameters():
            parameter.mul_(6)  # so that some weights are large
    return adapter


def maps_alone(adapter, text, sites=NAMES):
    """Maps (n_heads, n, n) of one text, run alone in one forward."""
    ids = torch.as_tensor(adapter.encode(text)[0], dtype=torch.int64)[None]
    with torch.no_grad(), interp.Recorder(adapter.module, sites=SITES) as recorder:
        adapter.forward(ids, torch.tensor([ids.shape[1]]), None)
    return {site: recorder[site][0].numpy() for site in sites}


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
def test_full_maps_are_those_of_each_document_alone(tmp_path, dtype):
    adapter, texts = make_transformer(), make_texts(LENGTHS)
    path = tmp_path / "run.h5"
    interp.record(adapter, texts, path, sites=SITES, attention_dtype=dtype, batch_size=3)
    with interp.open(path) as recording:
        assert recording.is_complete and recording.verify().ok
        assert not recording.sites
        assert list(recording.attention_sites) == NAMES
        for name, site in recording.attention_sites.items():
            assert (site.keys, site.n_heads, site.dtype) == ("causal", 2, dtype)
            for document, text in enumerate(texts.values()):
                expected = maps_alone(adapter, text)[name]
                found = recording.attention(name, document)
                assert found.shape == expected.shape
                assert np.abs(found - expected).max() <= site.max_error + 1e-6
                head = recording.attention(name, document, head=1)
                np.testing.assert_array_equal(head, found[1])


@pytest.mark.parametrize("form", ["full", "top-p:0.8", "stats"])
def test_blocks_of_queries_change_nothing(tmp_path, monkeypatch, form):
    adapter, texts = make_transformer(), make_texts(LENGTHS)
    options = {"sites": [*SITES, "**/head_output"], "attention": form, "batch_size": 3}
    interp.record(adapter, texts, tmp_path / "whole.h5", **options)
    monkeypatch.setattr("interp.capture.attention_weights.BLOCK_BYTES", 1500)
    interp.record(adapter, texts, tmp_path / "blocks.h5", **options)
    with (
        interp.open(tmp_path / "whole.h5") as whole,
        interp.open(tmp_path / "blocks.h5") as blocks,
    ):
        assert_same_maps(whole, blocks, 1e-6)


def assert_same_maps(one, other, tolerance=0.0):
    """Assert that two recordings hold the same of attention."""
    assert dict(one.attention_sites) == dict(other.attention_sites)
    for name, site in one.attention_sites.items():
        for what, values in one.attention_statistics(name).items():
            if what in ("kept", "kept_mass"):
                continue
            found = other.attention_statistics(name)[what][:]
            np.testing.assert_allclose(found, values[:], rtol=1e-4, atol=max(tolerance, 1e-5))
        for document in range(one.streams[site.stream].n_documents):
            ranges = one.key_range(name, document)
            np.testing.assert_array_equal(other.key_range(name, document), ranges)
            if site.form != "stats":
                expected = one.attention(name, document)
                found = other.attention(name, document)
                if site.form == "top-p":  # a hair's breadth decides about the last key of a row
                    found, expected = np.sort(found)[..., -3:], np.sort(expected)[..., -3:]
                # Equal but for rounding: in the type's last place.
                np.testing.assert_allclose(found, expected, atol=tolerance + 2 * site.max_error)


@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=7),
    batch_size=st.integers(1, 5),
    form=st.sampled_from(["full", "full", "stats"]),
)
@settings(max_examples=12)
def test_the_size_of_a_batch_changes_nothing(lengths, batch_size, form):
    adapter, texts = make_transformer(), make_texts(lengths)
    options = {"sites": SITES, "attention": form, "attention_keys": "all"}
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{size}.h5" for size in (0, 1)]
        for path, size in zip(paths, (batch_size, 1), strict=True):
            interp.record(adapter, texts, path, batch_size=size, **options)
        with interp.open(paths[0]) as found, interp.open(paths[1]) as alone:
            assert found.verify().ok
            assert_same_maps(alone, found, 1e-6)


def test_windows_with_stride_keep_each_row_from_its_window(tmp_path):
    adapter = make_transformer(context_length=16)
    text = make_texts([50])["d0"]
    interp.record(
        adapter, {"a": text}, tmp_path / "run.h5", sites=SITES, attention_dtype="float32",
        stride=5, top_k=0,
    )  # fmt: skip
    with interp.open(tmp_path / "run.h5") as recording:
        assert recording.schedule["stride"] == 5
        ranges = recording.key_range(NAMES[1], 0)
        found = recording.attention(NAMES[1], 0)
        for position in range(50):
            # The first window that holds the position gives it most left context.
            begin = max(0, -(-(position - 15) // 5) * 5)
            assert ranges[position].tolist() == [begin, position + 1]
            expected = maps_alone(adapter, text[begin : begin + 16])[NAMES[1]]
            row = found[:, position, begin : position + 1]
            at = position - begin
            np.testing.assert_allclose(row, expected[:, at, : at + 1], atol=1e-6)


class Sliding(nn.Module):
    """One layer of attention that sees some positions on either side."""

    def __init__(self, before, behind):
        super().__init__()
        torch.manual_seed(0)
        self.before, self.behind = before, behind
        self.embedding = nn.Embedding(98, 8)
        self.qkv = nn.Linear(8, 24)

    def forward(self, ids, lengths):
        query, key, value = self.qkv(self.embedding(ids)).chunk(3, -1)
        at = torch.arange(ids.shape[1])
        apart = at[None, :] - at[:, None]
        seen = (apart >= -self.before) & (apart <= self.behind)
        seen = seen & (at[None, None, :] < lengths[:, None, None])
        mask = seen[:, None]
        return nn.functional.scaled_dot_product_attention(
            query[:, None], key[:, None], value[:, None], mask
        ).squeeze(1)


class SlidingAdapter(CharacterAdapter):
    predicts = "same"
    carries_state = False

    def __init__(self, before, behind):
        super().__init__(Sliding(before, behind).eval())
        self.carries_state = False

    def forward(self, ids, lengths, state):
        self.module(ids, lengths)
        return None, None


@pytest.mark.parametrize(
    ("before", "behind", "keys"),
    [(3, 0, "window:4"), (2, 3, "window:3:3"), (99, 0, "causal"), (99, 99, "document")],
)
def test_which_keys_are_seen_is_found_out(tmp_path, before, behind, keys):
    adapter, texts = SlidingAdapter(before, behind), make_texts([30, 12, 1])
    path = tmp_path / "run.h5"
    interp.record(adapter, texts, path, sites=SITES, attention_dtype="float32")
    with interp.open(path) as recording:
        (name,) = recording.attention_sites
        assert recording.attention_sites[name].keys == keys
        for document, text in enumerate(texts.values()):
            found = recording.attention(name, document)
            expected = maps_alone(adapter, text, [name])[name]
            np.testing.assert_allclose(found, expected, atol=1e-6)
            at = np.arange(len(text))
            first, stop = recording.key_range(name, document).T
            np.testing.assert_array_equal(first, np.maximum(0, at - before))
            np.testing.assert_array_equal(stop, np.minimum(len(text), at + behind + 1))


class ChangesItsMind(SlidingAdapter):
    """Causal on the first document it is given, and on no other of that length or less."""

    def forward(self, ids, lengths, state):
        self.module.behind = 0 if ids.shape[1] > 20 else 99
        return super().forward(ids, lengths, state)


@pytest.mark.parametrize("lengths", [[1] * 20 + [2] * 20 + [23], [2, 1, 3]])
@pytest.mark.parametrize("batch_size", [1, 32])
def test_short_documents_do_not_hide_the_mask(tmp_path, lengths, batch_size):
    adapter, texts = make_transformer(), make_texts(lengths)
    interp.record(adapter, texts, tmp_path / "a.h5", sites=SITES, batch_size=batch_size)
    with interp.open(tmp_path / "a.h5") as recording:
        assert {site.keys for site in recording.attention_sites.values()} == {"causal"}
        assert recording.key_range(NAMES[0], 0).tolist() == [[0, t + 1] for t in range(lengths[0])]


def test_a_weight_where_none_should_be_is_refused_by_name(tmp_path):
    texts = make_texts([30, 12])
    options = {"sites": SITES, "batch_size": 1}
    with pytest.raises(InterpError, match=r"sliding/attention gives key 1 .* --attention-keys all"):
        interp.record(ChangesItsMind(99, 0), texts, tmp_path / "a.h5", **options)
    interp.record(ChangesItsMind(99, 0), texts, tmp_path / "b.h5", attention_keys="all", **options)


def test_an_unknown_site_has_the_nearest_names(tmp_path):
    with pytest.raises(InterpError, match=r"nearest: blocks\.[01]\.attention/attention"):
        interp.record(
            make_transformer(), {"a": "b"}, tmp_path / "a.h5", sites=["blocks.0.atention/attention"]
        )


def test_forms_and_types_that_do_not_exist_are_refused(tmp_path):
    for options, message in (
        ({"attention": "fll"}, "did you mean 'full'"),
        ({"attention_dtype": "float64"}, "one of float16, float32, uint8"),
        ({"attention_keys": "some"}, "one of auto, all"),
    ):
        with pytest.raises(InterpError, match=message):
            interp.record(make_transformer(), {"a": "b"}, tmp_path / "a.h5", sites=SITES, **options)


@pytest.mark.parametrize("form", ["full", "top-p:0.8", "stats"])
def test_a_stopped_run_continues_to_equal_maps(tmp_path, form):
    options = {"sites": [*SITES, "blocks.0/output"], "attention": form, "batch_size": 2}
    options |= {"commit_interval_s": 0.0}
    path, texts = tmp_path / "run.h5", make_texts(LENGTHS)
    with pytest.raises(Interrupted):
        interp.record(stop_after(make_transformer(), 6), texts, path, **options)
    with interp.open(path) as recording:
        assert 0 < recording.done_segments < recording.n_segments
    summary = interp.record(make_transformer(), texts, path, resume=True, **options)
    assert summary.n_resumed > 0
    interp.record(make_transformer(), texts, tmp_path / "whole.h5", **options)
    with interp.open(path) as found, interp.open(tmp_path / "whole.h5") as whole:
        assert found.fingerprint == whole.fingerprint
        assert found.verify().ok
        assert_same_maps(whole, found)
    for change, message in (
        ({"attention": "top-p:0.5"}, "form of .* was"),
        ({"attention_dtype": "uint8"}, "dtype of .* was float16, now uint8"),
    ):
        with pytest.raises(InterpError, match=message):
            interp.record(make_transformer(), texts, path, resume=True, **{**options, **change})


def test_no_more_than_a_layer_is_in_memory(tmp_path):
    adapter = make_transformer(n_layers=6)
    alive, most = weakref.WeakSet(), 0
    record = AttentionSink.__call__

    def counting(self, site, weights, first_query):
        nonlocal most
        alive.add(weights)
        most = max(most, len(alive))
        record(self, site, weights, first_query)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AttentionSink, "__call__", counting)
        interp.record(adapter, make_texts(LENGTHS), tmp_path / "run.h5", sites=SITES)
    assert most <= 2


class Blind(SlidingAdapter):
    """The third position of a document sees nothing, for which the softmax gives NaN."""

    def __init__(self):
        super().__init__(99, 0)
        self.module.forward = self._weighted

    def _weighted(self, ids, lengths):
        query, key, value = self.module.qkv(self.module.embedding(ids)).chunk(3, -1)
        seen = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        seen[2] = False
        scores = (query @ key.transpose(-2, -1)).masked_fill(~seen, -torch.inf)
        return torch.softmax(scores, -1) @ value


@pytest.mark.parametrize("form", ["full", "top-p:0.9", "stats"])
def test_rows_of_nan_are_refused_or_kept_as_asked(tmp_path, form):
    options = {"sites": SITES, "attention": form}
    texts = make_texts([8])
    with pytest.raises(InterpError, match=r"NaN or infinite at position 2 of d0.*nonfinite"):
        interp.record(Blind(), texts, tmp_path / "a.h5", **options)
    interp.record(Blind(), texts, tmp_path / "b.h5", nonfinite="store", **options)
    with interp.open(tmp_path / "b.h5") as recording:
        (name,) = recording.attention_sites
        if form == "full":
            found = recording.attention(name, 0, 0)
            assert np.isnan(found[2, :3]).all() and np.isfinite(np.delete(found, 2, 0)).all()
        else:
            values = recording.attention_statistics(name)["entropy"][:, 0]
            assert np.flatnonzero(np.isnan(values)).tolist() == [2]


class Looking(nn.Module):
    """A recurrent net whose attention sees what it is fed at once, and no more."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(98, 8)
        self.lstm = nn.LSTM(8, 8, batch_first=True)

    def forward(self, ids, state=None):
        hidden, state = self.lstm(self.embedding(ids), state)
        unseen = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        scores = (hidden @ hidden.transpose(-2, -1)).masked_fill(unseen, -torch.inf)
        mixed = torch.softmax(scores, -1) @ hidden
        return mixed @ self.embedding.weight.T, state


def test_attention_that_does_not_reach_back_over_windows_is_refused(tmp_path):
    adapter = CharacterAdapter(Looking().eval())
    options = {"sites": [*SITES, "lstm/l0/hidden"]}
    interp.record(adapter, make_texts([30, 12]), tmp_path / "a.h5", window=30, **options)
    with interp.open(tmp_path / "a.h5") as recording:
        (name,) = recording.attention_sites
        np.testing.assert_allclose(recording.attention(name, 1).sum(-1), 1, atol=2e-3)
    with pytest.raises(InterpError, match="does not reach back over windows.*longer --window"):
        interp.record(adapter, make_texts([30]), tmp_path / "b.h5", window=20, **options)


@pytest.mark.parametrize(
    "choice",
    [{"attention": "stats"}, {"attention_dtype": "uint8"}, {"attention_keys": "all"}],
    ids=lambda choice: next(iter(choice)),
)
@pytest.mark.parametrize("batches", [False, True])
def test_a_choice_about_maps_where_none_are_recorded_is_refused(tmp_path, choice, batches):
    model = nn.LSTM(3, 4, batch_first=True).eval() if batches else make_transformer()
    corpus = [torch.randn(2, 5, 3)] if batches else make_texts([5, 4])
    ((name, value),) = choice.items()
    message = rf"--{name.replace('_', '-')} {value} is about .*'\*\*/attention'"
    with pytest.raises(InterpError, match=message):
        interp.record(model, corpus, tmp_path / "run.h5", sites=["**/output"], **choice)
    assert not (tmp_path / "run.h5").exists()
