"""`record` of batches with attention: padding, unknown lengths, windows, resuming."""

from __future__ import annotations

import tempfile
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import interp
from interp.errors import InterpError
from interp.extraction.stopping import Interrupted

NAME = "layers.1.self_attn/attention"


@pytest.fixture(autouse=True)
def no_word_of_the_fast_path():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def encoder():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()


def padded(lengths, seed=0):
    rng = torch.Generator().manual_seed(seed)
    batches = []
    for group in lengths:
        x = torch.randn(len(group), max(group), 16, generator=rng)
        batches.append({"x": x, "lengths": torch.tensor(group)})
    return batches


def forward(model, batch):
    mask = torch.arange(batch["x"].shape[1]) >= batch["lengths"][:, None]
    return model(batch["x"], src_key_padding_mask=mask)


LENGTHS = [[5, 9, 1], [7, 7], [2, 3, 6]]


@pytest.mark.parametrize("form", ["full", "top-p:0.9", "stats"])
def test_padded_batches_are_their_rows_alone(tmp_path, form):
    model, batches = encoder(), padded(LENGTHS)
    sites = ["**/attention", "**/query", "layers.0/output"]
    options = {"sites": sites, "dtype": "float32", "attention_dtype": "float32"}
    interp.record(model, batches, tmp_path / "a.h5", forward=forward, attention=form, **options)
    rows = [
        {"x": batch["x"][i : i + 1, :n], "lengths": torch.tensor([n])}
        for batch in batches
        for i, n in enumerate(batch["lengths"].tolist())
    ]
    interp.record(model, rows, tmp_path / "b.h5", forward=forward, attention=form, **options)
    with interp.open(tmp_path / "a.h5") as found, interp.open(tmp_path / "b.h5") as alone:
        assert found.verify().ok
        assert found.streams["text"].document_start.tolist() == [0, 5, 14, 15, 22, 29, 31, 34, 40]
        query = found["layers.1.self_attn/query"]
        assert found.sites["layers.1.self_attn/query"].n_heads == 2
        np.testing.assert_allclose(query[:], alone["layers.1.self_attn/query"][:], atol=1e-5)
        for name, site in found.attention_sites.items():
            assert site.keys == "document"
            for what, values in alone.attention_statistics(name).items():
                if what != "kept":
                    close = found.attention_statistics(name)[what][:]
                    np.testing.assert_allclose(
                        close, values[:], atol=0.1 if form != "stats" else 1e-4
                    )
            for document in range(8 if form == "full" else 0):
                expected = alone.attention(name, document)
                np.testing.assert_allclose(found.attention(name, document), expected, atol=1e-6)


def test_a_model_that_does_not_mask_padding_is_refused(tmp_path):
    with pytest.raises(InterpError, match=r"attends to padding in position 0 of document 0"):
        interp.record(
            encoder(), padded(LENGTHS), tmp_path / "a.h5", sites=["**/attention"],
            forward=lambda model, batch: model(batch["x"]),
        )  # fmt: skip


def test_unknown_lengths_mean_whole_rows(tmp_path):
    batches = [torch.randn(3, 6, 16), torch.randn(2, 4, 16)]
    summary = interp.record(encoder(), batches, tmp_path / "a.h5", sites=["**/attention"])
    assert "2 attention sites with 4 heads: full maps as float16" in str(summary)
    with interp.open(tmp_path / "a.h5") as recording:
        assert not recording.sites
        assert recording.attention(NAME, 2).shape == (2, 6, 6)
        assert recording.attention(NAME, 3).shape == (2, 4, 4)
        np.testing.assert_allclose(recording.attention(NAME, 4).sum(-1), 1, atol=2e-3)


