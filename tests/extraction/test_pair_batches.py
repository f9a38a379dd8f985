"""Batches of an encoder–decoder: source and target streams, lengths of both, cross-attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import pad

import interp
from interp.errors import CorpusError, InterpError
from interp.extraction.stopping import Interrupted

PAIRS = [(5, 3), (2, 6), (4, 4), (7, 1), (3, 2)]
OPTIONS = {"dtype": "float32", "attention_dtype": "float32"}


def drawn(n, seed, low=3):
    return torch.randint(low, 40, (n,), generator=torch.Generator().manual_seed(seed))


def padded(rows, value, n=None, side="right"):
    """Rows as one tensor, and the mask of what is real."""
    longest = n or max(map(len, rows))
    ends = [(0, longest - len(row)) if side == "right" else (longest - len(row), 0) for row in rows]
    tensors = [pad(row, end, value=value) for row, end in zip(rows, ends, strict=True)]
    masks = [pad(torch.ones_like(row), end) for row, end in zip(rows, ends, strict=True)]
    return torch.stack(tensors), torch.stack(masks)


SOURCES = [drawn(n, i) for i, (n, _) in enumerate(PAIRS)]
TARGETS = [drawn(n, 100 + i) for i, (_, n) in enumerate(PAIRS)]


@pytest.fixture(scope="module")
def t5():
    from transformers.models.t5.configuration_t5 import T5Config
    from transformers.models.t5.modeling_t5 import T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=40, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return T5ForConditionalGeneration(config).eval()


SITES = [
    "encoder.block.1.layer.0.SelfAttention/attention",
    "decoder.block.1.layer.0.SelfAttention/attention",
    "decoder.block.1.layer.1.EncDecAttention/attention",
    "decoder.block.1.layer.1.EncDecAttention/query",
    "decoder.block.1.layer.1.EncDecAttention/key",
    "encoder.final_layer_norm/output",
    "decoder.final_layer_norm/output",
]
STREAMS = [
    ("source", "source"), ("target", "target"), ("target", "source"),
    ("target", None), ("source", None), ("source", None), ("target", None),
]  # fmt: skip


def batches_of(kind, groups=((0, 1), (2,), (3, 4)), n=None):
    """The pairs in batches, as `kind` has them."""
    for group in groups:
        sources = [SOURCES[i] for i in group]
        targets = [TARGETS[i] for i in group]
        side = "left" if kind == "left" else "right"
        source, mask = padded(sources, 0, n, side)
        batch = {"input_ids": source, "attention_mask": mask}
        if kind == "labels":
            # The model itself makes its decoder's input of these.
            batch["labels"] = padded(targets, -100, n)[0]
        else:
            # What T5 makes of labels: shifted, from the start token.
            read = [torch.cat([torch.zeros(1, dtype=torch.int64), row[:-1]]) for row in targets]
            target, target_mask = padded(read, 0, n, side)
            batch["decoder_input_ids"], batch["decoder_attention_mask"] = target, target_mask
        yield batch


def check(path, model):
    """Compare a recording with each pair alone."""
    with interp.open(path) as recording:
        assert recording.verify().ok
        assert list(recording.streams) == ["source", "target"]
        for stream, side in (("source", 0), ("target", 1)):
            lengths = np.diff(recording.streams[stream].document_start)
            assert lengths.tolist() == [pair[side] for pair in PAIRS]
        known = {**recording.sites, **recording.attention_sites}
        for name, streams in zip(SITES, STREAMS, strict=True):
            assert (known[name].stream, known[name].key_stream) == streams, name
        for i, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
            with torch.no_grad(), interp.Recorder(model, sites=SITES) as recorder:
                model(input_ids=source[None], labels=target[None])
            for name in recording.attention_sites:
                found, expected = recording.attention(name, i), recorder[name][0]
                np.testing.assert_allclose(found, expected, atol=1e-6)
                assert (recording.key_range(name, i)[-1] == [0, expected.shape[2]]).all()
            for name, site in recording.sites.items():
                start = recording.streams[site.stream].document_start
                expected = recorder[name][0]
                if expected.ndim == 3:
                    expected = expected.transpose(0, 1).flatten(1)
                found = recording[name][start[i] : start[i + 1]]
                np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["masks", "labels", "left"])
def test_dictionaries_of_hugging_face(tmp_path, t5, kind):
    interp.record(t5, list(batches_of(kind)), tmp_path / "a.h5", sites=SITES, **OPTIONS)
    check(tmp_path / "a.h5", t5)


@pytest.mark.parametrize("kind", ["masks", "labels"])
def test_source_and_target_padded_to_one_length(tmp_path, t5, kind):
    """As tokenizers pad to a maximum: no axis tells its stream by its length."""
    interp.record(t5, list(batches_of(kind, n=9)), tmp_path / "a.h5", sites=SITES, **OPTIONS)
    check(tmp_path / "a.h5", t5)


@pytest.mark.parametrize("form", ["top-p:0.9", "stats"])
def test_other_forms_and_a_run_that_is_continued(tmp_path, t5, form):
    calls = iter(range(3))

    def stopping(model, batch):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return model(**batch)

    options = OPTIONS | {"sites": SITES, "attention": form, "commit_interval_s": 0.0}
    batches = list(batches_of("masks"))
    with pytest.raises(Interrupted):
        interp.record(t5, batches, tmp_path / "a.h5", forward=stopping, **options)
    interp.record(t5, batches, tmp_path / "a.h5", resume=True, **options)
    interp.record(t5, batches, tmp_path / "b.h5", **options)
    with interp.open(tmp_path / "a.h5") as found, interp.open(tmp_path / "b.h5") as whole:
        assert found.fingerprint == whole.fingerprint
        statistics = found.attention_statistics(SITES[2])
        assert set(statistics) - {"kept", "kept_mass"} == {"entropy", "maximum", "first_mass"}
        assert statistics["entropy"].shape == (sum(n for _, n in PAIRS), 4)


class Translator(nn.Module):
    """Someone's own: a source is read, a target attends to it, both masked."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(40, 16)
        self.transformer = nn.Transformer(16, 2, 1, 1, 24, batch_first=True)

    def forward(self, source, target, source_padding, target_padding):
        causal = nn.Transformer.generate_square_subsequent_mask(target.shape[1]).isinf()
        return self.transformer(
            self.embedding(source), self.embedding(target), tgt_mask=causal,
            src_key_padding_mask=source_padding, tgt_key_padding_mask=target_padding,
            memory_key_padding_mask=source_padding,
        )  # fmt: skip


