"""Induction heads on fresh repetitions: planted ones are found, look-alikes are not."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import interp
from interp.cli.main import app
from interp.errors import InterpError
from probes.heads.circuits import Circuits, find_circuits
from probes.heads.induction import detect_induction
from probes.heads.repeats import plain_tokens, repeated_documents
from probes.heads.scores import score_heads
from probes.heads.sources import ArrayMaps
from tests.probes.heads.planted_models import N_TOKENS, LeastRecentlySeen, PlantedAdapter


@pytest.fixture(scope="module")
def planted():
    return detect_induction(PlantedAdapter(), n_documents=24)


def _head(report, number):
    return next(h for h in report.heads if h.head.endswith(f":{number}"))


def test_a_planted_induction_head_is_found_and_it_alone(planted):
    assert planted.induction_heads == ["plantedheads/attention:1"]
    head = planted.heads[0]
    assert head.is_induction and head.prefix_matching.value == pytest.approx(1, abs=1e-5)
    assert head.prefix_matching.chance < 0.06 and head.control < 0.06
    assert head.copying == pytest.approx(1)
    assert planted.loss < planted.control_loss - 3
    assert planted.accuracy > 0.5 > planted.control_accuracy
    assert planted.n_documents == 24 and planted.n_rows == head.prefix_matching.n_rows


def test_other_planted_heads_are_told_apart(planted):
    before, fixed = _head(planted, 0), _head(planted, 2)
    assert before.previous == pytest.approx(1) and not before.is_induction
    assert fixed.prefix_matching.value < 0.2 and fixed.copying == pytest.approx(-1)
    assert before.copying is None or np.isnan(before.copying)  # it writes nothing


def test_what_a_tokenizer_puts_before_any_text_comes_first(planted):
    """Maps are then one row larger, and the scored rows one later."""

    class Beginning(PlantedAdapter):
        def encode(self, text):
            return np.r_[63, np.zeros(len(text), int)], np.array([[0, 0]] + [[0, 1]] * len(text))

    report = detect_induction(Beginning(), n_documents=8)
    assert report.parameters["length"] == planted.parameters["length"] - 1
    assert report.induction_heads == ["plantedheads/attention:1"]
    assert report.heads[0].prefix_matching.value == pytest.approx(1, abs=1e-5)
    assert report.heads[0].control < 0.06


def test_a_shortcut_for_tiled_blocks_is_no_induction_head():
    """On tiled blocks it is always right and looks like one; on fresh repetitions it does not."""
    shortcut = PlantedAdapter(LeastRecentlySeen())
    rng = np.random.default_rng(0)
    tiled = [np.resize(rng.permutation(N_TOKENS)[:n], 64) for n in range(10, 20)]
    maps, seen = [], []
    for tokens in tiled:
        ids = torch.from_numpy(tokens)[None]
        with interp.Recorder(shortcut.module, sites=["**/attention"]) as recorder:
            right = shortcut.module(ids)[0, :-1].argmax(-1) == ids[0, 1:]
        maps.append(recorder["leastrecentlyseen/attention"][0].numpy())
        seen.append(right[20:].float().mean())
    assert min(seen) == 1
    score = score_heads(ArrayMaps({"a/attention": maps}, tiled), ["induction"]).scores[0]
    assert score.value > 0.3 and score.stands_out  # which would be taken for an induction head
    report = detect_induction(shortcut, n_documents=24)
    assert report.induction_heads == [] and report.heads[0].prefix_matching.value < 0.1
    assert report.accuracy < 0.2


def test_trained_two_layers_have_induction_heads_in_the_second():
    report = detect_induction("zoo:induction", n_documents=24)
    assert set(report.induction_heads) == {f"layers.1/attention:{h}" for h in range(4)}
    assert report.heads[0].prefix_matching.value > 0.8 and report.heads[0].copying > 0.9
    first = [h for h in report.heads if h.head.startswith("layers.0")]
    assert max(h.prefix_matching.value for h in first) < 0.1
    assert max(h.previous for h in first) > 0.6
    assert report.accuracy > 0.9 and report.control_accuracy < 0.1
    assert json.loads(json.dumps(report.to_dict()))["induction_heads"] == report.induction_heads


@pytest.mark.parametrize("name", ["induction-shortcut", "induction-one-layer"])
def test_nets_of_tiled_blocks_and_of_one_layer_have_none(name):
    report = detect_induction(f"zoo:{name}", n_documents=24)
    assert report.induction_heads == []
    assert report.heads[0].prefix_matching.value < 0.1 and report.accuracy < 0.15


def test_the_block_comes_twice_and_the_control_once():
    drawn = repeated_documents(range(500), 40, 60, seed=1)
    for row, distance in enumerate(drawn.distance):
        scored = np.flatnonzero(drawn.scored[row])
        second = np.r_[scored, scored[-1] + 1]
        assert 60 // 6 <= len(second) <= 60 // 3 and distance > len(second)
        assert (drawn.ids[row, second] == drawn.ids[row, second - distance]).all()
        assert (drawn.control_ids[row, second] == drawn.ids[row, second - distance]).mean() < 0.3
        rest = np.setdiff1d(np.arange(60), second)
        assert (drawn.control_ids[row, rest] == drawn.ids[row, rest]).all()
    assert len(np.unique(drawn.distance)) > 15  # no one distance serves all


def test_random_tokens_stand_for_text():
    words = ["a", "", "[SEP]", "<pad>", "[", "<", "x\ufffd", "\n", "[1]"]
    assert plain_tokens(words).tolist() == [0, 4, 5, 7, 8]


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(InterpError, match="16 positions at least"):
        repeated_documents(range(50), 3, 8)
    with pytest.raises(InterpError, match="8 different ones"):
        repeated_documents([1, 2, 3], 3, 32)
    with pytest.raises(InterpError, match="more than the model's 80"):
        detect_induction(PlantedAdapter(), length=200)
    bare = torch.nn.Linear(2, 2)
    with pytest.raises(InterpError, match="language model that predicts the next token"):
        detect_induction(bare)


def test_long_work_says_how_far_it_is_and_can_be_stopped():
    seen = []
    detect_induction(PlantedAdapter(), n_documents=12, progress=lambda *at: seen.append(at))
    assert seen == [(8, 24), (12, 24), (20, 24), (24, 24)]  # documents, controls first
    maps = ArrayMaps({"a/attention": [np.eye(4)[None]] * 3, "b/attention": [np.eye(5)[None]] * 3})
    seen.clear()
    score_heads(maps, ["self"], progress=lambda *at: seen.append(at))
    assert seen == [(n, 6) for n in range(1, 7)]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_heads(maps, ["self"], progress=stop)


def test_the_command_says_the_verdict():
    found = CliRunner().invoke(app, ["heads", "zoo:induction", "--induction", "--documents", "8"])
    assert "4 of 8 heads are induction heads" in found.stdout
    row = next(line for line in found.stdout.splitlines() if line.startswith("layers.1/"))
    assert row.split()[1] == "induction"


def test_copying_is_told_by_eigenvalues():
    rng = np.random.default_rng(0)
    ends, mix = rng.normal(size=(50, 16)), rng.normal(size=(16, 4))

    def score(value, output):
        circuits = Circuits(ends, ends.T, {"a/attention": [value]}, {"a/attention": [output]})
        return circuits.copying("a/attention")[0]

    assert score(mix, mix.T) == pytest.approx(1)
    assert score(mix, -mix.T) == pytest.approx(-1)
    assert np.isnan(score(0 * mix, mix.T))
    value, output = rng.normal(size=(2, 16, 4)), rng.normal(size=(2, 4, 16))
    whole = np.linalg.eigvals(ends @ value[0] @ output[0] @ ends.T)
    expected = whole.real.sum() / np.abs(whole).sum()
    assert score(value[0], output[0]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_weights_of_heads_are_found_by_what_they_do(kind):
    """Fused and transposed in GPT-2, grouped in Llama: compared with slices by hand."""
    import transformers

    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=N_TOKENS, n_embd=16, n_layer=1, n_head=4, bos_token_id=0, eos_token_id=0
        )
        model = transformers.GPT2LMHeadModel(config).eval()
        site, attention = "transformer.h.0.attn/attention", model.transformer.h[0].attn
        value = attention.c_attn.weight[:, 32:].reshape(16, 4, 4).transpose(0, 1)
        output = attention.c_proj.weight.reshape(4, 4, 16)
    else:
        config = transformers.LlamaConfig(
            vocab_size=N_TOKENS, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=4, num_key_value_heads=2,
        )  # fmt: skip
        model = transformers.LlamaForCausalLM(config).eval()
        site, attention = "model.layers.0.self_attn/attention", model.model.layers[0].self_attn
        value = attention.v_proj.weight.T.reshape(16, 2, 4).transpose(0, 1)[[0, 0, 1, 1]]
        output = attention.o_proj.weight.T.reshape(4, 4, 16)
    ids = torch.randint(0, N_TOKENS, (2, 12))
    with torch.no_grad():
        found = find_circuits(model, [site], ids.numpy(), lambda: model(ids).logits)
    assert np.allclose(found.value[site], value.detach()), kind
    assert np.allclose(found.output[site], output.detach())
    ends = model.get_input_embeddings().weight, model.get_output_embeddings().weight.T
    assert np.allclose(found.embedding, ends[0].detach())
    assert np.allclose(found.unembedding, ends[1].detach())
    assert len(found.copying(site)) == 4
