"""Lists of strings as two arrays: all bytes in one, where each string starts in the other.

HDF5's own variable-length strings end at the first NUL character and take a heap object each;
document texts and token strings are better served by this plain form, which also lets one
document be read without the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload

import h5py
import numpy as np

from interp.storage import schema
from interp.storage.hdf5 import reading
from interp.storage.offsets import read_starts

# A lone surrogate stands for an undecodable byte in a file name; it has to survive the round trip.
_ERRORS = "surrogatepass"


def pack(strings: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the UTF-8 bytes of all strings (uint8) and the n + 1 offsets (int64) of each."""
    encoded = [string.encode("utf-8", _ERRORS) for string in strings]
    start = np.zeros(len(encoded) + 1, "<i8")
    np.cumsum([len(item) for item in encoded], out=start[1:])
    return np.frombuffer(b"".join(encoded), np.uint8), start


def write(group: h5py.Group, name: str, strings: Iterable[str]) -> None:
    """Write a list of strings into `group` under `name`."""
    data, start = pack(strings)
    group.create_dataset(name, data=data)
    group.create_dataset(name + schema.START_SUFFIX, data=start)


class PackedStrings(Sequence[str]):
    """A lazily read list of strings of a recording file.

    Parameters
    ----------
    group : h5py.Group
        The group that holds the two data sets.
    name : str
        The name of the data set of bytes.
    n : int, optional
        How many strings there are.
    """

    def __init__(self, group: h5py.Group, name: str, n: int | None = None) -> None:
        self._data: h5py.Dataset = group[name]
        total = self._data.shape[0]
        self.start: np.ndarray = read_starts(group, name + schema.START_SUFFIX, n, total)

    def __len__(self) -> int:
        return len(self.start) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            first, stop, step = index.indices(len(self))
            if step != 1:
                return [self[i] for i in range(first, stop, step)]
            return self._decode(first, max(first, stop))
        i = range(len(self))[index]
        return self._decode(i, i + 1)[0]

    def _decode(self, first: int, stop: int) -> list[str]:
        """Decode the strings first to stop - 1 after one read."""
        if stop <= first:
            return []
        with reading(self._data.name):
            return self._decode_all(first, stop)

    def _decode_all(self, first: int, stop: int) -> list[str]:
        offset = int(self.start[first])
        data = self._data[offset : int(self.start[stop])].tobytes()
        ends = self.start[first : stop + 1] - offset
        return [
            data[begin:end].decode("utf-8", _ERRORS)
            for begin, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        ]

    def raw(self) -> np.ndarray:
        """Return the bytes of all strings, as stored."""
        return self._data[:]

    def __repr__(self) -> str:
        return f"<{len(self):,} strings, {int(self.start[-1]):,} bytes>"
