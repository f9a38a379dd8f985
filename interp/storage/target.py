"""Whether a recording can be written where it was asked for."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from interp.errors import RecordingError, StorageError
from interp.storage.rawio import open_locked
from interp.wording import size_text

# Room left on the disk, so that the machine does not suffer from a full one.
_SPARE_BYTES = 64 * 2**20
_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # how every HDF5 file begins


def check_place(path: Path) -> bool:
    """Refuse a path at which no file can be written or replaced; return whether one is there.

    Raises
    ------
    RecordingError
        If it is a directory or a device, or lies in a folder that is not there.
    """
    real = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
    try:
        status = os.stat(real)
    except (FileNotFoundError, NotADirectoryError):
        status = None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecordingError(f"{path} cannot be written: {reason}.") from error
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise RecordingError(f"{path} is a directory; name a file, such as run.h5.")
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise RecordingError(f"{path} is a device or a pipe; name a file, such as run.h5.")
    if not real.parent.is_dir():
        folder = real.parent if path.is_symlink() else path.parent
        raise RecordingError(f"There is no folder {folder} to write into.")
    return status is not None


def check_target(path: Path, overwrite: bool) -> int:
    """Refuse a path that cannot or must not be written; return the bytes it would give back."""
    if not check_place(path):
        return 0
    if not overwrite:
        raise RecordingError(
            f"{path} exists already. Resume it, overwrite it on purpose, or choose another name."
        )
    check_replaceable(path)
    os.close(open_locked(path, str(path)))
    return path.stat().st_blocks * 512


def check_replaceable(path: Path) -> None:
    """Refuse to replace what is no recording, such as a text that was named by mistake."""
    try:
        with open(path, "rb") as file:
            start = file.read(len(_SIGNATURE))
    except OSError as error:
        raise RecordingError(f"{path} cannot be overwritten: {error.strerror}.") from error
    if start not in (b"", _SIGNATURE):
        raise RecordingError(
            f"{path} is no recording, so it is not overwritten. Remove it yourself, or choose "
            "another name."
        )


def free_bytes(path: Path) -> int:
    """Return how much is free on the disk of a file that is to be written."""
    return shutil.disk_usage(Path(os.path.realpath(path)).parent).free


def check_room(path: Path, needed: int, replaced: int, maps: int = 0, twice: bool = False) -> None:
    """Refuse a recording that does not fit on the disk.

    Parameters
    ----------
    path : pathlib.Path
    needed : int
        Size of the recording.
    replaced : int
        Bytes that a file gives back which it replaces.
    maps : int
        What of it is full attention maps.
    twice : bool
        Whether it is written a second time, at its exact size, before the first goes.
    """
    free = free_bytes(path) + replaced
    if needed * (2 if twice else 1) + _SPARE_BYTES <= free:
        return
    takes = size_text(needed) + (", twice while it is completed" if twice else "")
    advice = "Record fewer sites or documents"
    if maps > needed // 2:
        takes += f" ({size_text(maps)} of it attention maps)"
        advice = (
            "Keep less of attention (--attention top-p:0.95, or stats), fewer sites or documents"
        )
    raise StorageError(
        f"The recording takes {takes}, but only {size_text(free)} are free for {path}. {advice}, "
        "or choose another disk."
    )
