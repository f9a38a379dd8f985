"""Pairs of texts, a source and what it becomes: tables, JSON lines, lists."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp.corpora.items import Items, hash_of_texts
from interp.corpora.reading import JSON_LINES, files_of
from interp.corpora.text_files import read_text
from interp.errors import CorpusError, unknown_name
from interp.wording import count, kind_of

FIELDS = ("source", "target")
_FORMS = (
    "A pair is a line of two columns with a tab between them, a JSON line with the fields "
    "'source' and 'target' (others with --field source,target), or in Python a tuple of two texts."
)


@dataclass(frozen=True)
class Pair:
    """A source, and the target that belongs to it.

    Attributes
    ----------
    name : str
        What the user sees, such as ``words.tsv:12``.
    source : str
    target : str or None
        None when the model is to write it.
    """

    name: str
    source: str
    target: str | None


@dataclass(frozen=True)
class Pairs(Items[Pair]):
    """Pairs in the order in which a recording holds them.

    Attributes
    ----------
    pairs : tuple of Pair
        At least one.
    source : str
        Where they come from, in the user's words.
    """

    pairs: tuple[Pair, ...]
    source: str = "pairs"

    @property
    def _items(self) -> tuple[Pair, ...]:
        return self.pairs

    def hash(self) -> str:
        """Return the SHA-256 of the texts, in hexadecimal; names do not count."""
        return hash_of_texts(
            text for pair in self.pairs for text in (pair.source, pair.target or "")
        )


def read_pairs(
    corpus: Any,
    *,
    glob: str | None = None,
    field: str | None = None,
    encoding: str = "utf-8",
    with_targets: bool = True,
) -> Pairs:
    """Return the pairs that `corpus` names, in a fixed order.

    Parameters
    ----------
    corpus : path, sequence of paths, sequence of pairs, mapping of name to pair, or Pairs
        Files of two columns with a tab between them, or JSON lines; directories of such. In
        Python a pair is a tuple of source and target. Without targets a text stands for a source.
    glob : str, optional
        Which files of a directory.
    field : str, optional
        The two fields of JSON lines, ``"source,target"`` by default.
    encoding : str
        Of the files.
    with_targets : bool
        Whether the targets are needed; those that are there are ignored otherwise.

    Raises
    ------
    CorpusError
        If a path is missing, or something is no pair.
    """
    if isinstance(corpus, Pairs):
        return corpus
    if isinstance(corpus, Mapping):
        found = [_given(str(name), item, with_targets) for name, item in corpus.items()]
        return _checked(found, "the given mapping")
    if _holds_pairs(corpus, with_targets):
        found = [_given(str(i), item, with_targets) for i, item in enumerate(corpus)]
        return _checked(found, "the given list")
    paths = [corpus] if isinstance(corpus, str | Path) else list(corpus)
    if not all(isinstance(path, str | Path) for path in paths):
        raise CorpusError(f"The corpus is {kind_of(corpus)} of something else. {_FORMS}")
    fields = _fields(field, with_targets)
    found = []
    for path in map(Path, paths):
        for name, file in files_of(path, glob, prefix=len(paths) > 1):
            rows = read_text(file, encoding).split("\n")
            in_json = field is not None or file.suffix in JSON_LINES
            for number, row in enumerate(rows, 1):
                place = f"{name}:{number}"
                row = row.removesuffix("\r")
                if row.strip():
                    read = _from_json if in_json else _from_columns
                    found.append(read(place, row, fields))
    return _checked(found, ", ".join(str(path) for path in paths))


def _holds_pairs(corpus: Any, with_targets: bool) -> bool:
    if isinstance(corpus, str | Path) or not isinstance(corpus, Sequence) or not corpus:
        return False
    return all(
        isinstance(item, Pair) or (isinstance(item, tuple | list) and len(item) == 2)
        for item in corpus
    )


def _given(name: str, item: Any, with_targets: bool) -> Pair:
    if isinstance(item, Pair):
        return item
    if isinstance(item, str) and not with_targets:
        return Pair(name, item, None)
    if isinstance(item, tuple | list) and len(item) == 2 and all(isinstance(t, str) for t in item):
        return Pair(name, item[0], item[1] if with_targets else None)
    raise CorpusError(
        f"Pair {name!r} is {kind_of(item)}, not two texts. {_FORMS} To have the model write the "
        "target, use generate (--generate N)."
    )


def _fields(field: str | None, with_targets: bool) -> tuple[str, ...]:
    if field is None:
        return FIELDS if with_targets else FIELDS[:1]
    names = tuple(part.strip() for part in field.split(","))
    if len(names) != 2 and with_targets:
        raise CorpusError(
            f"--field {field} names {count(len(names), 'field')}; a pair needs two, as in "
            "--field source,target."
        )
    return names if with_targets else names[:1]


def _from_columns(place: str, row: str, fields: tuple[str, ...]) -> Pair:
    columns = row.split("\t")
    if len(columns) == 1 and len(fields) == 1:
        return Pair(place, columns[0], None)
    if len(columns) != 2:
        raise CorpusError(
            f"{place} has {count(len(columns), 'column')}, where a source, a tab and a target "
            f"are needed: {row[:40]!r}. To have the model write the target, use --generate N."
        )
    return Pair(place, columns[0], columns[1] if len(fields) == 2 else None)


def _from_json(place: str, row: str, fields: tuple[str, ...]) -> Pair:
    try:
        record = json.loads(row)
    except json.JSONDecodeError as error:
        raise CorpusError(
            f"{place} is not a JSON line: {error.msg} at column {error.colno}."
        ) from error
    if not isinstance(record, dict):
        raise CorpusError(f"{place} is {kind_of(record)}, not an object.")
    texts = []
    for name in fields:
        if name not in record:
            hint = "Choose both with --field source,target."
            raise CorpusError(unknown_name(f"field in {place}", name, record, hint))
        if not isinstance(record[name], str):
            raise CorpusError(f"{place}: field {name!r} is {kind_of(record[name])}, not text.")
        texts.append(record[name])
    return Pair(place, texts[0], texts[1] if len(texts) == 2 else None)


def _checked(pairs: list[Pair], source: str) -> Pairs:
    if not pairs:
        raise CorpusError(f"The corpus is empty: {source} holds no pair. {_FORMS}")
    for pair in pairs:
        if not pair.source.strip():
            raise CorpusError(f"{pair.name} has an empty source. {_FORMS}")
    return Pairs(tuple(pairs), source)
