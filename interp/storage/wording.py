"""Numbers for people."""

from __future__ import annotations


def size_text(n_bytes: float) -> str:
    """Return a number of bytes with three digits and a unit."""
    if n_bytes < 1000:
        return f"{n_bytes:.0f} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        n_bytes /= 1000
        if n_bytes < 1000 or unit == "TB":
            break
    return f"{n_bytes:.3g} {unit}"
