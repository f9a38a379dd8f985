"""Labels of the user's own, from a table or an array, per position or per word."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from interp.annotations.alignment import words_to_positions
from interp.annotations.recordings import MadeAnnotation, text_stream
from interp.errors import InterpError, unknown_name

_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}
_NONE = {"", "nan", "na", "none", "null"}
#: Columns that say where a label belongs, not what it is.
_PLACES = ("document", "word", "token", "position", "start", "end")


def labels_from_file(
    recording: Any,
    file: Path | str,
    name: str | None = None,
    column: str | None = None,
    per: str | None = None,
    align: str = "last",
    kind: str | None = None,
    stream: str | None = None,
) -> list[MadeAnnotation]:
    """Return annotations read from a CSV, TSV, JSONL or NumPy file.

    Parameters
    ----------
    recording : Recording
    file : Path
        ``.npy`` or ``.npz``: one value per position. A table: one row per position or per word.
        Columns ``document`` (name or number), ``word``, ``start`` and ``end`` (characters within
        the document) say where a row belongs; all others are labels. A row of JSONL may also
        hold lists: the words and labels of one document.
    name : str, optional
        Of the annotation, when there is one. Default: the column, or the file's name.
    column : str, optional
        The only column to take.
    per : {"position", "word"}, optional
        Default: word if the table says where its words are, else position. Words without a place
        are those between blanks.
    align : {"first", "last", "mean"}
        Which positions of a word carry its label; ``"mean"``: all of them, and probes average
        the activations over the word.
    kind : {"binary", "categorical", "numeric"}, optional
        Default: told from the values.
    stream : str, optional

    Raises
    ------
    InterpError
        If the file cannot be read, has the wrong number of rows, or a word is not in the text.
    """
    file = Path(file)
    columns = _read(file)
    if column is not None:
        if column not in columns:
            raise InterpError(unknown_name(f"column of {file}", column, columns))
        columns = {k: v for k, v in columns.items() if k == column or k in _PLACES}
    labels = {k: v for k, v in columns.items() if k == column or k not in _PLACES}
    if not labels:
        raise InterpError(f"{file} has no column of labels; it has {', '.join(columns)}.")
    if name is not None and len(labels) > 1:
        raise InterpError(
            f"{file} has {len(labels)} columns of labels ({', '.join(labels)}), which cannot all "
            f"be called {name!r}; choose one with --column."
        )
    has_place = "word" in columns or "start" in columns
    if (per or ("word" if has_place else "position")) == "word":
        return _per_word(recording, file, columns, labels, name, align, kind, stream)
    where = recording.streams[stream] if stream in recording.streams else recording.stream(stream)
    made = []
    for label, values in labels.items():
        if len(values) != where.n_positions:
            raise InterpError(
                f"{file} has {len(values):,} values, but stream {where.name!r} has "
                f"{where.n_positions:,} positions: one value per position is needed, or a table "
                "that says where its words are (columns document, and word or start and end)."
            )
        called = name or label
        found, coded, categories, has_missing = encode_values(values, called, kind)
        said = {"file": file.name, "per": "position", "has_missing": has_missing}
        made.append(MadeAnnotation(called, found, coded, where.name, categories, said))
    return made


def encode_values(
    values: Sequence[Any], name: str, kind: str | None = None
) -> tuple[str, np.ndarray, list[str] | None, bool]:
    """Return kind, stored values and categories of labels as they come from a file.

    Empty cells and NaN are positions without a label. Yes and no with such gaps are numbers
    0, 1 and NaN, since a stored bool cannot be missing.

    Parameters
    ----------
    values : sequence
        Strings, numbers, bools or None.
    name : str
        For messages.
    kind : {"binary", "categorical", "numeric"}, optional

    Returns
    -------
    kind : str
    values : ndarray (n,)
    categories : list of str or None
    has_missing : bool
    """
    texts = ["" if v is None else v.strip() if isinstance(v, str) else str(v) for v in values]
    missing = np.array([text.lower() in _NONE for text in texts], bool)
    known = {text for text, gone in zip(texts, missing.tolist(), strict=True) if not gone}
    if kind is None:
        kind = _guess(known)
    if kind == "categorical":
        categories = sorted(known)
        place = {text: i for i, text in enumerate(categories)}
        codes = np.array([place.get(text, -1) for text in texts], np.int32)
        return kind, codes, categories, bool(missing.any())
    try:
        number = {t: _number(t, binary=kind == "binary") for t in known}
    except ValueError as error:
        raise InterpError(f"{name} is to be {kind}, but has the value {error}.") from None
    numbers = np.array([number.get(text, math.nan) for text in texts], np.float64)
    if kind == "binary" and not missing.any():
        return kind, numbers == 1, None, False
    return "numeric", numbers, None, bool(missing.any())


def _guess(known: set[str]) -> str:
    try:
        for text in known:
            _number(text, binary=True)
        return "binary"
    except ValueError:
        pass
    try:
        for text in known:
            _number(text, binary=False)
        return "numeric"
    except ValueError:
        return "categorical"


def _number(text: str, binary: bool) -> float:
    low = text.lower()
    if low in ("true", "yes"):
        return 1.0
    if low in ("false", "no"):
        return 0.0
    try:
        value = float(text)
    except ValueError:
        raise ValueError(repr(text)) from None
    if not math.isfinite(value) or (binary and value not in (0, 1)):
        raise ValueError(repr(text))
    return value


def _read(file: Path) -> dict[str, list[Any]]:
    """Return the columns of a file by name."""
    if not file.is_file():
        raise InterpError(f"There is no file {file}.")
    ending = file.suffix.lower()
    try:
        if ending in (".npy", ".npz"):
            return _read_numpy(file)
        if ending in (".jsonl", ".ndjson"):
            return _read_jsonl(file)
        if ending in (".csv", ".tsv", ".txt"):
            return _read_csv(file, "\t" if ending == ".tsv" else ",")
    except (ValueError, OSError, csv.Error) as error:
        raise InterpError(f"{file} cannot be read: {error}.") from error
    raise InterpError(f"{file} is none of .csv, .tsv, .txt, .jsonl, .npy, .npz.")


def _read_numpy(file: Path) -> dict[str, list[Any]]:
    loaded = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        arrays = {file.stem: loaded}
    else:
        with loaded:
            arrays = {key: loaded[key] for key in loaded.files}
    for key, array in arrays.items():
        if array.ndim != 1:
            raise ValueError(f"{key} has shape {array.shape}, one value per position is needed")
    return {key: array.tolist() for key, array in arrays.items()}


def _read_csv(file: Path, delimiter: str) -> dict[str, list[Any]]:
    with file.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.reader(stream, delimiter=delimiter))
    if not rows or not rows[0]:
        raise ValueError("it is empty")
    header = rows[0]
    if len(header) == 1 and _guess({header[0].strip()} - _NONE) != "categorical":
        return {file.stem: [row[0] if row else "" for row in rows]}
    if len(header) > 1:
        rows = [row for row in rows if row]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header) and (row or len(header) > 1):
            raise ValueError(f"row {number} has {len(row)} cells, the header has {len(header)}")
    return {
        key.strip(): [row[i] if row else "" for row in rows[1:]] for i, key in enumerate(header)
    }


def _read_jsonl(file: Path) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    lines = [line for line in file.read_text("utf-8").splitlines() if line.strip()]
    if not lines:
        raise ValueError("it is empty")
    for number, line in enumerate(lines, 1):
        row = json.loads(line)
        row = row if isinstance(row, dict) else {file.stem: row}
        row = {{"words": "word", "labels": "label"}.get(k, k): v for k, v in row.items()}
        lengths = {len(v) for v in row.values() if isinstance(v, list)}
        if len(lengths) > 1:
            raise ValueError(f"line {number} has lists of different lengths")
        n = lengths.pop() if lengths else 1
        if columns and set(row) != set(columns):
            raise ValueError(f"line {number} has the keys {', '.join(row)}, not those of line 1")
        for key, value in row.items():
            columns.setdefault(key, []).extend(value if isinstance(value, list) else [value] * n)
    return columns


def _per_word(
    recording: Any,
    file: Path,
    columns: dict[str, list[Any]],
    labels: dict[str, list[Any]],
    name: str | None,
    align: str,
    kind: str | None,
    stream: str | None,
) -> list[MadeAnnotation]:
    where = text_stream(recording, stream)
    n_rows = len(next(iter(labels.values())))
    rows_of = _rows_of_documents(where, columns, n_rows, file)
    encoded = {
        label: encode_values(values, name or label, kind) for label, values in labels.items()
    }
    pieces: dict[str, list[np.ndarray]] = {label: [] for label in labels}
    numbered, n_words = [], 0
    for document, rows in zip(where.documents, rows_of, strict=True):
        words = _spans(document, columns, rows, file)
        order = np.argsort(words[:, 0], kind="stable")
        for label, (coded_kind, values, _, _) in encoded.items():
            # Positions outside words have no label, which a stored bool cannot say.
            values = values.astype(np.float64) if coded_kind == "binary" else values
            missing = -1 if coded_kind == "categorical" else np.nan
            found, word = words_to_positions(
                words[order], values[rows[order]], document.spans, align, missing
            )
            pieces[label].append(found)
        numbered.append(np.where(word >= 0, word + n_words, -1))
        n_words += len(rows)
    said = {"file": file.name, "per": "word", "align": align, "has_missing": True}
    made = []
    for label, (coded_kind, _, categories, _) in encoded.items():
        stored = "numeric" if coded_kind == "binary" else coded_kind
        values = np.concatenate(pieces[label])
        made.append(
            MadeAnnotation(name or label, stored, values, where.name, categories, dict(said))
        )
    if align == "mean":
        word_name = f"{made[0].name}.word"
        for annotation in made:
            annotation.parameters["word"] = word_name
        number = np.concatenate(numbered).astype(np.float64)
        number[number < 0] = np.nan
        made.append(MadeAnnotation(word_name, "numeric", number, where.name, None, dict(said)))
    return made


def _rows_of_documents(
    stream: Any, columns: dict[str, list[Any]], n_rows: int, file: Path
) -> list[np.ndarray]:
    """Return the rows of the table that belong to each document."""
    documents = stream.documents
    if "document" in columns:
        place: dict[Any, int] = {}
        for given in dict.fromkeys(columns["document"]):
            is_number = str(given).isdigit() and str(given) not in documents.names
            place[given] = documents[int(given) if is_number else str(given)].index
        at = np.array([place[given] for given in columns["document"]], np.int64)
        return [np.flatnonzero(at == i) for i in range(len(documents))]
    if "word" in columns or "start" in columns:
        if len(documents) > 1:
            raise InterpError(
                f"{file} does not say which document its words are in: {stream.name!r} has "
                f"{len(documents)}. Add a column document with names or numbers."
            )
        return [np.arange(n_rows)]
    counts = [len(re.findall(r"\S+", document.text)) for document in documents]
    if sum(counts) != n_rows:
        raise InterpError(
            f"{file} has {n_rows:,} rows, but the text has {sum(counts):,} words between blanks."
        )
    edges = np.concatenate([[0], np.cumsum(counts)])
    return [np.arange(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def _spans(
    document: Any, columns: dict[str, list[Any]], rows: np.ndarray, file: Path
) -> np.ndarray:
    """Return the character spans of a document's words, in the order of the rows."""
    text = document.text
    if "start" in columns and "end" in columns:
        try:
            spans = [[int(columns[k][row]) for k in ("start", "end")] for row in rows.tolist()]
        except ValueError as error:
            raise InterpError(f"{file}: start and end are characters ({error}).") from None
        found = np.array(spans, np.int64).reshape(-1, 2)
        wrong = (found[:, 0] < 0) | (found[:, 1] > len(text)) | (found[:, 0] >= found[:, 1])
        if wrong.any():
            row = int(rows[wrong.argmax()])
            raise InterpError(
                f"{file}: row {row + 1} is characters {columns['start'][row]} to "
                f"{columns['end'][row]} of {document.name!r}, which has {len(text):,}."
            )
        return found
    if "word" not in columns:
        return np.array([m.span() for m in re.finditer(r"\S+", text)], np.int64).reshape(-1, 2)
    at, found_spans = 0, []
    for row in rows.tolist():
        word = str(columns["word"][row])
        start = text.find(word, at)
        if start < 0 or not word:
            raise InterpError(
                f"{file}: the word {word!r} of row {row + 1} does not occur in {document.name!r} "
                f"after character {at}; words come in the order of the text."
            )
        at = start + len(word)
        found_spans.append((start, at))
    return np.array(found_spans, np.int64).reshape(-1, 2)
