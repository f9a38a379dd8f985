"""Encoder–decoders: two streams, sites told apart by lengths, padding on neither side recorded."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import interp
from interp.corpora import read_pairs
from interp.errors import CorpusError, InterpError
from interp.models import families, load
from tests.extraction.conftest import make_model
from tests.huggingface import tiny

WORDS = [("cat", "K AE1 T"), ("phone", "F OW1 N"), ("a", "AH0"), ("tough", "T AH1 F"), ("its", "S")]
SENTENCES = [
    ("The cat sat on the mat.", "the dog sat"),
    ("beans", "A naïve café owner counted the beans back."),
    ("def add", "a"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def pronouncer(kind):
    torch.manual_seed(0)
    return families.build({"kind": kind})


def one_pair(adapter, source, target, sites):
    """What a pair alone gives: values by site, log probabilities, ids of the target."""
    given = {"source": adapter.encode(source, "source")[0], "target": target}
    if isinstance(target, str):
        given["target"] = adapter.encode(target, "target")[0]
    ids = {name: torch.as_tensor(np.asarray(part, np.int64))[None] for name, part in given.items()}
    lengths = {name: torch.tensor([part.shape[1]]) for name, part in ids.items()}
    steps = getattr(adapter, "steps", ())
    with torch.no_grad(), interp.Recorder(adapter.module, sites=sites, steps=steps) as recorder:
        logits, _ = adapter.forward(ids, lengths, None)
    values = {site: recorder[site][0].numpy() for site in recorder.sites}
    return values, torch.log_softmax(logits[0].double(), -1).numpy(), ids["target"][0].numpy()


def check(path, adapter, pairs, sites, streams):
    """Compare a recording with each pair alone; `streams` maps sites to query and key stream."""
    with interp.open(path) as recording:
        assert list(recording.streams) == ["source", "target"]
        known = {**recording.sites, **recording.attention_sites}
        for site, (stream, key_stream) in streams.items():
            assert (known[site].stream, known[site].key_stream) == (stream, key_stream), site
        start = {name: stream.document_start for name, stream in recording.streams.items()}
        for index, (source, target) in enumerate(pairs):
            values, log_p, ids = one_pair(adapter, source, target, sites)
            assert set(values) == set(known)
            for site, expected in values.items():
                if site in recording.attention_sites:
                    found = recording.attention(site, index)
                else:
                    edge = start[known[site].stream]
                    found = recording[site][edge[index] : edge[index + 1]]
                np.testing.assert_allclose(found, expected, rtol=2e-6, atol=4e-6, err_msg=site)
            rows = slice(start["target"][index], start["target"][index + 1])
            loss = recording.predictions.loss[rows]
            expected = -log_p[np.arange(len(ids) - 1), ids[1:]]
            np.testing.assert_allclose(loss[:-1], expected, atol=1e-5)
            assert np.isnan(loss[-1])
        assert recording.predictions.stream.name == "target"


@pytest.mark.parametrize(
    ("kind", "sites", "streams"),
    [
        (
            "g2p-gru",
            ["decoder.attention/attention", "decoder.cell/hidden", "encoder/*"],
            {
                "decoder.attention/attention": ("target", "source"),
                "decoder.cell/hidden": ("target", None),
                "encoder/output": ("source", None),
            },
        ),
        (
            "g2p-transformer",
            ["**/attention", "encoder.0/output", "decoder.1/output"],
            {
                "decoder.0.cross_attention/attention": ("target", "source"),
                "decoder.0.attention/attention": ("target", "target"),
                "encoder.0.attention/attention": ("source", "source"),
                "encoder.0/output": ("source", None),
                "decoder.1/output": ("target", None),
            },
        ),
    ],
)
def test_own_models_know_their_streams(tmp_path, kind, sites, streams):
    adapter = pronouncer(kind)
    interp.record(adapter, WORDS, tmp_path / "run.h5", sites=sites, dtype="float32",
                  attention_dtype="float32", batch_size=3)  # fmt: skip
    check(tmp_path / "run.h5", adapter, WORDS, sites, streams)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_hugging_face_models_know_their_streams(tmp_path, folder, kind):
    spec = getattr(tiny, kind)(folder / kind)
    block = "encoder.block.1" if kind == "t5" else "model.encoder.layers.1"
    cross = {
        "t5": "decoder.block.0.layer.1.EncDecAttention/attention",
        "bart": "model.decoder.layers.0.encoder_attn/attention",
    }[kind]
    sites = ["**/attention", f"{block}/output", f"{block.replace('encoder', 'decoder')}/output"]
    interp.record(spec, SENTENCES, tmp_path / "run.h5", sites=sites, dtype="float32",
                  attention_dtype="float32")  # fmt: skip
    streams = {cross: ("target", "source"), f"{block}/output": ("source", None)}
    check(tmp_path / "run.h5", load(spec).adapter, SENTENCES, sites, streams)


def test_streams_of_equal_length_are_told_apart(tmp_path):
    adapter = pronouncer("g2p-transformer")
    pair = [("ab", "K AE1")]  # two letters and the end, the start and two phones
    interp.record(adapter, pair, tmp_path / "run.h5", sites=["**/attention", "encoder.0/output"])
    with interp.open(tmp_path / "run.h5") as recording:
        assert [s.n_positions for s in recording.streams.values()] == [3, 3]
        site = recording.attention_sites["decoder.0.cross_attention/attention"]
        assert (site.stream, site.key_stream) == ("target", "source")
        assert recording.sites["encoder.0/output"].stream == "source"


def test_text_tokens_and_spans_of_both_streams(tmp_path):
    interp.record(pronouncer("g2p-gru"), WORDS, tmp_path / "run.h5", sites="encoder/output")
    with interp.open(tmp_path / "run.h5") as recording:
        source, target = (stream.documents[1] for stream in recording.streams.values())
        check_texts(source, target)


def check_texts(source, target):
    assert (source.text, target.text) == ("phone", "F OW1 N")
    assert source.tokens == [*"phone", "<end>"]
    assert target.tokens == ["<start>", "F", "OW", "N"]
    assert target.spans.tolist() == [[0, 0], [0, 1], [2, 5], [6, 7]]


def test_batch_size_changes_nothing(tmp_path):
    for size in (1, 5):
        interp.record(
            pronouncer("g2p-gru"), WORDS, tmp_path / f"{size}.h5", dtype="float32", batch_size=size,
            sites=["decoder.attention/attention", "decoder.cell/hidden"], attention_dtype="float32",
        )  # fmt: skip
    with interp.open(tmp_path / "1.h5") as one, interp.open(tmp_path / "5.h5") as five:
        site = "decoder.cell/hidden"
        np.testing.assert_allclose(one[site][:], five[site][:], atol=1e-6)
        for index in range(len(WORDS)):
            site = "decoder.attention/attention"
            np.testing.assert_allclose(
                one.attention(site, index), five.attention(site, index), atol=1e-6
            )


class TestFiles:
    def test_columns_json_lines_and_lists_are_the_same(self, tmp_path):
        rows = "".join(f"{source}\t{target}\n" for source, target in WORDS)
        (tmp_path / "words.tsv").write_text(rows)
        lines = [json.dumps({"source": s, "target": t}) for s, t in WORDS]
        (tmp_path / "words.jsonl").write_text("\n".join(lines))
        other = [json.dumps({"word": s, "said": t}) for s, t in WORDS]
        (tmp_path / "other.jsonl").write_text("\n".join(other))
        hashes = {
            read_pairs(WORDS).hash(),
            read_pairs({str(i): pair for i, pair in enumerate(WORDS)}).hash(),
            read_pairs(tmp_path / "words.tsv").hash(),
            read_pairs(str(tmp_path / "words.jsonl")).hash(),
            read_pairs([tmp_path / "other.jsonl"], field="word,said").hash(),
        }
        assert len(hashes) == 1
        assert read_pairs(tmp_path / "words.tsv")[1].name.endswith("words.tsv:2")

    def test_one_column(self, tmp_path):
        path = tmp_path / "words.tsv"
        path.write_text("cat\tK AE T\nphone\n")
        with pytest.raises(CorpusError, match=r"words.tsv:2 has 1 column.*--generate"):
            interp.record(pronouncer("g2p-gru"), path, tmp_path / "run.h5", sites="encoder/*")
        assert not (tmp_path / "run.h5").exists()

    def test_a_missing_field(self, tmp_path):
        path = tmp_path / "words.jsonl"
        path.write_text(json.dumps({"source": "cat", "tarjet": "K"}))
        with pytest.raises(CorpusError, match=r"No field in .*named 'target'; nearest: tarjet"):
            interp.record(pronouncer("g2p-gru"), path, tmp_path / "run.h5", sites="encoder/*")

    def test_texts_are_no_pairs(self, tmp_path):
        with pytest.raises(CorpusError, match=r"Pair 'a' is a str, not two texts.*--generate"):
            interp.record(pronouncer("g2p-gru"), {"a": "cat"}, tmp_path / "run.h5")

    def test_pairs_are_no_texts(self, tmp_path):
        with pytest.raises(CorpusError, match="reads texts, one stream of tokens; .* of pairs"):
            interp.record(make_model(), WORDS, tmp_path / "run.h5")

    def test_a_word_beyond_the_context(self, tmp_path):
        with pytest.raises(InterpError, match=r"0 has 41 positions.*reads at most 32 at once"):
            interp.record(
                pronouncer("g2p-gru"), [("a" * 40, "AH")], tmp_path / "run.h5", sites="encoder/*"
            )

    def test_an_empty_source(self, tmp_path):
        (tmp_path / "words.tsv").write_text("\tK AE T\n")
        with pytest.raises(CorpusError, match="empty source"):
            read_pairs(tmp_path / "words.tsv")
