"""Opening HDF5 files for reading, and saying in one sentence why one cannot be opened.

The files are read through a Python file object. So HDF5 takes no lock and does not know the file
by its name: another program, or the same one, may open it with h5py as it likes, a writer may
hold it, and a file that is replaced meanwhile stays the one that was opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import h5py

from interp.errors import RecordingError, nearest
from interp.storage import schema
from interp.storage.strings import read_attribute

# What h5py and NumPy raise over bytes that make no sense.
_DAMAGE = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
)


@contextmanager
def reading(what: object) -> Iterator[None]:
    """Tell whatever goes wrong while something is read as one damage of it.

    Raises
    ------
    RecordingError
    """
    try:
        yield
    except _DAMAGE as error:
        raise RecordingError(f"{what} is damaged: {error}.") from error


class ReadOnlyFile:
    """An HDF5 file that is open for reading; a context manager.

    Attributes
    ----------
    root : h5py.File
    stream : io.FileIO
        The same file, for positioned reads.
    """

    def __init__(self, path: Path) -> None:
        self.stream = FileIO(path, "rb")
        try:
            self.root = h5py.File(self.stream, "r")
        except BaseException:
            self.stream.close()
            raise

    def close(self) -> None:
        """Let the file go."""
        self.root.close()
        self.stream.close()

    def __enter__(self) -> ReadOnlyFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_recording_file(path: Path) -> ReadOnlyFile:
    """Open a recording for reading.

    Raises
    ------
    RecordingError
        If it is missing, cut off, damaged, no recording, or of a newer format.
    """
    if not os.path.exists(path):  # also where no file could be called so
        files = sorted(path.parent.glob("*.h5")) if path.parent.is_dir() else []
        names = [file.name for file in files if not file.name.endswith(".view.h5")]
        names = list(dict.fromkeys([*nearest(path.name, names), *names]))
        there = f" In {path.parent} there is: {', '.join(names[:5])}." if names else ""
        raise RecordingError(f"There is no recording {path}.{there}")
    if path.is_dir():
        raise RecordingError(f"{path} is a directory; a recording is one file, such as run.h5.")
    if not os.access(path, os.R_OK):
        raise RecordingError(f"{path} may not be read: permission denied.")
    size = path.stat().st_size
    if size == 0:
        raise RecordingError(f"{path} is empty, not a recording.")
    try:
        file = ReadOnlyFile(path)
    except _DAMAGE as error:
        raise RecordingError(_reason(path, size, str(error))) from error
    try:
        with reading(path):
            check_format(file.root, path, schema.FORMAT, "a recording")
    except BaseException:
        file.close()
        raise
    return file


def _reason(path: Path, size: int, message: str) -> str:
    """Return why HDF5 could not open a file, in words."""
    if "truncated" in message:
        return (
            f"{path} is cut off: it has {size:,} bytes, fewer than it should have. Copy it again, "
            "or record again."
        )
    if "signature not found" in message:
        return f"{path} is not an HDF5 file, so it is no recording."
    return f"{path} is damaged: HDF5 cannot open it ({message})."


def check_format(file: h5py.File, path: Path, expected: str, what: str) -> None:
    """Refuse an HDF5 file of another kind, or of a version from the future."""
    there = schema.ATTR_FORMAT in file.attrs
    found = read_attribute(file, schema.ATTR_FORMAT) if there else None
    if found != expected:
        names = ", ".join(list(file)[:5]) or "nothing"
        raise RecordingError(
            f"{path} is an HDF5 file but not {what} of interp: its {schema.ATTR_FORMAT!r} "
            f"attribute is {'missing' if found is None else repr(str(found))} (it holds {names})."
        )
    version = int(file.attrs.get(schema.ATTR_VERSION, 0))
    if not 1 <= version <= schema.FORMAT_VERSION:
        raise RecordingError(
            f"{path} has format version {version}; this interp reads versions up to "
            f"{schema.FORMAT_VERSION}. Update interp to open it."
        )
