"""From characters and words to the positions of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np

from interp.errors import InterpError

#: Which positions of a word carry its label.
ALIGNMENTS = ("first", "last", "mean")


def to_positions(track: np.ndarray, spans: np.ndarray, delimiters: str = "state") -> np.ndarray:
    """Return the value of a track per character at each position of a document.

    With ``"state"`` that is the value at the last character read. For delimiters ``"in"`` a
    yes-or-no track is on where any of the position's characters is, for ``"out"`` where all are.
    For ``"apart"`` a position has no label, NaN, if any of its characters has none. A position
    without characters keeps the state of the text before it.

    Parameters
    ----------
    track : ndarray (n_characters,)
    spans : ndarray (n_positions, 2)
        First and one-past-last character of each position.
    delimiters : {"state", "in", "out", "apart"}

    Returns
    -------
    ndarray (n_positions,), of the type of `track`
    """
    start, stop = spans[:, 0], spans[:, 1]
    off = np.zeros(1, track.dtype)
    if track.dtype == bool and delimiters in ("in", "out"):
        counts = np.concatenate([[0], np.cumsum(track)])
        n_on = counts[stop] - counts[start]
        return n_on > 0 if delimiters == "in" else (n_on == stop - start) & (stop > start)
    found = np.concatenate([off, track])[stop]
    if delimiters == "apart" and track.dtype.kind == "f":
        n_missing = np.concatenate([[0], np.cumsum(np.isnan(track))])
        found[n_missing[stop] > n_missing[start]] = np.nan
    return found


def words_to_positions(
    words: np.ndarray, values: np.ndarray, spans: np.ndarray, align: str, missing: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return word labels at the positions of a document, and each position's word.

    Parameters
    ----------
    words : ndarray (n_words, 2)
        Character spans, rising and not overlapping.
    values : ndarray (n_words,)
    spans : ndarray (n_positions, 2)
    align : {"first", "last", "mean"}
        The first or the last position of a word carries its label; or all do, to be averaged
        over the word by the probe.
    missing : scalar
        The value where there is no label.

    Returns
    -------
    labels : ndarray (n_positions,), of the type of `values`
    word : ndarray (n_positions,) int64
        Index of the word, -1 outside words.
    """
    if align not in ALIGNMENTS:
        raise InterpError(f"Words align to positions by {', '.join(ALIGNMENTS)}, not {align!r}.")
    labels = np.full(len(spans), missing, values.dtype)
    word = np.full(len(spans), -1, np.int64)
    if len(words) == 0:
        return labels, word
    # The word whose text a position's last character belongs to, if it does.
    last_character = spans[:, 1] - 1
    candidate = np.searchsorted(words[:, 0], last_character, side="right") - 1
    inside = (candidate >= 0) & (last_character < words[candidate, 1])
    inside &= spans[:, 1] > spans[:, 0]
    word[inside] = candidate[inside]
    kept = inside.copy()
    if align != "mean":
        order = np.flatnonzero(inside)
        found = word[order]
        edge = np.ones(len(order), bool)
        if align == "first":
            edge[1:] = found[1:] != found[:-1]
        else:
            edge[:-1] = found[1:] != found[:-1]
        kept[:] = False
        kept[order[edge]] = True
    labels[kept] = values[word[kept]]
    return labels, word
