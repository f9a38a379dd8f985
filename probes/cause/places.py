"""Where the loss is looked at: inside a concept, where it ends, where it begins, elsewhere."""

from __future__ import annotations

import numpy as np

#: Name of a group of predictions to what it means.
PLACES = {
    "end": "what is predicted ends the concept, such as a closing quotation mark",
    "inside": "inside the concept, before and after what is predicted",
    "start": "what is predicted begins the concept",
    "outside": "outside, before and after",
    "elsewhere": "everywhere but at ends",
}


def places_of(
    inside: np.ndarray, valid: np.ndarray | None, document_start: np.ndarray, predicts: str
) -> dict[str, np.ndarray]:
    """Return which predictions belong to each group of `PLACES`.

    A prediction is about the token that changes the state from that before it to that after it.
    With a language model the prediction at position t is about position t + 1; the last
    position of a document predicts nothing and is in no group.

    Parameters
    ----------
    inside : ndarray (n_positions,) bool
        The state after reading each position.
    valid : ndarray (n_positions,) bool or None
        Positions that have a label; None: all.
    document_start : ndarray (n_documents + 1,)
    predicts : {"next", "same"}
        Which position the prediction at a position is about.

    Returns
    -------
    dict of str to ndarray (n_positions,) bool
        By position of the prediction.
    """
    n = len(inside)
    known = np.ones(n, bool) if valid is None else valid.copy()
    first = np.zeros(n, bool)
    first[document_start[:-1][document_start[:-1] < n]] = True
    before = np.roll(inside, 1) & ~first  # a document begins outside
    known &= first | np.roll(known, 1)
    groups = {
        "end": before & ~inside,
        "inside": before & inside,
        "start": ~before & inside,
        "outside": ~before & ~inside,
        "elsewhere": ~(before & ~inside),
    }
    groups = {name: groups[name] & known for name in PLACES}
    if predicts == "same":
        return groups
    # From the position that is predicted to the one that predicts it; nothing predicts the first.
    return {name: np.roll(members & ~first, -1) for name, members in groups.items()}
