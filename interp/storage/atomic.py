"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interp.errors import StorageError
from interp.storage.rawio import sync_directory


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes its place if the body succeeds.

    Raises
    ------
    StorageError
        If the directory cannot be written, or the disk is full.
    """
    temporary: Path | None = None
    path = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
    try:
        if path.exists() and not path.is_file():
            raise StorageError("it is no file, but a directory, a device or a pipe.")
        fd, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
        os.close(fd)
        temporary = Path(name)
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        fd = os.open(temporary, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        os.replace(temporary, path)
        sync_directory(path.parent)
    except StorageError as error:
        raise StorageError(f"{path} cannot be written: {error}") from error
    except OSError as error:
        full = error.errno == errno.ENOSPC or "No space left" in str(error)
        reason = "the disk is full" if full else error.strerror or str(error)
        raise StorageError(f"{path} cannot be written: {reason}.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """Return the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
