"""Whatever the text: ids spell it again, and spans tie every token to its place."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interp.models.tokens import Tokens, byte_letters
from tests.huggingface import tiny

# No lone surrogates: no tokenizer takes them.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
TOKENIZERS = {kind: Tokens(getattr(tiny, kind)()) for kind in ("byte_level", "byte_fallback")}


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
@example(text="<end>🙂<s>")
@example(text="a\r\n\t  b\x00c")
@example(text="e\u0301\u200d🏳️‍🌈")
def test_every_character_belongs_to_a_token_in_order(kind, text):
    tokens = TOKENIZERS[kind]
    ids, spans = tokens.encode(text)
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert (spans[1:, 0] >= spans[:-1, 0]).all() and (spans[1:, 1] >= spans[:-1, 1]).all()
    covered = {i for first, stop in spans.tolist() for i in range(first, stop)}
    assert covered == set(range(len(text)))
    if not any(word in text for word in ("<end>", "<s>", "<unk>", "<0x")):
        spelt, found = tokens.text_of(ids)
        assert spelt == text
        assert found.tolist() == spans.tolist()


def test_letters_of_bytes_are_those_of_every_byte_once():
    assert sorted(byte_letters().values()) == list(range(256))
