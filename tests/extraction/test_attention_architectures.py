"""Maps of real architectures in a file are those the recorder holds in memory, without padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import interp
from interp.errors import InterpError
from tests.attention import zoo

KEYS = {
    "llama": {"causal"},
    "bert": {"document"},
    "bloom": {"causal"},
    "gpt_neo": {"causal", "window:3"},
    "mistral": {"window:3"},
    "gemma2": {"causal", "window:3"},
    "falcon_alibi": {"causal"},
}
CASES = {case.name: case for case in zoo.CASES}


@pytest.mark.parametrize("name", KEYS)
def test_maps_in_the_file_are_the_recorders(tmp_path, name):
    torch.manual_seed(0)
    model, batch = zoo.build(CASES[name]), zoo.inputs_of(CASES[name].inputs)
    options = {"sites": ["**/attention"], "attention_dtype": "float32"}
    interp.record(model, [batch, batch], tmp_path / "run.h5", **options)
    with torch.no_grad(), interp.Recorder(model, sites="**/attention") as recorder:
        model(**batch)
    mask = batch.get("attention_mask", torch.ones(2, zoo.STEPS)).bool().numpy()
    with interp.open(tmp_path / "run.h5") as recording:
        assert {site.keys for site in recording.attention_sites.values()} == KEYS[name]
        for site in recording.attention_sites:
            for document in range(4):
                real = mask[document % 2]
                expected = recorder[site][document % 2].numpy()[:, real][:, :, real]
                np.testing.assert_array_equal(recording.attention(site, document), expected)


def test_cross_attention_of_batches_is_refused_by_name(tmp_path):
    model, batch = zoo.build(CASES["t5"]), zoo.inputs_of(CASES["t5"].inputs)
    with pytest.raises(InterpError, match=r"decoder\S+/attention .*cross-attention"):
        interp.record(model, [batch], tmp_path / "run.h5", sites=["**/attention"])
