"""`hf:` specifications: what is recorded is what the model computes, tied to the text."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import interp
from interp.errors import CorpusError, InterpError, ModelError
from interp.models import load
from interp.models.tokens import Tokens
from tests.huggingface import tiny

TEXTS = {
    "first": "The cat sat on the mat 🙂 with the naïve dog.",
    "second": "def add(a, b):\n    return a + b",
    "third": "x",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def gpt2(folder):
    return tiny.gpt2(folder / "gpt2")


@pytest.fixture(scope="module")
def bert(folder):
    return tiny.bert(folder / "bert")


def one_pass(adapter, text, sites):
    """Values of each site (n_positions, n_units) and log probabilities, one document alone."""
    ids = torch.from_numpy(np.asarray(adapter.encode(text)[0]))[None]
    with torch.no_grad(), interp.Recorder(adapter.module, sites=sites) as recorder:
        output = adapter.module(input_ids=ids)
    values = {site: recorder[site][0].numpy() for site in recorder.sites}
    return values, torch.log_softmax(output.logits[0].double(), -1).numpy(), ids[0].numpy()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "mistral", "bert"])
def test_values_maps_and_losses_are_those_of_each_document_alone(tmp_path, folder, kind):
    made = folder / kind
    spec = f"hf:{made}" if made.exists() else getattr(tiny, kind)(made)
    block = {"gpt2": "transformer.h.1", "bert": "bert.encoder.layer.1"}.get(kind, "model.layers.1")
    sites = [f"{block}/output", "**/attention"]
    interp.record(spec, TEXTS, tmp_path / "run.h5", sites=sites, dtype="float32",
                  attention_dtype="float32")  # fmt: skip
    adapter = load(spec).adapter
    with interp.open(tmp_path / "run.h5") as recording:
        said, start = recording.predictions, recording.streams["text"].document_start
        assert said.target == ("same" if kind == "bert" else "next")
        for index, text in enumerate(TEXTS.values()):
            values, log_p, ids = one_pass(adapter, text, sites)
            rows = slice(start[index], start[index + 1])
            for site, expected in values.items():
                if site.endswith("/attention"):
                    found = recording.attention(site, index)
                else:
                    found = recording[site][rows]
                np.testing.assert_allclose(found, expected, atol=2e-6)
            shift = 0 if kind == "bert" else 1
            loss = said.loss[rows][: len(ids) - shift]
            expected = -log_p[np.arange(len(ids) - shift), ids[shift:]]
            np.testing.assert_allclose(loss, expected, atol=1e-5)


def test_provenance_names_weights_and_tokenizer(tmp_path, gpt2):
    interp.record(gpt2, {"a": "The cat"}, tmp_path / "run.h5", sites="transformer.h.0/output")
    with interp.open(tmp_path / "run.h5") as recording:
        model = recording.provenance["model"]
    loaded = load(gpt2)
    assert model["spec"] == gpt2
    assert model["weights_hash"] == loaded.weights_hash
    assert model["tokenizer_hash"] == Tokens(tiny.byte_level()).hash
    assert model["tokenizer_hash"] != Tokens(tiny.byte_level(300)).hash


def test_byte_level_tokens_are_text_and_parts_of_a_character_are_bytes(tmp_path, gpt2):
    interp.record(gpt2, TEXTS, tmp_path / "run.h5", sites="transformer.h.0/output")
    with interp.open(tmp_path / "run.h5") as recording:
        stream = recording.streams["text"]
        document = stream.documents["first"]
        pairs = [
            (token, document.text[a:b])
            for token, (a, b) in zip(document.tokens, document.spans.tolist(), strict=True)
        ]
    parts = [pair for pair in pairs if pair[1] == "🙂"]
    assert parts == [("<0xF0>", "🙂"), ("<0x9F>", "🙂"), ("<0x99>", "🙂"), ("<0x82>", "🙂")]
    whole = [pair for pair in pairs if pair not in parts]
    assert all(token == text for token, text in whole)
    assert " cat" in dict(whole) and " naïve" in dict(whole)
    assert not any(token.startswith("Ġ") for token in stream.vocabulary)


def test_added_tokens_are_positions_with_empty_spans(bert):
    ids, spans = load(bert).adapter.encode("The cat")
    assert load(bert).adapter.decode(ids) == ["[CLS]", "the", "cat", "[SEP]"]
    assert spans.tolist() == [[0, 0], [0, 3], [4, 7], [7, 7]]


def test_a_special_token_in_the_text_keeps_its_place(gpt2):
    ids, spans = load(gpt2).adapter.encode("cat<end>cat")
    assert spans[load(gpt2).adapter.decode(ids).index("<end>")].tolist() == [3, 8]


@pytest.mark.parametrize("kind", ["byte_level", "byte_fallback"])
@pytest.mark.parametrize("text", ["The cat 🙂", "a🙂🙂é\n\tb  c", "naïve café", "日本 x", ""])
def test_ids_spell_their_text_again(text, kind):
    tokens = Tokens(getattr(tiny, kind)())
    ids, spans = tokens.encode(text)
    spelt, found = tokens.text_of(ids)
    assert spelt == text
    assert found.tolist() == spans.tolist()


def test_half_a_character_is_spelt_as_unknown():
    tokens = Tokens(tiny.byte_level())
    ids, _ = tokens.encode("a🙂")
    text, spans = tokens.text_of(ids[:-1])
    assert text.startswith("a") and set(text[1:]) == {"\ufffd"}
    assert spans[-1, 1] == len(text)


class PythonTokenizer:
    """A tokenizer without offsets: the fast one's pieces, and nothing about places."""

    is_fast = False
    all_special_ids = [3, 2]
    special_tokens_map = {}
    added_tokens_decoder = {}

    def __init__(self, pieces=None):
        self.fast = tiny.word_piece()
        self.pieces = pieces

    def __len__(self):
        return len(self.fast)

    def __call__(self, text, return_offsets_mapping, **options):
        assert not return_offsets_mapping
        return self.fast(text, return_special_tokens_mask=True)

    def convert_ids_to_tokens(self, ids):
        return self.fast.convert_ids_to_tokens(ids)

    def convert_tokens_to_string(self, pieces):
        return "".join(piece.removeprefix("##") for piece in pieces)

    def get_vocab(self):
        return self.fast.get_vocab()


