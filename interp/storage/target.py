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


def check_room(path: Path, needed: int, replaced: int) -> None:
    """Refuse a recording that does not fit on the disk."""
    free = shutil.disk_usage(path.parent).free + replaced
    if needed + _SPARE_BYTES > free:
        raise StorageError(
            f"The recording takes {size_text(needed)}, but only {size_text(free)} are free for "
            f"{path}. Record fewer sites or documents, or choose another disk."
        )
