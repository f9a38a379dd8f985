"""Concepts of prose per character: quotations, parentheses, sentences."""

from __future__ import annotations

import re

import numpy as np

from interp.annotations.regions import Region, paint, paint_depth

#: Concept name to what it means.
PROSE_CONCEPTS = {
    "quotation": "inside quotation marks, straight or curly",
    "quotation_depth": "number of open quotations",
    "parenthesis": "inside round brackets",
    "parenthesis_depth": "number of open round brackets",
    "sentence_position": "characters since the sentence began",
}

# A blank line ends a paragraph, and with it whatever was left open.
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_MARK = re.compile("[\"'“”„‘’‚«»‹›]")
_CLOSERS = {'"': '"', "'": "'", "“": "”", "„": "“”", "‘": "’", "‚": "‘’", "«": "»", "‹": "›"}
_SINGLE_END = re.compile(r"\S'(?!\w)")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s+[\"'“„‘«(\[]*[A-Z0-9À-ÞΑ-ΩА-Я])|\n[^\S\n]*\n")
# What ends in a full stop without ending a sentence.
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Capt|Col|Gen|vs|etc|e\.g|i\.e)|\b[A-Z])\.$"
)


def annotate_prose(text: str, delimiters: str = "state") -> dict[str, np.ndarray]:
    """Return every concept of `PROSE_CONCEPTS`, each of shape (n_characters,).

    Parameters
    ----------
    text : str
    delimiters : {"state", "in", "out", "apart"}
        See :meth:`interp.annotations.regions.Region.inside`.
    """
    n, quotations, parentheses = len(text), _quotations(text), _parentheses(text)
    return {
        "quotation": paint(n, quotations, delimiters),
        "quotation_depth": paint_depth(n, quotations, delimiters),
        "parenthesis": paint(n, parentheses, delimiters),
        "parenthesis_depth": paint_depth(n, parentheses, delimiters),
        "sentence_position": _sentence_position(text),
    }


def _paragraphs(text: str) -> list[tuple[int, int]]:
    ends = [match.start() for match in _PARAGRAPH.finditer(text)]
    return list(zip([0, *ends], [*ends, len(text)], strict=True))


def _quotations(text: str) -> list[Region]:
    found: list[Region] = []
    for start, stop in _paragraphs(text):
        stack: list[tuple[int, str]] = []
        for match in _MARK.finditer(text, start, stop):
            at, mark = match.start(), match.group()
            level = next((i for i in range(len(stack) - 1, -1, -1) if mark in stack[i][1]), None)
            if level is not None and _can_close(text, at, mark):
                # Marks inside that were left open end with the one around them.
                for opened, _ in stack[level + 1 :]:
                    found.append(Region(opened, at, 1))
                found.append(Region(stack[level][0], at + 1, 1, 1))
                del stack[level:]
            elif mark in _CLOSERS and _can_open(text, at, mark, stop):
                stack.append((at, _CLOSERS[mark]))
        found.extend(Region(opened, stop, 1) for opened, _ in stack)
    return found


def _can_close(text: str, at: int, mark: str) -> bool:
    """Whether a mark closes: a single one between letters is an apostrophe."""
    after = text[at + 1 : at + 2]
    return mark not in "'’" or not after.isalnum()


def _can_open(text: str, at: int, mark: str, stop: int) -> bool:
    """Whether a mark opens: a straight single one only before a word that another one ends."""
    if mark != "'":
        return True
    before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    if before.isalnum() or after.isspace() or not after:
        return False
    return _SINGLE_END.search(text, at + 1, stop) is not None


def _parentheses(text: str) -> list[Region]:
    found: list[Region] = []
    for start, stop in _paragraphs(text):
        stack: list[int] = []
        for match in re.compile(r"[()]").finditer(text, start, stop):
            if match.group() == "(":
                stack.append(match.start())
            elif stack:
                found.append(Region(stack.pop(), match.end(), 1, 1))
        found.extend(Region(opened, stop, 1) for opened in stack)
    return found


def _sentence_position(text: str) -> np.ndarray:
    starts = [0]
    for match in _SENTENCE_END.finditer(text):
        if _ABBREVIATION.search(text, max(0, match.start() - 12), match.start() + 1):
            continue
        after = match.end()
        while after < len(text) and text[after].isspace():
            after += 1
        starts.append(after)
    at = np.arange(len(text))
    begun = np.asarray(starts)[np.searchsorted(starts, at, side="right") - 1]
    return (at - begun + 1).astype(np.int32)
