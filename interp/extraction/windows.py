"""Where the windows of a model lie that attends within windows of an image (Swin).

The maps of such a model have a row of the batch per window; here they become rows of patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


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
    """

    stream: str
    size: int
    places: np.ndarray

    @property
    def n_windows(self) -> int:
        """Windows of an image."""
        return len(self.places) // self.size

    @cached_property
    def order(self) -> np.ndarray:
        """The patches (n_patches,), window after window by their first, in each as they rise."""
        windows = np.sort(self.places.reshape(-1, self.size), axis=1)
        return windows[np.argsort(windows[:, 0])].reshape(-1)

    @cached_property
    def ranges(self) -> np.ndarray:
        """The first and one-past-last place in `order` of each patch's keys, (n_patches, 2)."""
        first = np.empty(len(self.places), np.int64)
        first[self.order] = np.arange(len(self.places)) // self.size * self.size
        return np.stack([first, first + self.size], axis=1)

    @cached_property
    def _columns(self) -> Tensor:
        columns = np.argsort(self.places.reshape(-1, self.size), axis=1)
        return torch.from_numpy(columns)[None, :, None]

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
            Each row's keys in the order of `order`.
        """
        device = maps.device
        by_head = maps.transpose(0, 1)
        columns = self._columns.to(device).expand(len(by_head), -1, self.size, -1)
        by_head = by_head.gather(-1, columns).flatten(1, 2)
        return by_head[:, self._place_of.to(device)]

    def unrolled(self, values: Tensor) -> Tensor:
        """Return values (batch · n_windows, n_heads, size, width) by image and patch.

        Returns
        -------
        Tensor (batch, n_heads, n_patches, width)
        """
        by_image = values.unflatten(0, (-1, self.n_windows)).transpose(1, 2).flatten(2, 3)
        return by_image[:, :, self._place_of.to(values.device)]

    def patch_of(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the key that stands in a column of a row of `rows`."""
        return self.order[self.ranges[rows, 0] + columns]
