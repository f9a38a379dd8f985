"""Strings in a recording file: of a fixed length, so that nothing but themselves is needed.

HDF5 keeps strings of variable length in a heap of the whole file that has no checksum; one flipped
bit there can end the process in HDF5, or never end. Files of format version 1 have such strings;
both kinds are read here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

# A lone surrogate stands for an undecodable byte in a file's name; it has to survive.
_ERRORS = "surrogatepass"


def write_attribute(item: h5py.Group | h5py.Dataset, name: str, value: str | int | float) -> None:
    """Give a group or data set an attribute; strings are stored at their own length."""
    if not isinstance(value, str):
        item.attrs[name] = value
        return
    data = _stored([value])
    item.attrs.create(name, data[0], shape=(), dtype=data.dtype)


def read_attribute(item: h5py.Group | h5py.Dataset, name: str) -> Any:
    """Return an attribute, a string as `str`.

    Raises
    ------
    KeyError
        If there is none of that name.
    """
    value = item.attrs[name]
    return value.decode("utf-8", _ERRORS) if isinstance(value, bytes) else value


def write_names(group: h5py.Group, name: str, names: Sequence[str]) -> None:
    """Write a list of strings without NUL characters at their ends, all at one length."""
    group.create_dataset(name, data=_stored(names))


def read_names(group: h5py.Group, name: str) -> list[str]:
    """Return a list of strings."""
    return [item.decode("utf-8", _ERRORS) for item in group[name][:].tolist()]


def write_json(group: h5py.Group, name: str, value: Mapping[str, Any]) -> None:
    """Write a mapping as the text of a JSON object."""
    data = _stored([json.dumps(dict(value))])
    group.create_dataset(name, data=data[0], shape=(), dtype=data.dtype)


def read_json(group: h5py.Group, name: str) -> dict[str, Any]:
    """Return what `write_json` wrote.

    Raises
    ------
    ValueError
        If it is no JSON object.
    """
    value = json.loads(group[name][()])
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no JSON object")
    return value


def _stored(strings: Sequence[str]) -> np.ndarray:
    """Return strings as HDF5 stores them: UTF-8, filled up with NUL to the longest."""
    encoded = [string.encode("utf-8", _ERRORS) for string in strings]
    length = max(1, *(len(item) for item in encoded)) if encoded else 1
    return np.array(encoded, h5py.string_dtype("utf-8", length))
