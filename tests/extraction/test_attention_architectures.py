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


def whole(n_source, n_target):
    return lambda batch: {"source": torch.ones(2, n_source), "target": torch.ones(2, n_target)}


@pytest.mark.parametrize(
    ("name", "lengths"),
    [("t5", None), ("bart", None), ("whisper", whole(10, 5)),
     ("blip", lambda batch: {"source": torch.ones(2, 5), "target": batch["attention_mask"]})],
)  # fmt: skip
def test_cross_attention_of_batches_is_the_recorders(tmp_path, name, lengths):
    torch.manual_seed(0)
    model, batch = zoo.build(CASES[name]), zoo.inputs_of(CASES[name].inputs)
    options = {"sites": ["**/attention"], "attention_dtype": "float32", "lengths": lengths}
    interp.record(model, [batch, batch], tmp_path / "run.h5", **options)
    with torch.no_grad(), interp.Recorder(model, sites="**/attention") as recorder:
        model(**batch)
    masks = {"source": torch.ones(2, 10), "target": torch.ones(2, 5)}
    if name != "whisper":
        side = "target" if name == "blip" else "source"
        masks["source"] = torch.ones(2, 5)
        masks[side] = batch["attention_mask"]
    with interp.open(tmp_path / "run.h5") as recording:
        streams = {(site.stream, site.key_stream) for site in recording.attention_sites.values()}
        assert ("target", "source") in streams and ("target", "target") in streams
        for known in recording.attention_sites.values():
            for document in range(4):
                row = document % 2
                queries, keys = (
                    masks[stream][row].bool().numpy() for stream in (known.stream, known.key_stream)
                )
                expected = recorder[known.name][row].numpy()[:, queries][:, :, keys]
                found = recording.attention(known.name, document)
                np.testing.assert_array_equal(found, expected)


def test_a_source_whose_length_nothing_tells_is_refused_by_name(tmp_path):
    for name, message in (("whisper", "does not tell the lengths of the source"),
                          ("blip", r"crossattention\S+/attention .*cross-attention")):  # fmt: skip
        model, batch = zoo.build(CASES[name]), zoo.inputs_of(CASES[name].inputs)
        with pytest.raises(InterpError, match=message):
            interp.record(model, [batch], tmp_path / "run.h5", sites=["**/attention"])
