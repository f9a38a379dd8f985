"""HDF5 files made in memory and written by ourselves.

HDF5 may crash the process when a disk fills while it writes. So it writes into a buffer here, which
keeps only what was touched (room that is set aside costs nothing), and the buffer goes to the disk
by plain writes, whose errors are plain.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np

from interp.errors import StorageError
from interp.storage.rawio import write_array

_PAGE = 2**16
# Everything at multiples of 8: a counter then lies within one sector, and is written whole. From
# version 1.10 on HDF5 has a checksum in each of its own structures, and needs none to find chunks
# that are there from the beginning; before, a flipped bit could crash it, or go unnoticed.
_OPTIONS = {
    "alignment_threshold": 1,
    "alignment_interval": 8,
    "libver": ("v110", "v110"),
}


def write_hdf5(fd: int, build: Callable[[h5py.File], None]) -> None:
    """Make an HDF5 file and put it in place of what an open file holds.

    Parameters
    ----------
    fd : int
        Descriptor of the file, open for writing.
    build : callable
        Fills the HDF5 file it is given.

    Raises
    ------
    StorageError
        If the disk is full, or fails.
    """
    image = SparseFile()
    with h5py.File(image, "w", **_OPTIONS) as file:
        build(file)
    try:
        os.ftruncate(fd, 0)
        os.ftruncate(fd, image.size)
    except OSError as error:
        raise StorageError(f"Writing failed: {error.strerror}.") from error
    for offset, data in image.touched():
        write_array(fd, np.frombuffer(data, np.uint8), offset)


class SparseFile(io.RawIOBase):
    """A file in memory that takes room only where it has been written.

    Attributes
    ----------
    size : int
        Length of the file, most of which may never have been touched.
    """

    def __init__(self) -> None:
        self.size = 0
        self._at = 0
        self._pages: dict[int, bytearray] = {}

    def touched(self) -> Iterator[tuple[int, bytes]]:
        """Yield the offset and the contents of each run of pages that was written."""
        run: list[bytearray] = []
        for number in sorted(self._pages):
            run.append(self._pages[number])
            if number + 1 not in self._pages or len(run) == 16:
                offset = (number + 1 - len(run)) * _PAGE
                yield offset, b"".join(run)[: self.size - offset]
                run = []

    def seekable(self) -> bool:
        """Whether positions can be set: yes."""
        return True

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def writable(self) -> bool:
        """Whether it can be written: yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, as any file does."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def truncate(self, size: int | None = None) -> int:
        """Set the length; nothing is freed."""
        self.size = self._at if size is None else size
        return self.size

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on; what was never written is zero."""
        view = memoryview(buffer).cast("B")[: max(0, self.size - self._at)]
        for page, inside, part in self._parts(len(view)):
            there = self._pages.get(page)
            n = part.stop - part.start
            view[part] = bytes(n) if there is None else there[inside : inside + n]
        self._at += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        """Write at the position."""
        view = memoryview(data).cast("B")
        for page, inside, part in self._parts(len(view)):
            there = self._pages.setdefault(page, bytearray(_PAGE))
            there[inside : inside + part.stop - part.start] = view[part]
        self._at += len(view)
        self.size = max(self.size, self._at)
        return len(view)

    def _parts(self, n: int) -> Iterator[tuple[int, int, slice]]:
        """Yield page, place in the page and piece of a buffer of n bytes at the position."""
        done = 0
        while done < n:
            page, inside = divmod(self._at + done, _PAGE)
            take = min(_PAGE - inside, n - done)
            yield page, inside, slice(done, done + take)
            done += take
