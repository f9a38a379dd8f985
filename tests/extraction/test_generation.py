"""Generated texts: recorded step by step with the cache, equal to one pass over the whole."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import torch

import interp
from interp.errors import InterpError
from interp.extraction.grouped_heads import count_groups, with_heads
from interp.models import families, load
from interp.models.characters import build
from tests.extraction.conftest import make_model
from tests.extraction.test_pairs import one_pair
from tests.huggingface import tiny

PROMPTS = {"a": "The cat", "b": "def add(a", "c": "The dog sat", "d": "xyz"}
N = 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def gpt2(folder):
    return tiny.gpt2(folder / "gpt2-alone")


def one_pass(adapter, ids, sites):
    ids = torch.as_tensor(np.asarray(ids[:]).astype(np.int64))[None]
    with torch.no_grad(), interp.Recorder(adapter.module, sites=sites) as recorder:
        logits, _ = adapter.forward(ids, torch.tensor([ids.shape[1]]), None)
    values = {site: recorder[site][0].numpy() for site in recorder.sites}
    return values, torch.log_softmax(logits[0].double(), -1).numpy()


def side_by_side(site, values):
    """Heads of keys and values once, however often the kernel was given them."""
    if values.ndim == 2 or site.endswith("/attention"):
        return values
    if site.endswith("/value"):
        parts = torch.from_numpy(values)[None]
        values = with_heads(parts, count_groups(parts), site)[0].numpy()
    return values.transpose(1, 0, 2).reshape(values.shape[1], -1)


def compare(recording, index, values, atol=1e-6):
    known = {**recording.sites, **recording.attention_sites}
    assert set(values) == set(known)
    for site, expected in values.items():
        if site in recording.attention_sites:
            found = recording.attention(site, index)
        else:
            document = recording.streams[known[site].stream].documents[index]
            found = recording[site][document.positions]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=atol, err_msg=site)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "mistral"])
def test_steps_with_a_cache_equal_one_pass(tmp_path, folder, kind):
    spec = getattr(tiny, kind)(folder / kind)
    block = "transformer.h.1" if kind == "gpt2" else "model.layers.1"
    sites = [f"{block}/output", "**/attention", "**/query", "**/head_output", "**/value"]
    interp.record(spec, PROMPTS, tmp_path / "run.h5", sites=sites, dtype="float32", generate=N,
                  attention_dtype="float32", batch_size=2)  # fmt: skip
    adapter = load(spec).adapter
    with interp.open(tmp_path / "run.h5") as recording:
        stream = recording.streams["text"]
        marked = recording.annotations["generated"]
        for index, prompt in enumerate(PROMPTS.values()):
            document = stream.documents[index]
            n_prompt = len(adapter.encode(prompt)[0])
            ids = stream.token_ids[document.positions]
            values, log_p = one_pass(adapter, ids, sites)
            compare(recording, index, {site: side_by_side(site, v) for site, v in values.items()})
            # Greedy: each token is the most probable one behind those before it.
            new = ids[n_prompt:]
            assert 0 < len(new) <= N
            assert (log_p.argmax(1)[n_prompt - 1 : -1] == new).all()
            assert marked[document.positions].tolist() == [0] * n_prompt + [1] * len(new)
            assert document.text.startswith(prompt)
            assert document.text == prompt + adapter.text_of(new)[0]
            assert document.spans[:n_prompt].tolist() == adapter.encode(prompt)[1].tolist()
    with h5py.File(tmp_path / "run.h5") as file:
        said = json.loads(file["schedule"].asstr()[()])
    assert (said["generate"], said["steps"]) == (N, "one position at a time")


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_targets_written_with_a_cache_equal_teacher_forcing(tmp_path, folder, kind):
    spec = getattr(tiny, kind)(folder / kind)
    sources = {"a": "The cat sat on the mat.", "b": "beans", "c": "a b c"}
    block = "decoder.block.1" if kind == "t5" else "model.decoder.layers.1"
    sites = ["**/attention", f"{block}/output", f"{block.replace('decoder', 'encoder')}/output"]
    interp.record(spec, sources, tmp_path / "run.h5", sites=sites, dtype="float32", generate=6,
                  attention_dtype="float32")  # fmt: skip
    adapter = load(spec).adapter
    with interp.open(tmp_path / "run.h5") as recording:
        target = recording.streams["target"]
        for index, source in enumerate(sources.values()):
            ids = {
                "source": torch.from_numpy(adapter.encode(source, "source")[0])[None],
                "target": torch.from_numpy(
                    target.token_ids[target.documents[index].positions].astype(np.int64)
                )[None],
            }
            lengths = {name: torch.tensor([part.shape[1]]) for name, part in ids.items()}
            with torch.no_grad(), interp.Recorder(adapter.module, sites=sites) as recorder:
                logits, _ = adapter.forward(ids, lengths, None)
            compare(recording, index, {s: recorder[s][0].numpy() for s in recorder.sites})
            start = len(adapter.encode("", "target")[0])
            assert (logits[0].argmax(1)[start - 1 : -1] == ids["target"][0, start:]).all()
            marked = recording.annotations["generated"][target.documents[index].positions]
            assert marked.tolist() == [0] * start + [1] * (len(marked) - start)


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_characters(tmp_path, kind):
    if kind == "lstm":
        adapter, sites, steps = make_model(), ["lstm/*"], "one position at a time"
        maps = {}
    else:
        torch.manual_seed(0)
        adapter = build({"kind": "transformer", "n_layers": 2, "n_heads": 2, "n_embedding": 16,
                         "context_length": 32})  # fmt: skip
        sites, steps = ["blocks.1/output", "**/attention"], "one whole pass"
        maps = {"attention_dtype": "float32"}
    interp.record(
        adapter, PROMPTS, tmp_path / "run.h5", sites=sites, dtype="float32", generate=N, **maps
    )
    with interp.open(tmp_path / "run.h5") as recording:
        stream = recording.streams["text"]
        assert stream.is_characters
        for index, prompt in enumerate(PROMPTS.values()):
            document = stream.documents[index]
            assert len(document.text) == len(prompt) + N
            values, log_p = one_pass(adapter, stream.token_ids[document.positions], sites)
            compare(recording, index, values)
            new = stream.token_ids[document.positions][len(prompt) :]
            assert (log_p.argmax(1)[len(prompt) - 1 : -1] == new).all()
    with h5py.File(tmp_path / "run.h5") as file:
        assert json.loads(file["schedule"].asstr()[()])["steps"] == steps


def test_pairs_without_a_state_are_read_again_for_each_position(tmp_path):
    torch.manual_seed(0)
    adapter = families.build({"kind": "g2p-gru"})
    sites = ["decoder.attention/attention", "decoder.cell/hidden", "encoder/output"]
    interp.record(adapter, {"a": "cat", "b": "phone"}, tmp_path / "run.h5", sites=sites,
                  dtype="float32", generate=5, attention_dtype="float32")  # fmt: skip
    with interp.open(tmp_path / "run.h5") as recording:
        target = recording.streams["target"]
        for index, word in enumerate(["cat", "phone"]):
            wrote = target.token_ids[target.documents[index].positions].astype(np.int64)
            values, log_p, ids = one_pair(adapter, word, wrote, sites)
            compare(recording, index, values)
            assert (log_p.argmax(1)[:-1] == ids[1:]).all()


def texts_of(path):
    with interp.open(path) as recording:
        return [document.text for document in recording.streams["text"].documents]


def test_what_is_drawn_follows_the_seed_and_not_the_batch(tmp_path):
    adapter, options = make_model(), {"generate": 20, "temperature": 1.0, "sites": "**/hidden"}
    for name, more in {"a": {}, "b": {"batch_size": 1}, "c": {"seed": 1}}.items():
        interp.record(adapter, PROMPTS, tmp_path / f"{name}.h5", **options, **more)
    assert texts_of(tmp_path / "a.h5") == texts_of(tmp_path / "b.h5")
    assert texts_of(tmp_path / "a.h5") != texts_of(tmp_path / "c.h5")


def test_a_text_ends_with_the_end_token(tmp_path, gpt2):
    spec = gpt2
    adapter = load(spec).adapter
    ids = adapter.encode("The cat")[0]
    logits = adapter.module(input_ids=torch.from_numpy(ids)[None]).logits[0, -1]
    adapter.end_ids = (int(logits.argmax()),)
    interp.record(adapter, {"a": "The cat"}, tmp_path / "run.h5", sites="**/attention", generate=5)
    with interp.open(tmp_path / "run.h5") as recording:
        assert recording.streams["text"].n_positions == len(ids)
        assert recording.predictions.top_ids[len(ids) - 1, 0] == adapter.end_ids[0]


def test_a_stopped_run_goes_on(tmp_path, gpt2):
    spec, sites = gpt2, ["transformer.h.1/output", "**/attention"]
    options = {"sites": sites, "dtype": "float32", "generate": N, "attention_dtype": "float32"}
    interp.record(spec, PROMPTS, tmp_path / "whole.h5", **options)

    class Stops:
        def estimated(self, estimate):
            pass

        def said(self, message):
            pass

        def advanced(self, progress):
            if progress.done > 20:
                raise KeyboardInterrupt

    from interp.extraction.stopping import Interrupted

    with pytest.raises(Interrupted):
        interp.record(spec, PROMPTS, tmp_path / "part.h5", progress=Stops(),
                      commit_interval_s=0.0, **options)  # fmt: skip
    interp.record(spec, PROMPTS, tmp_path / "part.h5", resume=True, **options)
    with interp.open(tmp_path / "whole.h5") as whole, interp.open(tmp_path / "part.h5") as part:
        np.testing.assert_array_equal(whole[sites[0]][:], part[sites[0]][:])
        for site in whole.attention_sites:
            for index in range(len(PROMPTS)):
                np.testing.assert_array_equal(
                    whole.attention(site, index), part.attention(site, index)
                )


class TestRefusals:
    def test_too_long(self, tmp_path, gpt2):
        with pytest.raises(InterpError, match=r"With 62 generated, .* has 6\d positions.*most 64"):
            interp.record(gpt2, PROMPTS, tmp_path / "run.h5",
                          sites="**/attention", generate=62)  # fmt: skip

    def test_a_masked_model(self, tmp_path, folder):
        spec = tiny.bert(folder / "bert")
        with pytest.raises(InterpError, match="needs a model that predicts what comes next"):
            interp.record(spec, PROMPTS, tmp_path / "run.h5", sites="**/attention", generate=3)

    def test_windows_batches_and_temperatures(self, tmp_path):
        with pytest.raises(InterpError, match="leave --window and --stride out"):
            interp.record(make_model(), PROMPTS, tmp_path / "run.h5", generate=3, window=4)
        with pytest.raises(InterpError, match="temperature is for generate"):
            interp.record(make_model(), PROMPTS, tmp_path / "run.h5", temperature=1.0)
        with pytest.raises(InterpError, match="are for text; this corpus is batches"):
            interp.record(torch.nn.LSTM(2, 3), [torch.zeros(1, 2, 2)], tmp_path / "x.h5",
                          generate=3)  # fmt: skip
