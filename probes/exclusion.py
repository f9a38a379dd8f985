"""Positions that are not scored because another concept holds there, and how many they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.labels import NO_LABEL, Labels, read_labels, split_category

#: Concepts to leave out: names, or labels of your own by name.
Without = str | Sequence[str] | Mapping[str, Any]


def names_of(without: Without) -> list[str]:
    """Return the names of what is to be left out, in order."""
    return [without] if isinstance(without, str) else list(without)


def leave_out(recording: Any, labels: Labels, without: Without = ()) -> Labels:
    """Return labels without the positions at which some other concepts hold.

    A built-in concept is left out with its delimiters (prefix and quotation marks, brackets),
    whatever the annotation of that name says of them; an annotation of your own where it is on.
    Positions at which such a concept has no label are left out too: it may hold there.

    Parameters
    ----------
    recording : Recording
    labels : Labels
    without : str, sequence of str, or mapping of str to array (n_positions,)
        Yes-or-no annotations, built-in concepts, one category as ``annotation=category``, or
        labels of your own by name.

    Returns
    -------
    Labels
        With fewer positions in `valid`, and in `left_out` how many each concept took of those
        that no earlier one did.

    Raises
    ------
    InterpError
        If one of them is not yes or no, or of another stream, or nothing is left to score.
    """
    names = names_of(without)
    if not names:
        return labels
    valid = np.ones(len(labels.values), bool) if labels.valid is None else labels.valid.copy()
    counts = dict(labels.left_out)
    for name in names:
        own = without[name] if isinstance(without, Mapping) else None
        holds = _holds(recording, name, own, labels.stream)
        counts[name] = int((valid & holds).sum())
        valid &= ~holds
    if not valid.any():
        raise InterpError(
            f"Without {', '.join(names)} no position is left to score {labels.name} at."
        )
    return replace(labels, valid=None if valid.all() else valid, left_out=counts)


def _holds(recording: Any, concept: str, own: Any, stream: str) -> np.ndarray:
    """Return where a concept holds, with its delimiters, or is not known (n_positions,)."""
    name, category = (concept, None) if own is not None else split_category(recording, concept)
    labels = read_labels(
        recording, name, own, stream if own is not None else None, True, with_marks=True
    )
    if labels.stream != stream:
        raise InterpError(
            f"{name} labels stream {labels.stream!r}, but what is scored is stream {stream!r}."
        )
    if category is not None:
        holds = labels.values == labels.code_of(category)
    elif labels.kind == "binary":
        holds = labels.values
    else:
        what = "is a number"
        if labels.kind == "categorical":
            what = (
                f"has several categories; name one, such as {name}={(labels.categories or [''])[0]}"
            )
        raise InterpError(f"{name} {what}: only where a yes-or-no concept holds can be left out.")
    return holds if labels.valid is None else holds | ~labels.valid


def left_out_text(left_out: Mapping[str, int]) -> str:
    """Return in words what was not scored; nothing where all was."""
    found = [
        f"{n:,} positions " + ("without a label" if reason == NO_LABEL else f"inside {reason}")
        for reason, n in left_out.items()
    ]
    return ", ".join(found)
