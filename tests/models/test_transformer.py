"""The character Transformer: causal, the same at every place, and seen by the recorder."""

import numpy as np
import pytest
import torch

import interp
from interp.models.characters import build
from interp.models.transformer import TransformerConfig, rotary_angles, rotate
from interp.training.loop import document_losses

CONFIG = TransformerConfig(n_layers=2, n_heads=2, n_embedding=16, context_length=12)


@pytest.fixture
def adapter():
    torch.manual_seed(0)
    return build(CONFIG.to_dict())


def test_no_position_sees_what_comes_later(adapter):
    ids = torch.randint(1, 98, (2, 12))
    changed = ids.clone()
    changed[:, 7:] = 1 + (changed[:, 7:] % 97)
    with torch.no_grad():
        (one, _), (other, _) = adapter.module(ids), adapter.module(changed)
    assert torch.allclose(one[:, :7], other[:, :7], atol=1e-6)
    assert not torch.allclose(one[:, 7:], other[:, 7:], atol=1e-3)


def test_a_score_depends_on_the_distance_only():
    cosine, sine = rotary_angles(20, 8)
    query, key = torch.randn(8), torch.randn(8)
    turned_query, turned_key = (rotate(x.expand(20, 8), cosine, sine) for x in (query, key))
    scores = turned_query @ turned_key.T
    for distance in (0, 3, 11):
        diagonal = scores.diagonal(-distance)
        assert torch.allclose(diagonal, diagonal[0].expand_as(diagonal), atol=1e-5)
    assert scores[0, 0] == pytest.approx(float(query @ key), rel=1e-5)


def test_the_recorder_sees_every_head(adapter):
    with interp.Recorder(adapter.module, sites=["**/attention"]) as recorder:
        adapter.module(torch.randint(1, 98, (3, 9)))
    assert list(recorder.sites) == ["blocks.0.attention/attention", "blocks.1.attention/attention"]
    maps = recorder["blocks.1.attention/attention"]
    assert maps.shape == (3, 2, 9, 9)
    assert torch.allclose(maps.sum(-1), torch.ones(3, 2, 9), atol=1e-5)
    assert float(maps.triu(1).abs().max()) == 0


def test_more_characters_than_it_sees_are_refused(adapter):
    with pytest.raises(ValueError, match="13 characters at once; this model sees 12"):
        adapter.module(torch.ones(1, 13, dtype=torch.long))


@pytest.mark.parametrize("length", [2, 5, 12, 13, 14, 19, 25, 40])
def test_losses_of_a_long_document_take_the_most_context(adapter, length):
    document = np.random.default_rng(0).integers(1, 98, length)
    losses = document_losses(adapter, document)
    assert losses.shape == (length - 1,)
    for target in range(1, length):
        # The first window holds 12 characters; later ones begin every 6.
        start = 0 if target <= 12 else -(-(target - 12) // 6) * 6
        ids = torch.from_numpy(document[start:target])[None]
        with torch.no_grad():
            logits, _ = adapter.module(ids)
        expected = -torch.log_softmax(logits[0, -1], -1)[document[target]]
        assert losses[target - 1] == pytest.approx(float(expected), abs=1e-4)
