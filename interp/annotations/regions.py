"""Stretches of text with delimiters, and the tracks painted from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

#: How delimiters count: by the state after reading each character, as inside, or as outside.
DELIMITERS = ("state", "in", "out")


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
        the last one of the closing delimiter has left it.
        """
        if delimiters == "in":
            return slice(self.start, self.stop)
        inner = self.start + self.opening
        if delimiters == "out":
            return slice(inner, self.stop - self.closing)
        first = inner if self.is_word or not self.opening else inner - 1
        return slice(first, self.stop - (1 if self.closing else 0))


def paint(n_characters: int, regions: Iterable[Region], delimiters: str = "state") -> np.ndarray:
    """Return the characters inside any of the regions, shape (n_characters,), bool."""
    track = np.zeros(n_characters, bool)
    for region in regions:
        track[region.inside(delimiters)] = True
    return track


def paint_depth(
    n_characters: int, regions: Iterable[Region], delimiters: str = "state"
) -> np.ndarray:
    """Return how many regions each character is inside of, shape (n_characters,), int32."""
    change = np.zeros(n_characters + 1, np.int32)
    for region in regions:
        inside = region.inside(delimiters)
        if inside.start < inside.stop:
            change[inside.start] += 1
            change[inside.stop] -= 1
    return np.cumsum(change[:n_characters], dtype=np.int32)
