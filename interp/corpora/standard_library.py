"""The Python standard library's source as a corpus, split by file.

Left out: tests, `encodings/` and other generated tables (near-duplicates of each other that a
model learns by heart and that make a held-out loss look better than it is), and anything that
was installed rather than shipped with Python.
"""

from __future__ import annotations

import hashlib
import platform
import sysconfig
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from interp.errors import CorpusError, unknown_name

#: What stands before the name of a part where a corpus is asked for, as in ``stdlib:test``.
SCHEME = "stdlib:"

Split = Literal["train", "validation", "test"]

_LEFT_OUT_FOLDERS = {
    "test", "tests", "idle_test", "encodings", "pydoc_data", "msilib", "site-packages",
    "dist-packages", "__pycache__", "__phello__", "_bundled", "lib-dynload",
}  # fmt: skip
_LEFT_OUT_FILES = {"html/entities.py", "stringprep.py"}


@dataclass(frozen=True)
class SourceFile:
    """One file: its path inside the library, with forward slashes, and its text."""

    name: str
    text: str

    @property
    def package(self) -> str:
        """The top-level package, ``"(modules)"`` for single-file modules."""
        head, slash, _ = self.name.partition("/")
        return head if slash else "(modules)"

    @property
    def split(self) -> Split:
        """The part the file belongs to: 85 % train, 5 % validation, 10 % test.

        Decided by a hash of the path alone, so that a held-out file is held out under every
        Python version.
        """
        bucket = int(hashlib.sha256(self.name.encode()).hexdigest()[:8], 16) % 100
        return "test" if bucket < 10 else "validation" if bucket < 15 else "train"


def standard_library(root: Path | None = None) -> list[SourceFile]:
    """Return the library's source files, sorted by name.

    Parameters
    ----------
    root : Path, optional
        Another folder of Python source; default is the running Python's standard library.

    Raises
    ------
    CorpusError
        If the folder holds no Python source.
    """
    root = Path(root or sysconfig.get_paths()["stdlib"])
    files = []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        parts = name.split("/")
        if _LEFT_OUT_FOLDERS.intersection(parts[:-1]) or name in _LEFT_OUT_FILES:
            continue
        if parts[0].startswith(("config-", "_sysconfigdata")):
            continue
        try:
            with tokenize.open(path) as handle:
                text = handle.read()
        except (SyntaxError, UnicodeDecodeError):
            continue
        if len(text) > 1:
            files.append(SourceFile(name, text))
    if not files:
        raise CorpusError(f"No Python source under {root}; give a folder that holds .py files.")
    return files


def read_part(name: str) -> list[SourceFile]:
    """Return the files of the part that ``stdlib:PART`` names, ``stdlib:all`` for every file.

    Raises
    ------
    CorpusError
        If there is no such part.
    """
    part = name.removeprefix(SCHEME)
    parts = [*get_args(Split), "all"]
    if part not in parts:
        raise CorpusError(unknown_name("part of the standard library", part, parts))
    files = standard_library()
    return files if part == "all" else [file for file in files if file.split == part]


def split_files(files: list[SourceFile], split: Split) -> list[SourceFile]:
    """Return the files of one part."""
    return [file for file in files if file.split == split]


def describe(files: list[SourceFile]) -> dict[str, object]:
    """Return what a model card states of a corpus: sizes, hash, Python version."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.text}\0".encode("utf-8", "surrogatepass"))
    return {
        "source": "Python standard library",
        "python": platform.python_version(),
        "n_files": len(files),
        "n_characters": sum(len(file.text) for file in files),
        "sha256": digest.hexdigest(),
        "characters_per_split": {
            split: sum(len(file.text) for file in split_files(files, split))
            for split in ("train", "validation", "test")
        },
    }