OWN = ["transformer.encoder.layers.0.self_attn/attention",
       "transformer.decoder.layers.0.self_attn/attention",
       "transformer.decoder.layers.0.multihead_attn/attention",
       "transformer.encoder/output", "transformer.decoder/output"]  # fmt: skip


def own_batches(groups, n_more=0):
    for group in groups:
        sources = [SOURCES[i] for i in group]
        targets = [TARGETS[i] for i in group]
        source, source_mask = padded(sources, 0, max(map(len, sources)) + n_more)
        target, target_mask = padded(targets, 0)
        yield source, target, source_mask, target_mask


def run_own(model, batch):
    source, target, source_mask, target_mask = batch
    return model(source, target, source_mask == 0, target_mask == 0)


@pytest.mark.parametrize("say", ["lengths", "masks"])
@pytest.mark.filterwarnings("ignore")
def test_a_model_of_ones_own_says_the_lengths_of_both(tmp_path, say):
    torch.manual_seed(0)
    model = Translator().eval()

    def lengths(batch):
        masks = {"source": batch[2], "target": batch[3]}
        return masks if say == "masks" else {name: mask.sum(1) for name, mask in masks.items()}

    # The first batch doesn't tell source from target, both have four positions.
    batches = list(own_batches([(2,), (0, 1), (3, 4)]))
    interp.record(
        model, batches, tmp_path / "a.h5", sites=OWN, forward=run_own, lengths=lengths, **OPTIONS
    )
    order = [2, 0, 1, 3, 4]
    with interp.open(tmp_path / "a.h5") as recording:
        known = {**recording.sites, **recording.attention_sites}
        found = [(known[name].stream, known[name].key_stream) for name in OWN]
        assert found == [("source", "source"), ("target", "target"), ("target", "source"),
                         ("source", None), ("target", None)]  # fmt: skip
        assert recording.attention_sites[OWN[1]].keys == "causal"
        for document, i in enumerate(order):
            (batch,) = own_batches([(i,)])
            with torch.no_grad(), interp.Recorder(model, sites=OWN) as recorder:
                run_own(model, batch)
            for name in OWN[:3]:
                maps = recording.attention(name, document)
                np.testing.assert_allclose(maps, recorder[name][0], atol=1e-6)
            for name in OWN[3:]:
                start = recording.streams[known[name].stream].document_start
                rows = recording[name][start[document] : start[document + 1]]
                np.testing.assert_allclose(rows, recorder[name][0], atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_cross_attention_alone(tmp_path):
    model, batches = Translator().eval(), list(own_batches([(0, 1), (3, 4)]))
    interp.record(
        model, batches, tmp_path / "a.h5", sites=OWN[2], forward=run_own,
        lengths=lambda batch: {"source": batch[2], "target": batch[3]},
    )  # fmt: skip
    with interp.open(tmp_path / "a.h5") as recording:
        assert list(recording.streams) == ["source", "target"]
        assert [recording.attention(OWN[2], i).shape for i in range(4)] == [
            (2, target, source) for source, target in (PAIRS[i] for i in (0, 1, 3, 4))
        ]


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_told_is_refused_by_name(tmp_path, t5):
    model = Translator().eval()

    def record(batches, message, error=InterpError, **more):
        options = {"sites": OWN[:3], "forward": run_own} | OPTIONS | more
        with pytest.raises(error, match=message):
            interp.record(more.pop("model", model), batches, tmp_path / "a.h5", **options)

    several = list(own_batches([(0, 1), (3, 4)]))
    record(several, r"multihead_attn/attention has 6 queries and 5 keys.*lengths=lambda batch")
    same = list(own_batches([(2,), (2,)]))
    masks = {"lengths": lambda batch: {"source": batch[2], "target": batch[3]}}
    record(same, r"padded to one length \(4\) in all of the first 2 batches", CorpusError, **masks)
    counts = {"lengths": lambda b: {"source": b[2].sum(1), "target": b[3].sum(1)}}
    further = list(own_batches([(0, 1)], n_more=2))
    record(
        further, r"an axis of 7 positions, where a batch has 5 of the source.*give masks", **counts
    )
    one = {"lengths": lambda batch: {"source": batch[2]}}
    record(several, "a mapping of 'source' and 'target'", CorpusError, **one)
    nothing = {"labels": torch.full((1, 3), -100), "input_ids": torch.ones(1, 4, dtype=torch.int64)}
    with pytest.raises(CorpusError, match="labels has a row of -100 alone"):
        interp.record(t5, [nothing], tmp_path / "a.h5", sites=SITES)
    untold = {"encoder_outputs": (torch.randn(1, 4, 16),), "labels": torch.ones(1, 3).long()}
    with pytest.raises(CorpusError, match="does not tell the lengths of the source"):
        interp.record(t5, [untold], tmp_path / "a.h5", sites=SITES)
