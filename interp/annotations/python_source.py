"""Concepts of Python source per character, from the standard `tokenize`.

The value at a character is the state *after reading it*: the opening quotation mark of a string
is inside, the closing one is outside again. A model that has just read the closing mark should
have left the string, too.
"""

from __future__ import annotations

import io
import token as token_types
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from interp.errors import CorpusError

#: Concept name to what it means.
CONCEPTS = {
    "string": "inside a string literal of any kind",
    "quoted_string": "inside a string literal with single quotation marks, on one line",
    "triple_quoted_string": "inside a string literal with triple quotation marks",
    "comment": "inside a comment",
    "if_condition": "between `if` or `elif` of a statement and its colon",
    "bracket_depth": "number of open brackets",
    "indentation": "columns the current line is indented by",
    "line_position": "characters since the line began",
}

_OPENING, _CLOSING = set("([{"), set(")]}")
# Since Python 3.12 (t-strings: 3.14) such literals come as a start, pieces and an end.
_STARTS = {getattr(token_types, n, -1) for n in ("FSTRING_START", "TSTRING_START")} - {-1}
_ENDS = {getattr(token_types, n, -1) for n in ("FSTRING_END", "TSTRING_END")} - {-1}
_LAYOUT = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT}


@dataclass(frozen=True)
class _Piece:
    """A token with character offsets into the text."""

    kind: int
    string: str
    start: int
    stop: int


def annotate_python(text: str, name: str = "the text") -> dict[str, np.ndarray]:
    """Return every concept of `CONCEPTS` for each character of Python source.

    Parameters
    ----------
    text : str
        Source that can be tokenized.
    name : str
        How to call it in an error message.

    Returns
    -------
    dict of str to ndarray (n_characters,)
        bool for what is on or off, int32 for depths and columns.

    Raises
    ------
    CorpusError
        If the source cannot be tokenized.
    """
    pieces = list(_pieces(text, name))
    tracks = {concept: np.zeros(len(text), bool) for concept in list(CONCEPTS)[:5]}
    for start, stop, opening in _literals(pieces):
        inside = slice(start + len(opening) - 1, stop - 1)
        triple = opening.endswith(('"""', "'''"))
        tracks["string"][inside] = True
        tracks["triple_quoted_string" if triple else "quoted_string"][inside] = True
    for piece in pieces:
        if piece.kind == tokenize.COMMENT:
            tracks["comment"][piece.start : piece.stop] = True
    for start, stop in _if_conditions(pieces):
        tracks["if_condition"][start:stop] = True
    return tracks | {
        "bracket_depth": _bracket_depth(pieces, len(text)),
        **_line_tracks(text),
    }


def _pieces(text: str, name: str) -> Iterator[_Piece]:
    starts = np.concatenate([[0], np.flatnonzero(_codes(text) == 10) + 1]).tolist()
    try:
        for found in tokenize.generate_tokens(io.StringIO(text, newline="\n").readline):
            (first, column), (last, end) = found.start, found.end
            if found.type == tokenize.ENDMARKER:
                continue
            yield _Piece(
                found.type,
                found.string,
                min(starts[min(first, len(starts)) - 1] + column, len(text)),
                min(starts[min(last, len(starts)) - 1] + end, len(text)),
            )
    except (tokenize.TokenError, SyntaxError) as error:
        raise CorpusError(
            f"{name} is not Python that can be tokenized ({error}); annotate only Python source, "
            "or leave this document out."
        ) from error


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _literals(pieces: list[_Piece]) -> Iterator[tuple[int, int, str]]:
    """Yield start, stop and opening delimiter (prefix and marks) of each string literal."""
    depth, start, opening = 0, 0, ""
    for piece in pieces:
        if piece.kind == tokenize.STRING and depth == 0:
            yield piece.start, piece.stop, _opening(piece.string)
        elif piece.kind in _STARTS:
            if depth == 0:
                start, opening = piece.start, piece.string
            depth += 1
        elif piece.kind in _ENDS:
            depth -= 1
            if depth == 0:
                yield start, piece.stop, opening


def _opening(literal: str) -> str:
    quote = min(i for i in (literal.find("'"), literal.find('"')) if i >= 0)
    triple = literal[quote : quote + 3] in ('"""', "'''") and len(literal) - quote >= 6
    return literal[: quote + (3 if triple else 1)]


def _if_conditions(pieces: list[_Piece]) -> Iterator[tuple[int, int]]:
    begins_line, opened, depth, lambdas = True, -1, 0, 0
    for piece in pieces:
        if piece.kind in _LAYOUT:
            begins_line = begins_line or piece.kind == tokenize.NEWLINE
            continue
        if piece.string in ("if", "elif") and begins_line:
            opened, depth, lambdas = piece.stop, 0, 0
        elif opened >= 0:
            depth += (piece.string in _OPENING) - (piece.string in _CLOSING)
            lambdas += piece.string == "lambda" and depth == 0
            if piece.string == ":" and depth == 0:
                if lambdas:
                    lambdas -= 1
                else:
                    yield opened, piece.start
                    opened = -1
        begins_line = False


def _bracket_depth(pieces: list[_Piece], n: int) -> np.ndarray:
    change = np.zeros(n + 1, np.int32)
    for piece in pieces:
        if piece.kind == tokenize.OP:
            if piece.string in _OPENING:
                change[piece.start] += 1
            elif piece.string in _CLOSING:
                change[piece.start] -= 1
    return np.cumsum(change[:n], dtype=np.int32)


def _line_tracks(text: str) -> dict[str, np.ndarray]:
    codes = _codes(text)
    starts = np.concatenate([[0], np.flatnonzero(codes == 10) + 1])
    line = np.searchsorted(starts, np.arange(len(text)), side="right") - 1
    column = (np.arange(len(text)) - starts[line]).astype(np.int32)
    blank = (codes == 32) | (codes == 9)
    # Columns up to the first character that is not blank; a blank line is indented by its width.
    first_ink = np.full(len(starts), np.iinfo(np.int32).max, np.int32)
    np.minimum.at(first_ink, line[~blank], column[~blank])
    return {"indentation": first_ink[line], "line_position": column + 1}
