"""The character model and its adapter: text in, ids out, windows equal to one pass."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import CorpusError
from interp.models.adapter import Adapter
from interp.models.characters import PRINTABLE, CharacterAdapter, build

TINY = {"n_layers": 2, "n_hidden": 8, "n_embedding": 4}


@given(st.text(max_size=80))
def test_every_character_is_one_position(text):
    ids, spans = build({"kind": "gru", **TINY}).encode(text)
    assert spans is None
    assert len(ids) == len(text)
    known = set(PRINTABLE)
    expected = "".join(c if c in known else "\ufffd" for c in text)
    assert "".join(PRINTABLE[i] for i in ids) == expected


def test_wide_characters_of_a_custom_vocabulary():
    adapter = CharacterAdapter(torch.nn.Identity(), ["\ufffd", "a", "é", "😀"])
    assert adapter.encode("a😀é?")[0].tolist() == [1, 3, 2, 0]
    assert adapter.decode(np.array([1, 3])) == ["a", "😀"]


def test_a_vocabulary_without_unknown_refuses_and_names_the_character():
    adapter = CharacterAdapter(torch.nn.Identity(), ["a", "b"])
    with pytest.raises(CorpusError, match="'ß'"):
        adapter.encode("abß")


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_windows_with_carried_state_equal_one_pass(kind):
    adapter = build({"kind": kind, **TINY})
    assert isinstance(adapter, Adapter)
    assert kind in dict(adapter.module.named_children())
    ids = torch.arange(90).remainder(90)[None]
    with torch.inference_mode():
        whole, _ = adapter.forward(ids, torch.tensor([90]), None)
        state, pieces = None, []
        for start in range(0, 90, 32):
            piece = ids[:, start : start + 32]
            logits, state = adapter.forward(piece, torch.tensor([piece.shape[1]]), state)
            pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=1e-6)


def test_forget_gates_start_open():
    lstm = build({"kind": "lstm", **TINY}).module.lstm
    assert (lstm.bias_ih_l1[8:16] == 1).all()
    assert (lstm.bias_ih_l1[:8] != 1).all()