class Windowed(nn.Module):
    """Self-attention inside windows, as Swin has it: windows are rows of the batch."""

    def __init__(self, window):
        super().__init__()
        self.window = window
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        batch, n, width = x.shape
        parts = self.qkv(x).view(batch * n // self.window, self.window, 3, 2, 4)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = torch.softmax(query @ key.transpose(-2, -1), -1) @ value
        return mixed.transpose(1, 2).reshape(batch, n, width)


@pytest.mark.parametrize("form", ["full", "top-p:0.8"])
def test_windows_are_stored_with_their_key_range(tmp_path, form):
    torch.manual_seed(0)
    model = nn.Sequential(Windowed(4), Windowed(6)).eval()
    batches = [torch.randn(2, 12, 8) for _ in range(2)]
    interp.record(model, batches, tmp_path / "a.h5", sites=["**/attention"], attention=form)
    with torch.no_grad(), interp.Recorder(model, sites="**/attention") as recorder:
        model(batches[1])
    with interp.open(tmp_path / "a.h5") as recording:
        assert recording.verify().ok
        for name, window in (("0/attention", 4), ("1/attention", 6)):
            maps = recorder[name].numpy().reshape(2, 12 // window, 2, window, window)
            assert recording.key_range(name, 0)[[0, window]].tolist() == [
                [0, window],
                [window, 2 * window],
            ]
            found = recording.attention(name, 3)
            for i in range(12 // window):
                part = slice(i * window, (i + 1) * window)
                if form == "full":
                    np.testing.assert_allclose(found[:, part, part], maps[1, i], atol=3e-4)
                assert np.all(found[:, part, part].sum(-1) >= 0.79)
                found[:, part, part] = 0
            assert not found.any()


@pytest.mark.parametrize("form", ["full", "top-p:0.9", "stats"])
def test_a_stopped_run_of_batches_continues_to_equal_maps(tmp_path, form):
    batches = padded([[3, 5], [4], [6, 2], [1, 1], [7]])
    options = {"sites": ["**/attention", "layers.0/output"], "attention": form}
    options |= {"commit_interval_s": 0.0}
    calls = iter(range(4))

    def stopping(model, batch):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return forward(model, batch)

    path = tmp_path / "a.h5"
    with pytest.raises(Interrupted):
        interp.record(encoder(), batches, path, forward=stopping, **options)
    # Bytes of a batch that was not finished stand behind what the log tells of.
    for file in (tmp_path / "a.h5.parts").glob("attention*.bin"):
        with open(file, "ab") as stream:
            stream.write(b"rest of an interrupted batch")
    interp.record(encoder(), batches, path, forward=forward, resume=True, **options)
    interp.record(encoder(), batches, tmp_path / "b.h5", forward=forward, **options)
    with interp.open(path) as found, interp.open(tmp_path / "b.h5") as whole:
        assert found.fingerprint == whole.fingerprint
        assert found.verify().ok


@pytest.fixture(scope="module")
def llama():
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaModel

    torch.manual_seed(0)
    return LlamaModel(
        LlamaConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=16, vocab_size=40,
        )
    ).eval()  # fmt: skip


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    batch_size=st.integers(1, 4),
    side=st.sampled_from(["left", "right"]),
    form=st.sampled_from(["full", "full", "stats"]),
)
@settings(max_examples=12)
def test_batch_size_and_side_of_padding_change_nothing(llama, lengths, batch_size, side, form):
    ids = [torch.randint(40, (n,), generator=torch.Generator().manual_seed(n)) for n in lengths]

    def batches(size):
        for i in range(0, len(ids), size):
            group = ids[i : i + size]
            longest = max(map(len, group)) + 2 * (size > 1)
            pads = [(longest - len(row), 0) if side == "left" else (0, longest - len(row))
                    for row in group]  # fmt: skip
            pad = torch.nn.functional.pad
            rows = [pad(row, by) for row, by in zip(group, pads, strict=True)]
            mask = [pad(torch.ones_like(row), by) for row, by in zip(group, pads, strict=True)]
            yield {"input_ids": torch.stack(rows), "attention_mask": torch.stack(mask)}

    options = {"sites": ["**/attention", "layers.1.self_attn/query", "layers.0/output"]}
    options |= {"dtype": "float32", "attention_dtype": "float32", "attention": form}
    options |= {"attention_keys": "all" if max(lengths) < 4 else "auto"}
    with tempfile.TemporaryDirectory() as folder:
        for name, size in (("a.h5", batch_size), ("b.h5", 1)):
            interp.record(llama, list(batches(size)), f"{folder}/{name}", **options)
        with interp.open(f"{folder}/a.h5") as found, interp.open(f"{folder}/b.h5") as alone:
            assert found.streams["text"].document_start.tolist() == [0, *np.cumsum(lengths)]
            hidden, expected = found["layers.0/output"][:], alone["layers.0/output"][:]
            np.testing.assert_allclose(hidden, expected, atol=1e-5)
            for site in found.attention_sites:
                for what, values in alone.attention_statistics(site).items():
                    close = found.attention_statistics(site)[what][:]
                    np.testing.assert_allclose(close, values[:], atol=1e-4)
                for document in range(len(lengths) if form == "full" else 0):
                    maps = found.attention(site, document)
                    np.testing.assert_allclose(maps, alone.attention(site, document), atol=1e-6)


class Sliding(nn.Module):
    """Causal attention that looks back a few positions, or to both sides."""

    def __init__(self, before, behind):
        super().__init__()
        self.before, self.behind, self.qkv = before, behind, nn.Linear(8, 24)

    def forward(self, x):
        query, key, value = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        apart = torch.arange(x.shape[1])[None] - torch.arange(x.shape[1])[:, None]
        seen = (apart >= -self.before) & (apart <= self.behind)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return x + mixed.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("form", ["full", "top-p:0.9", "stats"])
@pytest.mark.parametrize("lengths", [(1, 2, 12, 3), (3, 12, 9), (12, 3)])
def test_a_short_first_batch_does_not_decide_the_layout(tmp_path, form, lengths):
    torch.manual_seed(0)
    model = nn.Sequential(Sliding(3, 0), Sliding(2, 2), Sliding(20, 0)).eval()
    batches = [torch.randn(2, n, 8) for n in lengths]
    options = {"sites": "**/attention", "attention": form, "attention_dtype": "float32"}
    interp.record(model, batches, tmp_path / "a.h5", commit_interval_s=0.0, **options)
    with interp.open(tmp_path / "a.h5") as recording:
        assert recording.verify().ok
        sites = list(recording.attention_sites.values())
        assert [site.keys for site in sites] == ["window:4", "window:3:2", "causal"]
        for site, before, behind in zip(sites, (3, 2, 20), (0, 2, 0), strict=True):
            for document in range(2 * len(lengths)):
                n = lengths[document // 2]
                at = np.arange(n)
                expected = np.maximum(at - before, 0), np.minimum(at + behind + 1, n)
                found = recording.key_range(site.name, document)
                assert (found == np.stack(expected, 1)).all()
                if form == "stats":
                    continue
                with torch.no_grad(), interp.Recorder(model, sites=site.name) as recorder:
                    model(batches[document // 2])
                maps = recorder[site.name][document % 2].numpy()
                kept = recording.attention(site.name, document)
                if form == "full":
                    np.testing.assert_allclose(kept, maps, atol=1e-6)
                np.testing.assert_allclose(kept[kept > 0], maps[kept > 0], atol=1e-6)


def test_a_run_that_is_continued_narrows_by_all_batches(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(Sliding(3, 0)).eval()
    batches = [torch.randn(2, n, 8) for n in (2, 12, 3, 5)]
    options = {"sites": "**/attention", "commit_interval_s": 0.0}
    calls = iter(range(3))

    def stopping(model, batch):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return model(batch)

    with pytest.raises(Interrupted):
        interp.record(model, batches, tmp_path / "a.h5", forward=stopping, **options)
    interp.record(model, batches, tmp_path / "a.h5", resume=True, **options)
    interp.record(model, batches, tmp_path / "b.h5", **options)
    with interp.open(tmp_path / "a.h5") as found, interp.open(tmp_path / "b.h5") as whole:
        assert found.attention_sites["0/attention"].keys == "window:4"
        assert found.fingerprint == whole.fingerprint
    interp.record(model, batches, tmp_path / "c.h5", attention_keys="all", **options)
    with interp.open(tmp_path / "c.h5") as every:
        assert every.attention_sites["0/attention"].keys == "document"
