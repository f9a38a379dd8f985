"""Errors that are meant for the user, and the helper that suggests the nearest valid names.

Every message says what was asked, what was found and what to do. The command line prints the
message alone and exits with status 2; a traceback means a defect of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InterpError(Exception):
    """A request that cannot be served; its text is ready to be shown to the user."""


class SiteError(InterpError):
    """A site, unit or head that does not exist or cannot be recorded."""


class CaptureError(InterpError):
    """A model whose internals cannot be recorded as asked."""


class ModelError(InterpError):
    """A model specification or its weights cannot be used."""


class CorpusError(InterpError):
    """A corpus that is missing, empty or not text."""


class RecordingError(InterpError):
    """A recording that is missing, damaged, incomplete or in use."""


class StorageError(RecordingError):
    """Values or a disk that cannot hold what was asked."""


class SelectionError(InterpError):
    """A selection that cannot be read or lies outside the recording."""


class OutOfRangeError(SelectionError, IndexError):
    """An index that an array does not have; also an `IndexError`, as sequences raise it."""


class UnknownNameError(SelectionError, KeyError):
    """A name that a mapping does not have; also a `KeyError`, as mappings raise it."""

    __str__ = Exception.__str__  # a KeyError would quote the message


def nearest(name: str, valid: Iterable[str], n: int = 3) -> list[str]:
    """Return up to `n` of the `valid` names that look most like `name`, best first."""
    candidates = list(dict.fromkeys(valid))
    folded = {candidate.lower(): candidate for candidate in reversed(candidates)}
    close = difflib.get_close_matches(name.lower(), list(folded), n=n, cutoff=0.4)
    inside = [low for low in folded if name.lower() in low and low not in close]
    return [folded[low] for low in (close + inside)[:n]]


def unknown_name(kind: str, name: object, valid: Iterable[str], hint: str = "") -> str:
    """Return the message for a name that is not among the valid ones.

    Parameters
    ----------
    kind : str
        What the name stands for, such as ``"site"``.
    name : object
        What the user asked for; a string, if it is any name at all.
    valid : iterable of str
        The names that exist.
    hint : str
        What to do next, a full sentence.
    """
    if not isinstance(name, str):
        return f"No {kind} is called {name!r:.80}, which is no text."
    valid = list(dict.fromkeys(valid))
    if not valid:
        found = f"there is no {kind} at all"
    elif close := nearest(name, valid):
        found = f"nearest: {', '.join(close)}"
    else:
        shown = ", ".join(valid[:8]) + (f" and {len(valid) - 8} more" if len(valid) > 8 else "")
        found = f"there is: {shown}"
    return f"No {kind} named {name!r}; {found}." + (f" {hint}" if hint else "")
