"""Token types of any language that Pygments knows, per character."""

from __future__ import annotations

import numpy as np

from interp.errors import InterpError, unknown_name


def check_lexer(language: str) -> None:
    """Refuse a language that Pygments does not know."""
    _lexer(language)


def annotate_lexer(text: str, language: str) -> tuple[np.ndarray, list[str]]:
    """Return the type of the token that each character belongs to.

    Parameters
    ----------
    text : str
    language : str
        An alias of one of Pygments' lexers, such as ``"python"`` or ``"ruby"``.

    Returns
    -------
    codes : ndarray (n_characters,) int32
    types : list of str
        Such as ``"Literal.String.Doc"``; `codes` counts in it.
    """
    codes = np.zeros(len(text), np.int32)
    known: dict[str, int] = {}
    for start, kind, value in _lexer(language).get_tokens_unprocessed(text):
        name = ".".join(kind) or "Token"
        codes[start : start + len(value)] = known.setdefault(name, len(known))
    return codes, list(known)


def is_within(name: str, kind: str) -> bool:
    """Whether a token type is `kind` or below it; ``String`` stands for ``Literal.String``."""
    shortened = name.removeprefix("Literal.")
    return any(n == kind or n.startswith(kind + ".") for n in (name, shortened))


def known_types() -> list[str]:
    """Return the names of Pygments' standard token types."""
    from pygments.token import STANDARD_TYPES

    return sorted(".".join(kind) for kind in STANDARD_TYPES if kind)


def _lexer(language: str):  # type: ignore[no-untyped-def]  # Pygments ships no types
    try:
        from pygments.lexers import get_all_lexers, get_lexer_by_name
        from pygments.util import ClassNotFound
    except ImportError as error:
        raise InterpError("Token types need Pygments: pip install pygments.") from error
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        aliases = [alias for _, names, _, _ in get_all_lexers() for alias in names]
        raise InterpError(unknown_name("lexer of Pygments", language, aliases)) from None
