"""Whether a recording can be written where it was asked for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from interp.errors import RecordingError, StorageError
from interp.storage.rawio import open_locked
from interp.wording import size_text

# Room left on the disk, so that the machine does not suffer from a full one.
_SPARE_BYTES = 64 * 2**20


def check_target(path: Path, overwrite: bool) -> int:
    """Refuse a path that cannot or must not be written; return the bytes it would give back."""
    if not path.parent.is_dir():
        raise RecordingError(f"There is no directory {path.parent} to write {path.name} into.")
    if path.is_dir():
        raise RecordingError(f"{path} is a directory; give the recording a file's name.")
    if not path.exists():
        return 0
    if not overwrite:
        raise RecordingError(
            f"{path} exists already. Resume it, overwrite it on purpose, or choose another name."
        )
    os.close(open_locked(path, str(path)))
    return path.stat().st_blocks * 512


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
