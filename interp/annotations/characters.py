"""Concepts of any text per character: lines, words, and kinds of characters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: Concept name to what it means.
CHARACTER_CONCEPTS = {
    "line_position": "characters since the line began",
    "indentation": "columns the current line is indented by",
    "word_position": "characters since the word began; 0 outside words",
    "capital": "a capital letter",
    "digit": "a digit",
    "whitespace": "a blank, tab or line end",
}


def annotate_characters(text: str) -> dict[str, np.ndarray]:
    """Return every concept of `CHARACTER_CONCEPTS`, each of shape (n_characters,).

    Parameters
    ----------
    text : str
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    in_word = _by_character(codes, lambda c: c.isalnum() or c == "_")
    return {
        **_line_tracks(codes),
        "word_position": _run_lengths(in_word),
        "capital": _by_character(codes, str.isupper),
        "digit": _by_character(codes, str.isdigit),
        "whitespace": _by_character(codes, str.isspace),
    }


def _by_character(codes: np.ndarray, test: Callable[[str], bool]) -> np.ndarray:
    distinct, place = np.unique(codes, return_inverse=True)
    return np.array([test(chr(code)) for code in distinct.tolist()], bool)[place]


def _run_lengths(inside: np.ndarray) -> np.ndarray:
    """Return 1, 2, 3, ... along each run of True, and 0 elsewhere."""
    at = np.arange(1, len(inside) + 1)
    last_outside = np.maximum.accumulate(np.where(inside, 0, at)) if len(inside) else at
    return (at - last_outside).astype(np.int32)


def _line_tracks(codes: np.ndarray) -> dict[str, np.ndarray]:
    starts = np.concatenate([[0], np.flatnonzero(codes == 10) + 1])
    line = np.searchsorted(starts, np.arange(len(codes)), side="right") - 1
    column = (np.arange(len(codes)) - starts[line]).astype(np.int32)
    blank = (codes == 32) | (codes == 9)
    # Columns up to the first character that is not blank; a blank line is indented by its width.
    first_ink = np.full(len(starts), np.iinfo(np.int32).max, np.int32)
    np.minimum.at(first_ink, line[~blank], column[~blank])
    widths = np.diff(np.append(starts, len(codes))).astype(np.int32)
    first_ink = np.minimum(first_ink, widths)
    # While blanks are still being read, only they are known.
    indentation = np.minimum(first_ink[line], column + blank)
    return {"line_position": column + 1, "indentation": indentation.astype(np.int32)}
