"""Adapters of pairs and of images: what goes in, where it stands, and that padding is nothing."""

import numpy as np
import pytest
import torch

from interp.errors import CorpusError
from interp.models.families import build
from interp.models.pronunciation import END, PHONES, START

KINDS = ["g2p-gru", "g2p-transformer"]


@pytest.fixture(params=KINDS)
def adapter(request):
    torch.manual_seed(0)
    return build({"kind": request.param})


def test_words_and_phones_stand_where_they_stand(adapter):
    ids, spans = adapter.encode("Don't", "source")
    assert adapter.decode(ids, "source") == [*"don't", END]
    assert spans.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 5]]
    ids, spans = adapter.encode(" D OW1  N T", "target")
    assert adapter.decode(ids, "target") == [START, "D", "OW", "N", "T"]
    assert spans.tolist() == [[0, 0], [1, 2], [3, 6], [8, 9], [10, 11]]
    assert adapter.decode(adapter.encode("", "target")[0], "target") == [START]


def test_generated_phones_become_text(adapter):
    ids = np.array([PHONES.index(phone) for phone in ("N", "AY", "T", END)])
    text, spans = adapter.text_of(ids)
    assert text == "N AY T" and [text[a:b] for a, b in spans] == ["N", "AY", "T", ""]


def test_what_is_no_letter_and_no_phone_is_refused_by_name(adapter):
    with pytest.raises(CorpusError, match="'caf\xe9' holds '\xe9'"):
        adapter.encode("caf\xe9", "source")
    with pytest.raises(CorpusError, match="No phone named 'AYE'; nearest: AY"):
        adapter.encode("N AYE T", "target")


def test_padding_changes_nothing(adapter):
    def run(source, target, n):
        ids = {"source": source, "target": target}
        lengths = {"source": torch.tensor([n] * len(source)), "target": None}
        with torch.inference_mode():
            return adapter.forward(ids, lengths, None)[0]

    source = torch.randint(1, 27, (2, 6))
    target = torch.randint(2, 40, (2, 4))
    padded = torch.nn.functional.pad(source, (0, 5), value=3)
    torch.testing.assert_close(run(source, target, 6), run(padded, target, 6))


def test_a_later_phone_changes_nothing_before_it(adapter):
    source, target = torch.randint(1, 27, (1, 6)), torch.randint(2, 40, (1, 5))
    changed = target.clone()
    changed[0, 3] = 2 if target[0, 3] != 2 else 3
    with torch.inference_mode():
        one, other = (adapter.module(source, torch.tensor([6]), t) for t in (target, changed))
    torch.testing.assert_close(one[:, :3], other[:, :3])
    assert not torch.allclose(one[:, 3], other[:, 3])


def test_an_image_becomes_patches_row_by_row():
    adapter = build({"kind": "vision"})
    image = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    pixels, rectangles = adapter.encode(image)
    assert pixels.shape == (1, 8, 8) and pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[0], image / 255, atol=1e-6)
    assert rectangles.shape == (17, 4) and not rectangles[0].any()
    assert rectangles[2].tolist() == [2, 0, 4, 2] and rectangles[16].tolist() == [6, 6, 8, 8]
    covered = np.zeros((8, 8), int)
    for left, top, right, bottom in rectangles:
        covered[top:bottom, left:right] += 1
    assert (covered == 1).all()


def test_larger_and_coloured_images_are_averaged_down():
    adapter = build({"kind": "vision"})
    image = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    large = np.repeat(np.repeat(image, 3, 0), 3, 1)
    np.testing.assert_array_equal(adapter.show(np.stack([large] * 3, 2)), image)
    for shape in ((8, 9), (12, 12), (8,)):
        with pytest.raises(CorpusError, match="8 × 8 pixels or a multiple"):
            adapter.encode(np.zeros(shape, np.uint8))
