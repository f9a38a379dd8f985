"""Mappings from names, whose errors say which names there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from interp.arguments import shown
from interp.errors import OutOfRangeError, UnknownNameError, unknown_name
from interp.wording import count

_T = TypeVar("_T")


class _Named(dict[str, _T]):
    """A dictionary that names the nearest keys where one is missing."""

    def __init__(self, kind: str, items: Mapping[str, _T]) -> None:
        super().__init__(items)
        self._kind = kind

    def __missing__(self, name: Any) -> _T:
        raise UnknownNameError(unknown_name(self._kind, name, self))


def named(kind: str, items: Mapping[str, _T]) -> Mapping[str, _T]:
    """Return a read-only mapping; a name that it lacks is told with the nearest ones.

    Parameters
    ----------
    kind : str
        What a name stands for, such as ``"site"``.
    items : mapping
    """
    return MappingProxyType(_Named(kind, items))


def out_of_range(index: object, n: int, what: str) -> OutOfRangeError:
    """Return the error for an index that is not there, or is none."""
    there = f"there {'is' if n == 1 else 'are'} {count(n, what)}"
    if isinstance(index, int | np.integer):
        return OutOfRangeError(f"{what} {index} is out of range: {there}.")
    return OutOfRangeError(f"A {what} is chosen by a whole number; got {shown(index)}; {there}.")


def position(index: Any, n: int, what: str) -> int:
    """Return an index from 0 to `n` - 1; a negative one counts from the end.

    Raises
    ------
    OutOfRangeError
        If there is no such place, or it is no whole number.
    """
    return positions([index], n, what)[0]


def positions(indices: Iterable[Any], n: int, what: str) -> list[int]:
    """Return indices from 0 to `n` - 1; see :func:`position`."""
    found = []
    for index in indices:
        try:
            found.append(range(n)[index])
        except (IndexError, TypeError):
            raise out_of_range(index, n, what) from None
    return found
