"""Text from files, and the refusal of what is not text."""

from __future__ import annotations

import codecs
import os
from collections import Counter
from pathlib import Path

from interp.errors import CorpusError, nearest

DEFAULT_GLOB = "**/*"
#: Control characters that no text file holds, and many binary files do.
_BINARY = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1a\x1b")


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file, its line ends untouched, a byte-order mark removed.

    Raises
    ------
    CorpusError
        If there is no such file, it cannot be read, or it is not text in this encoding.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CorpusError(_unreadable(path, error)) from error
    if encoding.lower().replace("_", "-") in {"utf-8", "utf8"}:
        encoding = "utf-8-sig"
    if not encoding.lower().startswith(("utf-16", "utf-32")):
        without = raw.translate(None, _BINARY)
        if len(without) != len(raw):
            offset = next(i for i, byte in enumerate(raw) if byte in _BINARY)
            found = f"byte {raw[offset]:#04x} at offset {offset}"
            wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            raise CorpusError(_not_text(path, found, "utf-16" if wide else "latin-1"))
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        found = f"byte {raw[error.start]:#04x} at offset {error.start} is not {error.encoding}"
        raise CorpusError(_not_text(path, found)) from error
    except LookupError as error:
        raise CorpusError(f"There is no text encoding named {encoding!r}.") from error


def list_files(directory: Path, pattern: str = DEFAULT_GLOB) -> list[Path]:
    """Return the files below `directory` that match, in the order of their relative paths.

    Hidden files and folders, and ``__pycache__``, count only where the pattern names them.

    Raises
    ------
    CorpusError
        If the pattern matches no file.
    """
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise CorpusError(f"The glob {pattern!r} must stay below the directory, like '**/*.py'.")
    wants_hidden = any(part.startswith(".") for part in Path(pattern).parts)
    found = [
        path
        for path in directory.glob(pattern)
        if path.is_file() and (wants_hidden or _is_visible(path.relative_to(directory)))
    ]
    if not found:
        raise CorpusError(
            f"The corpus is empty: no file below {directory} matches {pattern!r}; "
            f"it holds {_census(directory)}. Choose with --glob, such as --glob '**/*.py'."
        )
    return sorted(found, key=lambda path: path.relative_to(directory).as_posix())


def missing(path: Path) -> CorpusError:
    """Return the error for a corpus path that does not exist, with the names next to it."""
    parent = path.parent
    if path.is_symlink():
        return CorpusError(f"{path} is a link to {os.readlink(path)}, which does not exist.")
    if not parent.is_dir():
        return CorpusError(f"No file or directory {path}; its folder {parent} is missing too.")
    beside = nearest(path.name, sorted(os.listdir(parent)))
    close = f"nearest in {parent}: {', '.join(beside)}"
    found = close if beside else f"nothing like it in {parent}"
    return CorpusError(f"No file or directory {path}; {found}.")


def _is_visible(relative: Path) -> bool:
    return not any(part.startswith(".") or part == "__pycache__" for part in relative.parts)


def _census(directory: Path) -> str:
    suffixes = Counter(
        path.suffix or "no suffix"
        for path in directory.rglob("*")
        if path.is_file() and _is_visible(path.relative_to(directory))
    )
    if not suffixes:
        return "no files"
    total = sum(suffixes.values())
    common = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(4))
    return f"{total} file{'s' if total > 1 else ''} ({common})"


def _unreadable(path: Path, error: OSError) -> str:
    return f"{path} cannot be read: {error.strerror or error}."


def _not_text(path: Path, found: str, other: str = "latin-1") -> str:
    return (
        f"{path} is not a text file ({found}). Name text files only, choose them with --glob "
        f"'**/*.py', or name their encoding with --encoding {other}."
    )
