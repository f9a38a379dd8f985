"""Character spans where a tokenizer gives none: its tokens are looked for in the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interp.errors import CorpusError

#: Tokens that together make up one character, at most: bytes of UTF-8, or their pieces.
_LONGEST_GROUP = 16


def spans_by_search(
    text: str, pieces: Sequence[str], added: np.ndarray, tokenizer: Any
) -> np.ndarray:
    """Return the character span of each token.

    Every token must be found where the one before it ended, white space aside. Tokens that are
    parts of one character share its span.

    Parameters
    ----------
    text : str
        What was cut.
    pieces : sequence of str
        Its tokens as the tokenizer spells them.
    added : array (n_tokens,) of bool
        Tokens that the tokenizer added; they get an empty span.
    tokenizer : object
        With ``convert_tokens_to_string``.

    Returns
    -------
    ndarray (n_tokens, 2) int64

    Raises
    ------
    CorpusError
        If a token is not found.
    """
    spans = np.zeros((len(pieces), 2), np.int64)
    place, group = 0, []
    for i in np.flatnonzero(~added).tolist():
        group.append(i)
        said = tokenizer.convert_tokens_to_string([pieces[k] for k in group])
        found = _found(text, said, place)
        if found is None:
            partial = said == "" or "\ufffd" in said
            if partial and len(group) < _LONGEST_GROUP:
                continue
            raise _lost(text, pieces[group[0]], place, tokenizer)
        spans[group] = found
        place, group = found[1], []
    if group:
        raise _lost(text, pieces[group[0]], place, tokenizer)
    return spans


def _found(text: str, said: str, place: int) -> tuple[int, int] | None:
    if not said:
        return None
    for wanted in (said, said.strip()):
        begin = place
        while begin < len(text) and wanted and text[begin].isspace() and not wanted[0].isspace():
            begin += 1
        stop = begin + len(wanted)
        if text[begin:stop].casefold() == wanted.casefold():
            return begin, stop
    return None


def _lost(text: str, piece: str, place: int, tokenizer: Any) -> CorpusError:
    return CorpusError(
        f"The tokenizer {type(tokenizer).__name__} gives no offsets into the text, and its token "
        f"{piece!r} is not found at character {place:,} ({text[place : place + 20]!r}), so "
        "positions cannot be tied to the text. Use a tokenizer with a tokenizer.json."
    )
