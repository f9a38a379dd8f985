"""Positioned reads and writes of a file's bytes, and the lock that keeps a second writer out.

All numbers of a recording lie uncompressed at places that are fixed when the file is laid out.
The values are therefore written and read directly: no cache, no state, no lock between reading
threads, and nothing of HDF5's own bookkeeping changes while a run is under way.
"""

from __future__ import annotations

import errno
import fcntl
import os
from io import FileIO
from pathlib import Path

import numpy as np

from interp.errors import RecordingError, StorageError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_CALL_BYTES = 2**30  # macOS refuses 2 GiB in one call, Linux cuts them short


def fileno(file: FileIO) -> int:
    """Return a file's descriptor; a closed file has none, its number may be another's by now.

    Raises
    ------
    RecordingError
        If the file has been closed.
    """
    try:
        return file.fileno()
    except ValueError as error:
        raise RecordingError("The recording has been closed; open it again to read.") from error


def read_into(fd: int, buffer: memoryview, offset: int) -> None:
    """Fill `buffer` from the file at `offset`.

    Raises
    ------
    RecordingError
        If the file ends before, or cannot be read.
    """
    done = 0
    try:
        while done < len(buffer):
            data = os.pread(fd, min(len(buffer) - done, _CALL_BYTES), offset + done)
            if not data:
                raise RecordingError("The file ends too early: it was cut off while in use.")
            buffer[done : done + len(data)] = data
            done += len(data)
    except OSError as error:
        raise RecordingError(f"The file cannot be read: {error.strerror}.") from error


def read_array(fd: int, dtype: np.dtype, count: int, offset: int) -> np.ndarray:
    """Return `count` numbers that lie at `offset`; read-only."""
    size = count * dtype.itemsize
    try:
        data = os.pread(fd, min(size, _CALL_BYTES), offset)
    except OSError as error:
        raise RecordingError(f"The file cannot be read: {error.strerror}.") from error
    if len(data) == size:
        return np.frombuffer(data, dtype)
    whole = bytearray(size)
    whole[: len(data)] = data
    read_into(fd, memoryview(whole)[len(data) :], offset + len(data))
    return np.frombuffer(whole, dtype)


def write_array(fd: int, array: np.ndarray, offset: int) -> None:
    """Write all bytes of a C-contiguous array at `offset`.

    Raises
    ------
    StorageError
        If the disk is full, or fails.
    """
    view = array.reshape(-1).view("u1").data
    done = 0
    try:
        while done < len(view):
            done += os.pwrite(fd, view[done : done + _CALL_BYTES], offset + done)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageError("The disk is full.") from error
        raise StorageError(f"Writing failed: {error.strerror}.") from error


def sync(fd: int) -> None:
    """Return when everything written so far would survive a power cut."""
    try:
        if not _flushed_by_drive(fd):
            getattr(os, "fdatasync", os.fsync)(fd)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageError("The disk is full.") from error
        raise StorageError(f"Writing failed: {error.strerror}.") from error


def _flushed_by_drive(fd: int) -> bool:
    """Make the drive write what it was given: on macOS the usual calls leave it in its cache."""
    command = getattr(fcntl, "F_FULLFSYNC", None)
    if command is None:
        return False
    try:
        fcntl.fcntl(fd, command)
    except OSError:  # a file system that cannot, such as one of the network
        return False
    return True


def open_locked(path: Path, what: str, create: bool = False, wait: bool = False) -> int:
    """Open a file for writing and lock it, and return its descriptor.

    The lock belongs to the file, not to its name: it survives renaming, ends with the process
    however that ends, and readers do not take it.

    Raises
    ------
    RecordingError
        If another writer has the file, or it cannot be opened.
    """
    flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | (os.O_CREAT if create else 0)
    while True:
        try:
            fd = os.open(path, flags, 0o666)
        except OSError as error:
            raise RecordingError(f"Cannot write {path}: {error.strerror}.") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(fd)
                raise RecordingError(
                    f"{what} is being written by another process; wait for it or stop it first."
                ) from error
        if _still_named(fd, path):
            return fd
        os.close(fd)  # renamed between opening and locking: try the file that is there now


def _still_named(fd: int, path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def sync_directory(path: Path) -> None:
    """Make a renaming inside a directory survive a power cut, where the system allows it."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(fd)
    except OSError:
        pass
    finally:
        os.close(fd)
