"""Where the windows of a model lie that attends within windows of an image (Swin).

The maps of such a model have a row of the batch per window; here they become rows of patches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

#: A weight that is no more is that of a key which the model masks by a large negative number.
MASKED_WEIGHT = 1e-20


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of one attention site, the same for all images.

    Attributes
    ----------
    stream : str
        The grid of patches.
    size : int
        Patches of a window.
    places : ndarray (n_patches,) int64
        The patch at each place, window after window, as the model lays them out.
    groups : ndarray (n_patches,) int64, or None
        A number for each place; those of one window and one number see each other. Of windows
        that are shifted over the edge of the image, parts of the image that are no neighbours
        don't. None: all of a window do.
    """

    stream: str
    size: int
    places: np.ndarray
    groups: np.ndarray | None = None

    @property
    def n_windows(self) -> int:
        """Windows of an image."""
        return len(self.places) // self.size

    @cached_property
    def _first(self) -> np.ndarray:
        """The first patch of each place's group, by which groups are known."""
        window = np.arange(len(self.places)) // self.size
        groups = np.zeros_like(window) if self.groups is None else self.groups
        _, number = np.unique(np.stack([window, groups]), axis=1, return_inverse=True)
        number = number.reshape(-1)
        first = np.full(number.max() + 1, len(self.places))
        np.minimum.at(first, number, self.places)
        return first[number]

    @cached_property
    def order(self) -> np.ndarray:
        """The patches (n_patches,), group after group by their first, in each as they rise."""
        return self.places[np.lexsort((self.places, self._first))]

    @cached_property
    def ranges(self) -> np.ndarray:
        """The first and one-past-last place in `order` of each patch's keys, (n_patches, 2)."""
        ordered = np.sort(self._first)
        mine = np.empty_like(self._first)
        mine[self.places] = self._first
        return np.stack([np.searchsorted(ordered, mine, side) for side in ("left", "right")], 1)

    @cached_property
    def _columns(self) -> Tensor:
        """For each place those of its window, its own group first, as patches rise."""
        first = self._first.reshape(-1, self.size)
        other = first[:, :, None] != first[:, None, :]
        patch = np.broadcast_to(self.places.reshape(-1, 1, self.size), other.shape)
        return torch.from_numpy(np.lexsort((patch, other)))[None]

    @cached_property
    def _place_of(self) -> Tensor:
        return torch.from_numpy(np.argsort(self.places))

    def rows(self, maps: Tensor) -> Tensor:
        """Return the rows of one image's maps in the order of its patches.

        Parameters
        ----------
        maps : Tensor (n_windows, n_heads, size, size)

        Returns
        -------
        Tensor (n_heads, n_patches, size)
            Of each row first the keys that it sees, in the order of `order`, then the others.
        """
        device = maps.device
        by_head = maps.transpose(0, 1)
        columns = self._columns.to(device).expand(len(by_head), -1, -1, -1)
        return by_head.gather(-1, columns).flatten(1, 2)[:, self._place_of.to(device)]

    def unrolled(self, values: Tensor) -> Tensor:
        """Return values (batch · n_windows, n_heads, size, width) by image and patch.

        Returns
        -------
        Tensor (batch, n_heads, n_patches, width)
        """
        by_image = values.unflatten(0, (-1, self.n_windows)).transpose(1, 2).flatten(2, 3)
        return by_image[:, :, self._place_of.to(values.device)]

    def patch_of(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the key that stands in a column of a row of `rows`, if the row sees it."""
        return self.order[self.ranges[rows, 0] + columns]

    def whole(self) -> Windows:
        """Return the same where all patches of a window count as seen."""
        return replace(self, groups=None)


def groups_of(seen: np.ndarray) -> np.ndarray | None:
    """Return which places of each window see each other, as numbers, None if that is no matter.

    Parameters
    ----------
    seen : ndarray (n_windows, size, size) bool
        Whether a query gives a key any weight.

    Returns
    -------
    ndarray (n_windows * size,) int64, or None
        None where all see all, or what they see does not part them into groups.
    """
    first = seen.argmax(axis=2)
    same = first[:, :, None] == first[:, None, :]
    return None if seen.all() or not np.array_equal(seen, same) else first.reshape(-1)
