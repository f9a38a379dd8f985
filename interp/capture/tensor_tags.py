"""Notes on tensors, by identity, that vanish with the tensor."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor


class TensorTags:
    """Maps tensors to notes; holds no tensor."""

    def __init__(self) -> None:
        self._notes: dict[int, tuple[weakref.ref[Tensor], Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._notes)

    def __setitem__(self, tensor: Tensor, note: Any) -> None:
        key = id(tensor)
        self._notes[key] = weakref.ref(tensor, lambda _: self._notes.pop(key, None)), note

    def get(self, value: Any) -> Any:
        """Return the note on a tensor; None for a tensor without one and for anything else."""
        found = self._notes.get(id(value))
        return None if found is None or found[0]() is not value else found[1]

    def clear(self) -> None:
        """Forget all notes."""
        self._notes.clear()

    def among(self, arguments: Iterable[Any]) -> list[tuple[Tensor, Any]]:
        """Return the tensors with a note among arguments and the lists in them, with notes."""
        return [(value, note) for value in flat(arguments) if (note := self.get(value)) is not None]


def flat(arguments: Iterable[Any]) -> Iterator[Any]:
    """Yield arguments, those inside lists and tuples one by one."""
    for value in arguments:
        if isinstance(value, list | tuple):
            yield from value
        else:
            yield value
