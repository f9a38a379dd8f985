"""The handwritten digits that come with scikit-learn: 1,797 images of 8 × 8 pixels."""

from __future__ import annotations

import numpy as np

from interp.errors import CorpusError, unknown_name

#: What stands before the name of a part where a corpus is asked for, as in ``digits:test``.
DIGITS = "digits:"
PARTS = ("test", "train", "all")
N_TEST = 450


def read_digits(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and digits of one part, split at random once and for all.

    Parameters
    ----------
    part : str
        ``"train"`` (1,347 images), ``"test"`` (450) or ``"all"``, with or without ``digits:``.

    Returns
    -------
    images : ndarray (n_images, 8, 8) uint8
        0 for paper, 255 for full ink.
    digits : ndarray (n_images,) int64

    Raises
    ------
    CorpusError
        If there is no such part.
    """
    from sklearn.datasets import load_digits

    name = part.removeprefix(DIGITS) or "all"
    if name not in PARTS:
        raise CorpusError(unknown_name("part of the digits", name, PARTS))
    bundled = load_digits()
    images = np.rint(bundled.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(images))
    chosen = {"test": order[:N_TEST], "train": order[N_TEST:], "all": np.arange(len(images))}[name]
    return images[chosen], bundled.target[chosen].astype(np.int64)
