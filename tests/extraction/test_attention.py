"""`record` with attention sites: the maps are those of each document run alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import interp
from interp.models.characters import build
from tests.extraction.conftest import make_texts

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