def test_without_offsets_tokens_are_found_in_the_text():
    text = "The cat  sat on\nthe mat."
    ids, spans = Tokens(PythonTokenizer()).encode(text)
    expected_ids, expected = Tokens(tiny.word_piece()).encode(text)
    assert (ids == expected_ids).all()
    assert spans.tolist() == expected.tolist()


def test_without_offsets_tokens_that_are_not_there_are_refused():
    with pytest.raises(CorpusError, match=r"PythonTokenizer gives no offsets.*'\[UNK\]'"):
        Tokens(PythonTokenizer()).encode("The 🙂")


def test_longer_texts_than_the_context_are_read_in_windows(tmp_path, gpt2):
    text = "The cat sat on the mat, and the dog sat on the cat. " * 12
    sites = ["transformer.h.1/output", "**/attention"]
    interp.record(gpt2, {"a": text}, tmp_path / "run.h5", sites=sites, dtype="float32",
                  attention_dtype="float32")  # fmt: skip
    adapter = load(gpt2).adapter
    ids = torch.from_numpy(adapter.encode(text)[0])
    assert len(ids) > 128
    with interp.open(tmp_path / "run.h5") as recording:
        for begin, new in ((0, 0), (32, 32), (64, 32)):
            piece = ids[begin : begin + 64][None]
            with torch.no_grad(), interp.Recorder(adapter.module, sites=sites) as recorder:
                adapter.module(input_ids=piece)
            rows = slice(begin + new, begin + piece.shape[1])
            expected = recorder["transformer.h.1/output"][0][new:]
            np.testing.assert_allclose(
                recording["transformer.h.1/output"][rows], expected, atol=2e-6
            )
            site = "transformer.h.1.attn/attention"
            found = recording.attention(site, 0)[:, rows]
            np.testing.assert_allclose(
                found[:, :, begin : begin + piece.shape[1]], recorder[site][0][:, new:], atol=2e-6
            )
            assert (found[:, :, :begin] == 0).all()


def test_random_weights_have_the_shape_and_follow_the_seed(gpt2):
    trained, other = load(gpt2), load(gpt2, random_init=True, seed=2)
    drawn, again = (load(gpt2, random_init=True, seed=1) for _ in range(2))
    assert drawn.random_init and drawn.weights_hash == again.weights_hash
    assert len({trained.weights_hash, drawn.weights_hash, other.weights_hash}) == 3
    assert [p.shape for p in drawn.module.parameters()] == [
        p.shape for p in trained.module.parameters()
    ]


def test_random_weights_of_a_model_that_is_there_already(gpt2):
    adapter = load(gpt2).adapter
    before = {name: value.clone() for name, value in adapter.module.state_dict().items()}
    drawn = load(adapter, random_init=True, seed=5)
    assert drawn.weights_hash == load(gpt2, random_init=True, seed=5).weights_hash
    assert all((adapter.module.state_dict()[name] == value).all() for name, value in before.items())


@pytest.mark.parametrize(("asked", "found"), [("auto", "bfloat16"), ("float32", "float32")])
def test_weights_are_computed_with_in_their_own_type_or_the_one_asked_for(
    tmp_path, folder, asked, found
):
    made = folder / "half"
    if not made.exists():
        tiny.gpt2(made)
        model = load(f"hf:{made}").module.to(torch.bfloat16)
        tiny.save(made, model)
    loaded = load(f"hf:{made}", model_dtype=asked)
    assert next(loaded.module.parameters()).dtype == getattr(torch, found)
    interp.record(f"hf:{made}", TEXTS, tmp_path / "run.h5", sites="transformer.h.0/output",
                  model_dtype=asked)  # fmt: skip
    with interp.open(tmp_path / "run.h5") as recording:
        assert np.isfinite(recording["transformer.h.0/output"][:]).all()


