"""What corpora of all kinds have in common: a fixed row of items, and a hash of their texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Items(Sequence[Item]):
    """A sequence that is a tuple with more to say about it."""

    @property
    def _items(self) -> tuple[Item, ...]:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._items[index]

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)


def hash_of_texts(texts: Iterable[str]) -> str:
    """Return the SHA-256 of texts and where they are cut, in hexadecimal."""
    digest = hashlib.sha256()
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()
