"""What labels can be told from without the model: the most frequent one, and the last tokens.

A probe says something about a model only by what it adds to these.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from probes.documents import Rows


def token_codes(stream: Any) -> np.ndarray:
    """Return a number (n_positions,) for what stands at each position: token or character.

    Returns
    -------
    ndarray (n_positions,) int64
        All zero where the stream has neither.
    """
    if stream.token_ids is not None:
        return np.asarray(stream.token_ids[:], np.int64)
    if stream.has_text and stream.is_characters:
        text = "".join(document.text for document in stream.documents)
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    if stream.tokens is not None:
        return np.unique(stream.tokens[:], return_inverse=True)[1].astype(np.int64)
    return np.zeros(stream.n_positions, np.int64)


def context_codes(codes: np.ndarray, document_start: np.ndarray, n_tokens: int) -> np.ndarray:
    """Return a number for the last `n_tokens` tokens at each position, within its document."""
    distinct = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    base = int(distinct.max(initial=0)) + 2
    combined = distinct + 1
    positions = np.arange(len(codes))
    begun = np.repeat(document_start[:-1], np.diff(document_start))
    for back in range(1, n_tokens):
        earlier = positions - back
        token = np.where(earlier >= begun, distinct[np.maximum(earlier, 0)] + 1, 0)
        # Renumbered each time, so that the product cannot overflow.
        combined = np.unique(combined * base + token, return_inverse=True)[1].astype(np.int64)
    return combined


class LookupBaseline:
    """Predicts the mean label of the same context among the documents it was fitted on.

    Parameters
    ----------
    contexts : list of ndarray (n_positions,)
        Codes of contexts, shortest first; one that was not seen falls back to the shorter.
    """

    def __init__(self, contexts: list[np.ndarray]) -> None:
        self.contexts = contexts

    def predict(self, fit: Rows, targets: np.ndarray, test: Rows) -> np.ndarray:
        """Return the predictions for the test rows.

        Parameters
        ----------
        fit, test : Rows
        targets : ndarray (n_fit, n_columns) float64
            One-hot classes, or numbers.

        Returns
        -------
        ndarray (n_test, n_columns)
        """
        found = np.tile(targets.mean(axis=0), (len(test), 1))
        for context in self.contexts:
            seen, place = np.unique(context[fit.index], return_inverse=True)
            sums = np.stack(
                [np.bincount(place, weights=c, minlength=len(seen)) for c in targets.T], axis=1
            )
            counts = np.bincount(place, minlength=len(seen))[:, None]
            wanted = context[test.index]
            at = np.minimum(np.searchsorted(seen, wanted), len(seen) - 1)
            known = seen[at] == wanted
            # The shorter context counts as one observation.
            found[known] = (sums[at[known]] + found[known]) / (counts[at[known]] + 1)
        return found
