"""Numbers and values in the words of a message."""

from __future__ import annotations

from typing import Any


def count(n: int, noun: str) -> str:
    """Return a number with its noun: ``"1 document"``, ``"1,200 documents"``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def kind_of(value: Any) -> str:
    """Return what a value is: ``"None"``, ``"an int"``, ``"a list"``."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def size_text(n_bytes: float) -> str:
    """Return a number of bytes with three digits and a unit."""
    if n_bytes < 1000:
        return f"{n_bytes:.0f} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        n_bytes /= 1000
        if n_bytes < 999.5 or unit == "TB":
            break
    return f"{n_bytes:.3g} {unit}"
