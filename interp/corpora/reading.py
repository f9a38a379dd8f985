"""From what the user names to documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interp import arguments
from interp.corpora import standard_library
from interp.corpora.documents import Corpus, Document, as_corpus
from interp.corpora.text_files import DEFAULT_GLOB, list_files, missing, read_text
from interp.errors import CorpusError, unknown_name
from interp.wording import kind_of

PathLike = str | Path
#: A path, several, documents by name, or documents.
CorpusLike = PathLike | Sequence[PathLike] | Sequence[Document] | Mapping[str, str] | Corpus

JSON_LINES = (".jsonl", ".ndjson")


def read_corpus(
    source: CorpusLike,
    *,
    glob: str | None = None,
    lines: bool = False,
    field: str | None = None,
    encoding: str = "utf-8",
) -> Corpus:
    """Return the documents that `source` names, in a fixed order.

    Parameters
    ----------
    source : path, sequence of paths, mapping of name to text, sequence of Document, or Corpus
        A file is one document; a directory, its files in the order of their paths. Strings are
        paths, never text: give text as ``{"name": text}``. ``"stdlib:test"`` names the files of
        the running Python's standard library that the bundled models were not trained on (also
        ``stdlib:train``, ``stdlib:validation``, ``stdlib:all``).
    glob : str, optional
        Which files of a directory, such as ``"**/*.py"``; all visible ones by default.
    lines : bool
        Every non-blank line of a file is a document.
    field : str, optional
        Files are JSON lines, and this field holds the text; ``"text"`` for files that end in
        ``.jsonl`` or ``.ndjson``.
    encoding : str
        Of the files.

    Raises
    ------
    CorpusError
        If a path is missing or not text, a line is not what was said, or nothing holds text.
    """
    if isinstance(source, Corpus):
        return source
    lines = arguments.flag("lines", lines)
    arguments.text("encoding", encoding)
    for option, value in (("glob", glob), ("field", field)):
        if value is not None:
            arguments.text(option, value)
    if isinstance(source, Mapping):
        return as_corpus([_given(n, t) for n, t in source.items()], "the given mapping")
    paths = [source] if isinstance(source, str | Path) else list(source)
    if paths and all(isinstance(item, Document) for item in paths):
        return as_corpus(paths, "the given list")  # type: ignore[arg-type]
    if not paths:
        raise CorpusError(
            f"The corpus is empty: {kind_of(source)} that holds no path, no document, no batch."
        )
    if not all(isinstance(item, str | Path) for item in paths):
        raise CorpusError(
            "A corpus is a path, a list of paths, a mapping of name to text or a list of "
            f"Document; got {_kind(source)}. Batches of a DataLoader also need "
            "forward=lambda model, batch: ..."
        )
    if lines and field is not None:
        raise CorpusError("A corpus is read either by lines or by a JSON field, not both.")
    documents: list[Document] = []
    noun = "file"
    for path in map(Path, paths):  # type: ignore[arg-type]
        if str(path).startswith(standard_library.SCHEME):
            part = standard_library.read_part(str(path))
            documents += [Document(file.name, file.text) for file in part]
            continue
        for name, file in files_of(path, glob, prefix=len(paths) > 1):
            found = _documents(name, file, lines, field, encoding)
            if [document.name for document in found] != [name]:
                noun = "document"
            documents += found
    return as_corpus(documents, ", ".join(str(path) for path in paths), noun)


def _given(name: object, text: object) -> Document:
    if not isinstance(text, str):
        raise CorpusError(
            f"A mapping given as corpus names texts; {name!r:.60} is {kind_of(text)}. Decode "
            "bytes; batches are a list of them, with forward=lambda model, batch: ..."
        )
    return Document(str(name), text)


def _kind(source: Any) -> str:
    if isinstance(source, Sequence) and not isinstance(source, str) and len(source):
        return f"{type(source).__name__} of {type(source[0]).__name__}"
    return type(source).__name__


def files_of(path: Path, glob: str | None, prefix: bool) -> list[tuple[str, Path]]:
    """Return (name to show, file) for one path of the corpus."""
    if path.is_dir():
        files = list_files(path, glob or DEFAULT_GLOB)
        return [((file if prefix else file.relative_to(path)).as_posix(), file) for file in files]
    if not path.exists():
        raise missing(path)
    return [(path.as_posix(), path)]


def _documents(
    name: str, file: Path, lines: bool, field: str | None, encoding: str
) -> list[Document]:
    if field is not None or (file.suffix in JSON_LINES and not lines):
        return _json_documents(name, read_text(file, encoding), field or "text")
    if lines:
        rows = read_text(file, encoding).split("\n")
        return [
            Document(f"{name}:{number}", row.removesuffix("\r"))
            for number, row in enumerate(rows, 1)
            if row.strip()
        ]
    return [Document(name, read_text(file, encoding))]


def _json_documents(name: str, text: str, field: str) -> list[Document]:
    documents = []
    for number, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        try:
            record = json.loads(row)
        except json.JSONDecodeError as error:
            raise CorpusError(
                f"{name}:{number} is not a JSON line: {error.msg} at column {error.colno}. "
                "For plain text with one document per line use --lines."
            ) from error
        if not isinstance(record, dict):
            raise CorpusError(f"{name}:{number} is {kind_of(record)}, not an object.")
        if field not in record:
            raise CorpusError(
                unknown_name(f"field in {name}:{number}", field, record, "Choose with --field.")
            )
        if not isinstance(record[field], str):
            kind = type(record[field]).__name__
            raise CorpusError(f"{name}:{number}: field {field!r} is {kind}, not text.")
        documents.append(Document(f"{name}:{number}", record[field]))
    return documents
