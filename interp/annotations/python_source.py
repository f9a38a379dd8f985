"""Concepts of Python source per character, from the standard `tokenize`.

Tokens rather than a syntax tree: they are exact about delimiters, keep comments, and still label
a document that was cut off in the middle.
"""

from __future__ import annotations

import io
import token as token_types
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

import numpy as np

from interp.annotations.regions import Region, paint, paint_depth
from interp.errors import CorpusError

#: Concept name to what it means.
PYTHON_CONCEPTS = {
    "string": "inside a string literal of any kind",
    "quoted_string": "inside a string literal with single quotation marks, on one line",
    "triple_quoted_string": "inside a string literal with triple quotation marks",
    "comment": "inside a comment",
    "if_condition": "between `if` or `elif` of a statement and its colon",
    "if_body": "inside what an `if` or `elif` runs when it holds",
    "function_call": "inside the parentheses of a call",
    "bracket_depth": "number of open brackets",
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


def annotate_python(
    text: str, name: str = "the text", delimiters: str = "state"
) -> dict[str, np.ndarray]:
    """Return every concept of `PYTHON_CONCEPTS` for each character of Python source.

    Parameters
    ----------
    text : str
        Source that can be tokenized; it may end in the middle of a string or a bracket.
    name : str
        How to call it in an error message.
    delimiters : {"state", "in", "out", "apart"}
        See :meth:`interp.annotations.regions.Region.inside`.

    Returns
    -------
    dict of str to ndarray (n_characters,)
        bool for what is on or off, int32 for depths.

    Raises
    ------
    CorpusError
        If the source cannot be tokenized.
    """
    pieces = list(_merged(_pieces(text, name), text))
    literals = list(_literals(pieces))
    single = [region for region, opening in literals if not _is_triple(opening)]
    triple = [region for region, opening in literals if _is_triple(opening)]
    conditions, bodies = _if_statements(pieces)
    brackets, calls = _brackets(pieces, len(text))
    n = len(text)
    return {
        "string": paint(n, single + triple, delimiters),
        "quoted_string": paint(n, single, delimiters),
        "triple_quoted_string": paint(n, triple, delimiters),
        "comment": paint(
            n,
            (Region(p.start, p.stop, 1) for p in pieces if p.kind == tokenize.COMMENT),
            delimiters,
        ),
        "if_condition": paint(n, conditions, delimiters),
        "if_body": paint(n, bodies, delimiters),
        "function_call": paint(n, calls, delimiters),
        "bracket_depth": paint_depth(n, brackets, delimiters),
    }


def _pieces(text: str, name: str) -> Iterator[_Piece]:
    """Yield the tokens; a string that the text ends in comes as one that is not closed."""
    lines = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32) == 10
    starts = [0, *(np.flatnonzero(lines) + 1).tolist()]

    def offset(place: tuple[int, int]) -> int:
        row, column = place
        return min(starts[min(row, len(starts)) - 1] + column, len(text))

    try:
        for found in tokenize.generate_tokens(io.StringIO(text, newline="\n").readline):
            if found.type == tokenize.ERRORTOKEN and not found.string.isspace():
                # Up to Python 3.11 such a token stands for what later versions raise.
                problem = "unterminated" if found.string in ("'", '"') else "no token"
                raise tokenize.TokenError(f"{problem}: {found.string!r}", found.start)
            if found.type != tokenize.ENDMARKER:
                yield _Piece(found.type, found.string, offset(found.start), offset(found.end))
    except (tokenize.TokenError, SyntaxError) as error:
        message = str(error.args[0])
        if "multi-line statement" in message or "was never closed" in message:
            return
        start = _cut_literal(text, message, error.args[1:], offset)
        if start is None:
            raise CorpusError(
                f"{name} is not Python that can be tokenized ({message}); annotate only Python "
                "source, or name the language (--language)."
            ) from error
        yield _Piece(tokenize.STRING, text[start:], start, len(text))


def _cut_literal(
    text: str, message: str, place: tuple[Any, ...], offset: Callable[[tuple[int, int]], int]
) -> int | None:
    """Return where the string begins that the text ends in, if that is what went wrong."""
    is_triple = "multi-line string" in message or "unterminated triple-quoted" in message
    if not place or not isinstance(place[0], tuple) or not isinstance(place[0][0], int):
        return None
    if not is_triple and not message.startswith("unterminated"):
        return None
    # Python versions differ by one about columns, and in whether a prefix counts.
    near = max(0, offset((place[0][0], max(0, place[0][1] - 1))))
    marks = ('"""', "'''") if is_triple else ('"', "'")
    found = [at for at in (text.find(mark, near) for mark in marks) if 0 <= at <= near + 4]
    if not found or (not is_triple and "\n" in text[min(found) :].rstrip("\n")):
        return None
    return min(found)


def _is_triple(opening: str) -> bool:
    return opening.endswith(('"""', "'''"))


