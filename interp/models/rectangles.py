"""Patches of an image as rectangles of pixels."""

from __future__ import annotations

import numpy as np


def patch_rectangles(height: int, width: int, patch_height: int, patch_width: int) -> np.ndarray:
    """Return the patches of an image, row by row from the top left.

    Parameters
    ----------
    height, width : int
        Of the image, in pixels.
    patch_height, patch_width : int
        Of a patch; what is left at the right and at the bottom belongs to none.

    Returns
    -------
    ndarray (n_patches, 4) int64
        Left, top, right, bottom; right and bottom exclusive.
    """
    tops = np.arange(height // patch_height) * patch_height
    lefts = np.arange(width // patch_width) * patch_width
    top, left = (axis.reshape(-1) for axis in np.meshgrid(tops, lefts, indexing="ij"))
    return np.stack([left, top, left + patch_width, top + patch_height], axis=1)
