"""A Hugging Face tokenizer: ids and character spans of a text, and what each token says.

Byte-level vocabularies spell bytes by letters (``Ġthe``, ``âĢ``); here every token is shown as the
text it stands for. A token that ends within a character is shown by its bytes, ``<0xF0><0x9F>``,
and several positions then share that character.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from interp.models.token_alignment import spans_by_search

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
#: How sentence-piece vocabularies spell a space.
_SPACE = "\u2581"


def _shown_as_bytes(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    bad = error.object[error.start : error.end]
    return "".join(f"<0x{byte:02X}>" for byte in bad), error.end


codecs.register_error("interp.bytes", _shown_as_bytes)


def byte_letters() -> dict[str, int]:
    """Return which byte each letter of a byte-level vocabulary stands for.

    The printable bytes of Latin-1 stand for themselves, the other 68 follow from U+0100 on
    (Radford et al. 2019, GPT-2).
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(256 + i): byte for i, byte in enumerate(others)}


class Tokens:
    """The tokenizer of a model.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        With offsets where it can give them.
    n_ids : int
        Entries of the vocabulary, at least; models are often built with some more than the
        tokenizer has.
    """

    def __init__(self, tokenizer: Any, n_ids: int = 0) -> None:
        self.tokenizer = tokenizer
        self._n_ids = max(n_ids, len(tokenizer))
        self._special = set(tokenizer.all_special_ids)

    @cached_property
    def vocabulary(self) -> list[str]:
        """The string of every id."""
        return [
            piece if raw is None else raw.decode("utf-8", "interp.bytes")
            for piece, raw in zip(self._pieces, self._bytes, strict=True)
        ]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that decides how a text is cut, in hexadecimal."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is not None:
            said = backend.to_str()
        else:
            said = json.dumps(self.tokenizer.get_vocab(), sort_keys=True)
        special = {name: str(token) for name, token in self.tokenizer.special_tokens_map.items()}
        text = json.dumps([type(self.tokenizer).__name__, special, said], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def encode(self, text: str, *, as_target: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of a text, special tokens included, and their character spans.

        Parameters
        ----------
        text : str
            Of any length.
        as_target : bool
            Cut it as a text to be written, for tokenizers that tell the two apart.

        Returns
        -------
        ids : ndarray (n_positions,) int64
        spans : ndarray (n_positions, 2) int64
            Empty for tokens that the tokenizer adds.

        Raises
        ------
        CorpusError
            If the tokenizer gives no offsets and its tokens are not found in the text.
        """
        fast = bool(getattr(self.tokenizer, "is_fast", False))
        given: dict[str, Any] = {"text_target" if as_target else "text": text}
        said = self.tokenizer(
            **given, return_offsets_mapping=fast, return_special_tokens_mask=True, verbose=False
        )
        ids = np.asarray(said["input_ids"], np.int64)
        added = np.asarray(said["special_tokens_mask"], bool)
        if fast:
            spans = np.asarray(said["offset_mapping"], np.int64).reshape(-1, 2)
            # A special token that stands in the text itself has a place there.
            added &= spans[:, 0] == spans[:, 1]
            spans = self._with_spaces(text, ids, spans, added)
        else:
            pieces = self.tokenizer.convert_ids_to_tokens(ids.tolist())
            spans = spans_by_search(text, pieces, added, self.tokenizer)
        return ids, _in_order(spans, added)

    def decode(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """Return the string of each id."""
        return [self.vocabulary[int(i)] for i in np.asarray(ids).tolist()]

    def text_of(self, ids: Sequence[int] | np.ndarray) -> tuple[str, np.ndarray]:
        """Return the text that ids spell, and their spans in it; special tokens spell nothing."""
        parts = []
        for i in np.asarray(ids).tolist():
            raw = self._bytes[i] if i < len(self._bytes) else b""
            parts.append(b"" if i in self._special else raw if raw is not None else b"")
        whole = b"".join(parts)
        first_byte, place = [], 0
        text = []
        for character in whole.decode("utf-8", "surrogateescape"):
            escaped = "\udc80" <= character <= "\udcff"
            first_byte.append(place)
            place += 1 if escaped else len(character.encode())
            text.append("\ufffd" if escaped else character)
        starts = np.asarray(first_byte, np.int64)
        edges = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        # A token's characters: from the one that holds its first byte to the one with its last.
        first = np.searchsorted(starts, edges[:-1], side="right") - 1
        last = np.searchsorted(starts, edges[1:] - 1, side="right")
        empty = edges[:-1] == edges[1:]
        first[empty] = np.searchsorted(starts, edges[:-1][empty], side="left")
        last[empty] = first[empty]
        return "".join(text), np.stack([first, last], axis=1)

    @cached_property
    def _pieces(self) -> list[str]:
        known = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        pieces = [f"<{i}>" if piece is None else piece for i, piece in enumerate(known)]
        return pieces + [f"<{i}>" for i in range(len(pieces), self._n_ids)]

    @cached_property
    def _bytes(self) -> list[bytes | None]:
        """What each token spells; None for special ones and those that spell nothing."""
        spell = self._speller()
        n_known = len(self.tokenizer)
        added = self.tokenizer.added_tokens_decoder
        # Added tokens stand for themselves, except that some tokenizers add those of bytes.
        literal = {i for i in added if not _BYTE_TOKEN.fullmatch(self._pieces[i])}
        return [
            None if i in self._special or i >= n_known
            else piece.encode("utf-8", "surrogatepass") if i in literal
            else spell(piece)
            for i, piece in enumerate(self._pieces)
        ]  # fmt: skip

    def _speller(self) -> Any:
        kinds = self._kinds()
        if "ByteLevel" in kinds:
            letters = byte_letters()

            def from_letters(piece: str) -> bytes:
                if all(letter in letters for letter in piece):
                    return bytes(letters[letter] for letter in piece)
                return piece.encode("utf-8", "surrogatepass")

            return from_letters

        def from_sentence_piece(piece: str) -> bytes:
            byte = _BYTE_TOKEN.fullmatch(piece)
            if byte:
                return bytes([int(byte[1], 16)])
            return piece.replace(_SPACE, " ").encode("utf-8", "surrogatepass")

        return from_sentence_piece

    def _kinds(self) -> set[str]:
        """Return the kinds of the parts of the tokenizer."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            return set()
        said = json.loads(backend.to_str())
        found: set[str] = set()
        waiting = [said.get("decoder"), said.get("pre_tokenizer")]
        while waiting:
            part = waiting.pop()
            if isinstance(part, dict):
                found.add(str(part.get("type")))
                waiting += [*part.get("decoders", ()), *part.get("pretokenizers", ())]
        return found

    def _with_spaces(
        self, text: str, ids: np.ndarray, spans: np.ndarray, added: np.ndarray
    ) -> np.ndarray:
        """Return spans that hold the white space with which a token begins.

        Many tokenizers cut it off the offsets, although it is part of the token.
        """
        spans = spans.copy()
        before = 0
        for i, index in enumerate(ids.tolist()):
            if added[i] or index >= len(self.vocabulary):
                continue
            token = self.vocabulary[index]
            n_space = len(token) - len(token.lstrip())
            first, stop = spans[i].tolist()
            if n_space and text[before : before + len(token)] == token:
                spans[i] = before, before + len(token)
            elif 0 < n_space <= first - before and text[first - n_space : first] == token[:n_space]:
                spans[i, 0] = first - n_space
            before = max(before, int(spans[i, 1]))
        return spans


def _in_order(spans: np.ndarray, added: np.ndarray) -> np.ndarray:
    """Return spans in which each added token stands empty between its neighbours."""
    spans = spans.copy()
    place = 0
    for i in range(len(spans)):
        if added[i]:
            spans[i] = place
        place = max(place, int(spans[i, 1]))
    return spans
