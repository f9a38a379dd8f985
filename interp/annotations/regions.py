"""Stretches of text with delimiters, and the tracks painted from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

#: How delimiters count: by the state after reading each character, as inside, as outside, or not at
#: all: then they have no label.
DELIMITERS = ("state", "in", "out", "apart")


@dataclass(frozen=True)
class Region:
    """A stretch of text, such as a string literal with its marks.

    Attributes
    ----------
    start, stop : int
        First and one-past-last character, delimiters included.
    opening, closing : int
        Lengths of the delimiters; 0 where there is none.
    is_word : bool
        Whether the opening delimiter is a word such as ``if``: one knows that it has ended only
        after the next character.
    """

    start: int
    stop: int
    opening: int = 0
    closing: int = 0
    is_word: bool = False

    def inside(self, delimiters: str = "state") -> slice:
        """Return the characters that count as inside.

        With ``"state"``, the last character of the opening delimiter has opened the region and
        the last one of the closing delimiter has left it; with ``"apart"`` it is the same, and
        the delimiters are to be left without a label (:attr:`marks`).
        """
        if delimiters == "in":
            return slice(self.start, self.stop)
        inner = self.start + self.opening
        if delimiters == "out":
            return slice(inner, self.stop - self.closing)
        first = inner if self.is_word or not self.opening else inner - 1
        return slice(first, self.stop - (1 if self.closing else 0))

    @property
    def marks(self) -> tuple[slice, slice]:
        """The characters of the opening and of the closing delimiter; empty where there is none."""
        return (
            slice(self.start, self.start + self.opening),
            slice(self.stop - self.closing, self.stop),
        )


def paint(n_characters: int, regions: Iterable[Region], delimiters: str = "state") -> np.ndarray:
    """Return the characters inside any of the regions, shape (n_characters,), bool.

    With ``"apart"`` float32, NaN at every delimiter, where there is one.
    """
    regions = list(regions)
    track = np.zeros(n_characters, bool)
    for region in regions:
        track[region.inside(delimiters)] = True
    return without_marks(track, regions) if delimiters == "apart" else track


def paint_depth(
    n_characters: int, regions: Iterable[Region], delimiters: str = "state"
) -> np.ndarray:
    """Return how many regions each character is inside of, shape (n_characters,), int32.

    With ``"apart"`` float32, NaN at every delimiter, where there is one.
    """
    regions = list(regions)
    change = np.zeros(n_characters + 1, np.int32)
    for region in regions:
        inside = region.inside(delimiters)
        if inside.start < inside.stop:
            change[inside.start] += 1
            change[inside.stop] -= 1
    track = np.cumsum(change[:n_characters], dtype=np.int32)
    return without_marks(track, regions) if delimiters == "apart" else track


def without_marks(track: np.ndarray, regions: Iterable[Region]) -> np.ndarray:
    """Return a track with no label, NaN, at the delimiters of all regions.

    Parameters
    ----------
    track : ndarray (n_characters,)
    regions : iterable of Region

    Returns
    -------
    ndarray (n_characters,) float32
        The track itself, in its own type, if no region has a delimiter.
    """
    marks = [mark for region in regions for mark in region.marks if mark.start < mark.stop]
    if not marks:
        return track
    found = track.astype(np.float32)
    for mark in marks:
        found[mark] = np.nan
    return found
