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


def grid_shape(rectangles: np.ndarray) -> tuple[int, int] | None:
    """Return the rows and columns of patches that lie row by row on a grid, else None.

    Parameters
    ----------
    rectangles : ndarray (n_patches, 4)
        Without positions that are no patch.
    """
    rectangles = np.asarray(rectangles)
    n_rows, n_columns = (len(np.unique(rectangles[:, side])) for side in (1, 0))
    if not len(rectangles) or n_rows * n_columns != len(rectangles):
        return None
    left, top, right, bottom = rectangles.T.reshape(4, n_rows, n_columns)
    by_column = (left == left[:1]).all() and (right == right[:1]).all()
    by_row = (top == top[:, :1]).all() and (bottom == bottom[:, :1]).all()
    rises = (np.diff(left[0]) > 0).all() and (np.diff(top[:, 0]) > 0).all()
    return (n_rows, n_columns) if by_column and by_row and rises else None


def merged_rectangles(rectangles: np.ndarray, factor: int = 2) -> np.ndarray:
    """Return the patches of a grid merged into squares of `factor` × `factor`.

    At the right and at the bottom less than that may be left for a patch.

    Parameters
    ----------
    rectangles : ndarray (n_patches, 4)
        Of a grid, see :func:`grid_shape`.
    factor : int

    Returns
    -------
    ndarray (n_merged, 4) int64
        Left, top, right, bottom, row by row.
    """
    shape = grid_shape(rectangles)
    if shape is None:
        raise ValueError("these patches are no grid")
    left, top, right, bottom = np.asarray(rectangles, np.int64).T.reshape(4, *shape)
    rows, columns = (np.arange(0, n, factor) for n in shape)
    last_row, last_column = (
        np.minimum(at + factor, n) - 1 for at, n in zip((rows, columns), shape, strict=True)
    )
    first, last = np.ix_(rows, columns), np.ix_(last_row, last_column)
    merged = np.stack([left[first], top[first], right[last], bottom[last]], axis=-1)
    return merged.reshape(-1, 4)
