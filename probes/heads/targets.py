"""Patterns that heads are known for, as the keys that each query row would attend to.

A row counts only where it can show the pattern. Dividing by all rows instead, as a fixed mask over
the square does, gives a perfect induction head a score of one half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from probes.heads.rows import MapRows


@dataclass(frozen=True, eq=False)
class Targets:
    """The keys that a pattern points at.

    Attributes
    ----------
    rows, keys : ndarray (n_pairs,) int64
        Query and key of each pair, all visible, no pair twice.
    eligible : ndarray (n_queries,) bool
        The rows in which the pattern can occur.
    """

    rows: np.ndarray
    keys: np.ndarray
    eligible: np.ndarray

    @cached_property
    def per_row(self) -> np.ndarray:
        """How many keys each row points at, (n_queries,)."""
        return np.bincount(self.rows, minlength=len(self.eligible))


@dataclass(frozen=True, eq=False)
class Context:
    """What is known of a whole document beside its maps.

    Attributes
    ----------
    tokens : ndarray (n,) or None
        A number for the token at each position of the queries' stream.
    key_tokens : ndarray (n_keys,) or None
        A number for the token at each key.
    separators : ndarray or None
        The numbers that are separators.
    predicted : ndarray (n,) or None
        The number of the token that the model predicts at each of these; -1 for none.
    """

    tokens: np.ndarray | None = None
    key_tokens: np.ndarray | None = None
    separators: np.ndarray | None = None
    predicted: np.ndarray | None = None


class NotApplicable(Exception):
    """A pattern that a document or site cannot show; its text is the reason."""


def matching_pairs(
    key_tokens: np.ndarray, wanted: np.ndarray, first: np.ndarray, stop: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs (row, key) in which a key in a row's range holds the token it wants.

    Parameters
    ----------
    key_tokens : ndarray (n_keys,) int64
    wanted : ndarray (n_rows,) int64
    first, stop : ndarray (n_rows,) int64
        The range of keys; empty where stop <= first.
    """
    n = len(key_tokens)
    distinct, rank = np.unique(key_tokens, return_inverse=True)
    base = np.int64(n + 1)
    order = np.argsort(rank, kind="stable")
    codes = rank[order] * base + order
    place = np.minimum(np.searchsorted(distinct, wanted), max(len(distinct) - 1, 0))
    known = distinct[place] == wanted if len(distinct) else np.zeros(len(wanted), bool)
    low = np.searchsorted(codes, place * base + np.clip(first, 0, n))
    high = np.searchsorted(codes, place * base + np.clip(stop, 0, n))
    counts = np.where(known, np.maximum(high - low, 0), 0)
    rows = np.repeat(np.arange(len(wanted)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, order[low[rows] + within]


def at_offset(rows: MapRows, offset: int) -> Targets:
    """Return the pattern of a fixed distance: the key `offset` after the query."""
    _one_stream(rows)
    keys = rows.query + offset
    seen = (keys >= rows.key_range[:, 0]) & (keys < rows.key_range[:, 1])
    if offset == 0:
        seen &= rows.n_visible > 1  # a query that sees nothing but itself has no choice
    if not seen.any():
        raise NotApplicable(f"no query sees the key at {offset:+d}")
    return Targets(np.flatnonzero(seen), keys[seen], seen)


def first_key(rows: MapRows, context: Context) -> Targets:
    """Return the pattern of a document's first key, for queries that see others too."""
    seen = (rows.key_range[:, 0] == 0) & (rows.n_visible > 1)
    if not seen.any():
        raise NotApplicable("no query sees the first key and another")
    query = np.flatnonzero(seen)
    return Targets(query, np.zeros_like(query), seen)


def separator(rows: MapRows, context: Context) -> Targets:
    """Return the pattern of keys that are separators."""
    if context.separators is None or not len(context.separators):
        raise NotApplicable("no token is known to be a separator; name some")
    if context.key_tokens is None:
        raise NotApplicable("the keys have no token ids")
    marks = np.isin(context.key_tokens, context.separators).astype(np.int64)
    pairs = matching_pairs(marks, np.ones(rows.n_queries, np.int64), *rows.key_range.T)
    kept = rows.n_visible[pairs[0]] > 1
    return _of_pairs(rows, pairs[0][kept], pairs[1][kept], "no query sees a separator")


def duplicate(rows: MapRows, context: Context) -> Targets:
    """Return the pattern of earlier keys with the query's own token."""
    tokens = _tokens(rows, context)
    stop = np.minimum(rows.key_range[:, 1], rows.query)
    pairs = matching_pairs(tokens, tokens[rows.query], rows.key_range[:, 0], stop)
    return _of_pairs(rows, *pairs, "no token occurs again in sight")


def induction(rows: MapRows, context: Context) -> Targets:
    """Return the pattern of the key right after each earlier occurrence of the query's token.

    Never the query itself, which follows when a token stands twice in a row.
    """
    tokens = _tokens(rows, context)
    first, stop = rows.key_range.T
    stop = np.minimum(stop, rows.query) - 1
    before = matching_pairs(tokens, tokens[rows.query], first - 1, stop)
    return _of_pairs(rows, before[0], before[1] + 1, "no token occurs again in sight")


def predicted_token(rows: MapRows, context: Context) -> Targets:
    """Return the pattern of keys that hold the token which the model then predicts."""
    tokens = _tokens(rows, context)
    if context.predicted is None:
        raise NotApplicable("no predictions of the next token were recorded")
    pairs = matching_pairs(tokens, context.predicted[rows.query], *rows.key_range.T)
    kept = rows.n_visible[pairs[0]] > 1
    return _of_pairs(
        rows, pairs[0][kept], pairs[1][kept], "no predicted token stands among the keys"
    )


def _of_pairs(rows: MapRows, query: np.ndarray, keys: np.ndarray, reason: str) -> Targets:
    if not len(query):
        raise NotApplicable(reason)
    return Targets(query, keys, np.bincount(query, minlength=rows.n_queries) > 0)


def _one_stream(rows: MapRows) -> None:
    if not rows.same_stream:
        raise NotApplicable("queries and keys are positions of different streams")


def _tokens(rows: MapRows, context: Context) -> np.ndarray:
    _one_stream(rows)
    if context.tokens is None:
        raise NotApplicable("the positions have no token ids")
    return context.tokens


#: Pattern name to the function that finds its targets. The first three are fixed offsets.
PATTERNS: dict[str, Callable[[MapRows, Context], Targets]] = {
    "previous": lambda rows, context: at_offset(rows, -1),
    "self": lambda rows, context: at_offset(rows, 0),
    "next": lambda rows, context: at_offset(rows, 1),
    "first": first_key,
    "separator": separator,
    "duplicate": duplicate,
    "induction": induction,
    "copying": predicted_token,
}
#: Patterns that are a fixed offset themselves: no such baseline says anything of them.
FIXED_OFFSETS = ("previous", "self", "next")


def find_targets(
    rows: MapRows, context: Context, names: Iterable[str]
) -> dict[str, Targets | NotApplicable]:
    """Return the targets of each pattern, or why there are none."""
    found: dict[str, Targets | NotApplicable] = {}
    for name in names:
        try:
            found[name] = PATTERNS[name](rows, context)
        except NotApplicable as reason:
            found[name] = reason
    return found