def _merged(pieces: Iterable[_Piece], text: str) -> Iterator[_Piece]:
    """Yield the pieces with every f-string as one literal, as Python up to 3.11 has it."""
    depth, start = 0, 0
    for piece in pieces:
        if piece.kind in _STARTS:
            start = start if depth else piece.start
            depth += 1
        elif piece.kind in _ENDS:
            depth -= 1
            if depth == 0:
                yield _Piece(tokenize.STRING, text[start : piece.stop], start, piece.stop)
        elif depth == 0:
            yield piece
    if depth:
        yield _Piece(tokenize.STRING, text[start:], start, len(text))


def _literals(pieces: list[_Piece]) -> Iterator[tuple[Region, str]]:
    """Yield each string literal and its opening delimiter (prefix and marks)."""
    for piece in pieces:
        if piece.kind == tokenize.STRING:
            marks = _opening(piece.string)
            n = 3 if _is_triple(marks) else 1
            is_closed = piece.string.endswith(marks[-n:]) and len(piece.string) >= len(marks) + n
            yield Region(piece.start, piece.stop, len(marks), n if is_closed else 0), marks


def _opening(literal: str) -> str:
    quote = min(i for i in (literal.find("'"), literal.find('"')) if i >= 0)
    triple = literal[quote : quote + 3] in ('"""', "'''") and literal[quote:] not in ("''", '""')
    return literal[: quote + (3 if triple else 1)]


def _brackets(pieces: list[_Piece], n: int) -> tuple[list[Region], list[Region]]:
    """Return all brackets and those of calls; one that is not closed reaches to the end."""
    brackets, calls = [], []
    open_brackets: list[tuple[int, bool]] = []
    for i, piece in enumerate(pieces):
        if piece.kind != tokenize.OP:
            continue
        if piece.string in _OPENING:
            open_brackets.append((piece.start, piece.string == "(" and _is_called(pieces, i)))
        elif piece.string in _CLOSING and open_brackets:
            start, is_call = open_brackets.pop()
            brackets.append(Region(start, piece.stop, 1, 1))
            if is_call:
                calls.append(brackets[-1])
    for start, is_call in open_brackets:
        brackets.append(Region(start, n, 1))
        if is_call:
            calls.append(brackets[-1])
    return brackets, calls


def _is_called(pieces: list[_Piece], i: int) -> bool:
    """Whether the parenthesis at piece `i` follows what can be called, outside a definition."""
    if i == 0 or pieces[i - 1].stop != pieces[i].start:
        return False
    before = pieces[i - 1]
    if before.kind == tokenize.OP:
        return before.string in _CLOSING
    defines = i > 1 and pieces[i - 2].string in ("def", "class")
    return before.kind == tokenize.NAME and not iskeyword(before.string) and not defines


def _if_statements(pieces: list[_Piece]) -> tuple[list[Region], list[Region]]:
    """Return the conditions and the bodies of `if` and `elif` statements."""
    conditions: list[Region] = []
    bodies: list[Region] = []
    begins_line, keyword, depth, lambdas = True, None, 0, 0
    for i, piece in enumerate(pieces):
        if piece.kind in _LAYOUT:
            begins_line = begins_line or piece.kind == tokenize.NEWLINE
            continue
        if piece.string in ("if", "elif") and begins_line:
            keyword, depth, lambdas = piece, 0, 0
        elif keyword is not None:
            depth += (piece.string in _OPENING) - (piece.string in _CLOSING)
            lambdas += piece.string == "lambda" and depth == 0
            if piece.string == ":" and depth == 0:
                if lambdas:
                    lambdas -= 1
                else:
                    n = len(keyword.string)
                    conditions.append(Region(keyword.start, piece.stop, n, 1, is_word=True))
                    bodies.extend(_body(pieces, i + 1))
                    keyword = None
        begins_line = False
    return conditions, bodies


def _body(pieces: list[_Piece], i: int) -> list[Region]:
    """Return the suite that begins after the colon before piece `i`."""
    if i < len(pieces) and pieces[i].kind not in _LAYOUT:
        end = i
        while end + 1 < len(pieces) and pieces[end + 1].kind not in (
            tokenize.NEWLINE,
            tokenize.COMMENT,
        ):
            end += 1
        return [Region(pieces[i].start, pieces[end].stop)]
    while i < len(pieces) and pieces[i].kind in (tokenize.NL, tokenize.COMMENT, tokenize.NEWLINE):
        i += 1
    if i + 1 >= len(pieces) or pieces[i].kind != tokenize.INDENT:
        return []
    first, last, depth = i + 1, i + 1, 1
    for j in range(i + 1, len(pieces)):
        kind = pieces[j].kind
        depth += (kind == tokenize.INDENT) - (kind == tokenize.DEDENT)
        if depth == 0:
            break
        if kind not in _LAYOUT:
            last = j
    return [Region(pieces[first].start, pieces[last].stop)]