def test_an_encoder_without_a_head_is_recorded_without_predictions(tmp_path, folder):
    spec = tiny.bert(folder / "encoder", "BertModel")
    interp.record(
        spec, TEXTS, tmp_path / "run.h5", sites=["encoder.layer.1/output", "pooler/output"]
    )
    with interp.open(tmp_path / "run.h5") as recording:
        assert recording.predictions is None
        assert recording["pooler/output"].shape == (3, 16)


def test_a_language_model_that_sees_what_comes_predicts_nothing(tmp_path, folder):
    from transformers import BertConfig, BertLMHeadModel

    tokenizer = tiny.word_piece()
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=0, **tiny.SIZES)
    spec = tiny.save(folder / "both ways", tiny.seeded(BertLMHeadModel, config), tokenizer)
    interp.record(spec, TEXTS, tmp_path / "run.h5", sites="**/attention")
    with interp.open(tmp_path / "run.h5") as recording:
        assert recording.predictions is None


def test_what_has_no_row_per_position_is_left_out_of_a_pattern_and_refused_by_name(tmp_path, gpt2):
    said = []

    class Display:
        def estimated(self, estimate):
            pass

        def advanced(self, progress):
            pass

        def said(self, message):
            said.append(message)

    interp.record(gpt2, TEXTS, tmp_path / "run.h5", sites="**/output", progress=Display())
    assert "1 site left out" in said[0] and "transformer.wpe/output" in said[0]
    with interp.open(tmp_path / "run.h5") as recording:
        assert "transformer.wpe/output" not in recording.sites
    with pytest.raises(InterpError, match=r"transformer.wpe/output has shape \(1, "):
        interp.record(gpt2, TEXTS, tmp_path / "x.h5", sites="transformer.wpe/output")


class TestRefusals:
    def test_a_directory_that_is_not_there(self, tmp_path):
        (tmp_path / "gpt2").mkdir()
        for name in ("gtp2.txt", "gtp2.gguf"):
            (tmp_path / name).touch()
        near = r"There is no directory .*/gtp2, .* Nearest names there: gpt2, gtp2\.gguf\."
        with pytest.raises(ModelError, match=near):
            load(f"hf:{tmp_path}/gtp2")

    def test_a_hub_name_is_not_downloaded_unasked(self, monkeypatch, tmp_path):
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(ModelError, match=r"neither a local directory .*--download"):
            load("hf:nobody/no-such-model")

    def test_a_directory_without_a_model(self, tmp_path):
        (tmp_path / "notes.txt").write_text("hello")
        with pytest.raises(ModelError, match=r"no config.json and no .gguf file.*notes.txt"):
            load(f"hf:{tmp_path}")

    def test_a_model_without_a_tokenizer(self, folder):
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=2)
        spec = tiny.save(folder / "mute", GPT2LMHeadModel(config))
        with pytest.raises(ModelError, match=r"has no tokenizer: .*save_pretrained"):
            load(spec)

    def test_weights_that_lack_a_part(self, folder):
        from safetensors.torch import load_file, save_file

        tiny.gpt2(folder / "torn")
        file = folder / "torn" / "model.safetensors"
        weights = load_file(file)
        del weights["transformer.h.0.ln_1.weight"]
        save_file(weights, file, metadata={"format": "pt"})
        with pytest.raises(ModelError, match=r"do not hold transformer.h.0.ln_1.weight"):
            load(f"hf:{folder}/torn")

    def test_a_model_of_sound(self, folder):
        from transformers import WhisperConfig, WhisperForConditionalGeneration

        config = WhisperConfig(
            vocab_size=20, d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8,
            encoder_attention_heads=2, decoder_attention_heads=2, decoder_ffn_dim=8,
            num_mel_bins=4, max_source_positions=8, max_target_positions=8, pad_token_id=0,
            bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, suppress_tokens=None,
            begin_suppress_tokens=None,
        )  # fmt: skip
        spec = tiny.save(folder / "sound", WhisperForConditionalGeneration(config))
        with pytest.raises(ModelError, match=r"reads input_features, not text or images"):
            load(spec)

    def test_an_architecture_that_is_not_there(self, tmp_path):
        config = {"model_type": "gpt2", "architectures": ["NoSuchModel"], "vocab_size": 5}
        (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "nosuch"}))
        with pytest.raises(ModelError, match=r"the configuration cannot be read"):
            load(f"hf:{tmp_path}")

    def test_code_of_the_model_is_not_run_nor_asked_about(self, tmp_path, monkeypatch):
        monkeypatch.setattr("builtins.input", lambda *words: pytest.fail("it asked"))
        config = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        (tmp_path / "own.py").write_text("raise SystemExit('it ran')")
        with pytest.raises(ModelError, match="the configuration cannot be read"):
            load(f"hf:{tmp_path}")

    def test_weights_and_unknown_types(self, gpt2, tmp_path):
        with pytest.raises(ModelError, match="brings its own weights"):
            load(gpt2, tmp_path / "w.pt")
        with pytest.raises(ModelError, match=r"No type to compute in named 'float8'"):
            load(gpt2, model_dtype="float8")
