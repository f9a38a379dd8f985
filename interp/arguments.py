"""Arguments of public functions, checked before anything is computed from them.

Each function returns the argument in the type that is meant, or raises `InterpError` with its
name, what it may be and what it is.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interp.errors import InterpError
from interp.wording import kind_of


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """Return a whole number, of NumPy or Python, as an int."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise InterpError(f"{name} is a whole number; got {shown(value)}.") from None
    if least is not None and number < least:
        raise InterpError(f"{name} must be at least {least}, got {number}.")
    return number


def number(name: str, value: Any, least: float = 0.0) -> float:
    """Return a finite number of at least `least` as a float."""
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError):
        raise InterpError(f"{name} is a number; got {shown(value)}.") from None
    if not least <= found < math.inf:
        raise InterpError(f"{name} must be {least:g} or more, got {found}.")
    return found


def flag(name: str, value: Any) -> bool:
    """Return True or False, also of NumPy, or given as 1 or 0."""
    try:
        if operator.index(value) in (0, 1):
            return bool(value)
    except TypeError:
        if type(value).__name__ in ("bool", "bool_"):  # NumPy's is no index
            return bool(value)
    raise InterpError(f"{name} is True or False; got {shown(value)}.")


def text(name: str, value: Any) -> str:
    """Return a string."""
    if not isinstance(value, str):
        raise InterpError(f"{name} is text; got {shown(value)}.")
    return value


def path(name: str, value: Any, error: type[InterpError] = InterpError) -> Path:
    """Return the path that a string or a path-like object names; raises `error`."""
    try:
        found = os.fspath(value)
    except TypeError:
        found = None
    if not isinstance(found, str):
        raise error(f"{name} is a path, such as 'run.h5'; got {shown(value)}.")
    return Path(found)


def function(name: str, value: Any) -> Callable[..., Any] | None:
    """Return a function, or None where there is none."""
    if value is not None and not callable(value):
        raise InterpError(f"{name} is a function; got {shown(value)}.")
    found: Callable[..., Any] | None = value
    return found


def shown(value: Any) -> str:
    """Return a value and what it is, for a message: ``"'4', a str"``."""
    if value is None:
        return "None"
    as_text = " ".join(repr(value).split())
    if len(as_text) > 60 or as_text.startswith("<"):
        return kind_of(value)
    return f"{as_text}, {kind_of(value)}"
