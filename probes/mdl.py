"""Minimum description length of labels given activations, by the online code.

Labels are sent in blocks, each coded with a probe fitted on the blocks before (Voita & Titov
2020). A probe that needs much data to learn the labels pays for it in bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Shares of the samples after which the probe is fitted again.
FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Description:
    """Length of a code for labels.

    Attributes
    ----------
    n_samples : int
    bits : float
        Of the online code.
    uniform_bits : float
        Of a code that knows only the number of classes.
    entropy_bits : float
        Of a code that knows how frequent each class is.
    compression : float
        `uniform_bits` / `bits`.
    compression_of_entropy : float
        `entropy_bits` / `bits`: what the activations add to knowing the frequencies.
    """

    n_samples: int
    bits: float
    uniform_bits: float
    entropy_bits: float
    compression: float
    compression_of_entropy: float


def online_code(
    X: np.ndarray,
    y: np.ndarray,
    document_start: np.ndarray,
    make_probe: Callable[[], Any],
    n_classes: int | None = None,
    seed: int = 0,
) -> Description:
    """Return the length of the online code of labels given activations.

    Parameters
    ----------
    X : ndarray (n_samples, n_units)
    y : ndarray (n_samples,)
        Classes 0 to n_classes - 1.
    document_start : ndarray (n_documents + 1,)
        Documents are sent in random order, each as a whole.
    make_probe : callable
        Returns a new classifier with ``fit`` and ``predict_proba``.
    n_classes : int, optional
    seed : int
    """
    y = np.asarray(y).astype(np.int64)
    k = int(n_classes or y.max() + 1)
    order = np.random.default_rng(seed).permutation(len(document_start) - 1)
    rows = np.concatenate([np.arange(document_start[d], document_start[d + 1]) for d in order])
    X, y, n = X[rows], y[rows], len(rows)
    edges = sorted({max(1, round(f * n)) for f in FRACTIONS})
    bits = edges[0] * np.log2(k)
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        p = _probabilities(make_probe, X[:start], y[:start], X[start:stop], k)
        bits -= np.log2(p[np.arange(stop - start), y[start:stop]]).sum()
    shares = np.bincount(y, minlength=k) / n
    entropy = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum()
    uniform_bits, entropy_bits = n * np.log2(k), n * entropy
    return Description(
        n, float(bits), float(uniform_bits), float(entropy_bits),
        float(uniform_bits / bits), float(entropy_bits / bits),
    )  # fmt: skip


def _probabilities(
    make_probe: Callable[[], Any], X: np.ndarray, y: np.ndarray, X_next: np.ndarray, k: int
) -> np.ndarray:
    """Return the coder's probabilities for the next block; every class keeps a little."""
    p = np.zeros((len(X_next), k))
    if len(np.unique(y)) > 1:
        probe = make_probe().fit(X, y)
        p[:, probe.classes_] = probe.predict_proba(X_next)
        kept = len(y) / (len(y) + 1)
        return kept * p + (1 - kept) / k
    p[:] = (np.bincount(y, minlength=k) + 1) / (len(y) + k)
    return p
