"""Maps made by hand, of heads that do one thing and nothing else."""

import numpy as np


def uniform(key_range, n_keys):
    """Equal weights on every visible key."""
    key = np.arange(n_keys)
    seen = (key >= key_range[:, :1]) & (key < key_range[:, 1:])
    return seen / np.maximum(seen.sum(axis=1, keepdims=True), 1)


def causal(n):
    return np.stack([np.zeros(n, int), np.arange(1, n + 1)], axis=1)


def at(targets, fallback):
    """Rows that attend to the given lists of keys alone; where a list is empty, as `fallback`."""
    found = np.array(fallback, float)
    for row, keys in enumerate(targets):
        if len(keys):
            found[row] = 0
            found[row, keys] = 1 / len(keys)
    return found


def earlier(tokens, shift=0):
    """For each query, the keys `shift` after earlier occurrences of its token, by definition."""
    return [
        [s + shift for s in range(t) if tokens[s] == tokens[t] and s + shift < t]
        if shift
        else [s for s in range(t) if tokens[s] == tokens[t]]
        for t in range(len(tokens))
    ]
