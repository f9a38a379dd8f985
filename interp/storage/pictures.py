"""The images of a stream of patches, and where on them each patch lies.

Images of a recording may differ in size, so their bytes stand one after the other, with the offset
and the shape of each; one image is one read.
"""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np

from interp.errors import StorageError
from interp.storage import schema
from interp.storage.hdf5 import reading
from interp.storage.offsets import read_starts


def packed_images(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bytes of all images, where each begins, and their shapes (n_images, 3)."""
    shapes = np.array([(*image.shape, 1)[:3] for image in images], "<u4").reshape(-1, 3)
    start = np.zeros(len(images) + 1, "<i8")
    np.cumsum([image.size for image in images], out=start[1:])
    parts = [np.ascontiguousarray(image).reshape(-1) for image in images]
    return np.concatenate(parts), start, shapes


def check_images(
    where: str, images: Sequence[np.ndarray] | None, rectangles: np.ndarray | None
) -> None:
    """Refuse what is no image, or no rectangle.

    Raises
    ------
    StorageError
        Naming the first.
    """
    for index, image in enumerate(images or ()):
        shape = image.shape
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or shape[2:] not in ((), (3,)):
            raise StorageError(
                f"{where}: image {index} is {image.dtype} of shape {shape}; images are "
                "uint8, (height, width) or (height, width, 3)."
            )
    if rectangles is None:
        return
    bad = rectangles.shape[1:] != (4,) or rectangles.dtype.kind not in "iu"
    if bad or (rectangles < 0).any() or (rectangles[:, :2] > rectangles[:, 2:]).any():
        raise StorageError(
            f"{where}: rectangles are whole numbers (n_positions, 4): left, top, right, bottom, "
            "left at most right and top at most bottom."
        )


def write_images(
    group: h5py.Group,
    images: Sequence[np.ndarray] | None,
    rectangles: np.ndarray | None,
    same: h5py.Group | None = None,
) -> None:
    """Write images and rectangles into a stream's group; nothing where there are none.

    The images of another stream, `same`, are linked to.
    """
    if images is not None and same is not None:
        for name in (schema.IMAGE, schema.IMAGE + schema.START_SUFFIX, schema.IMAGE_SHAPE):
            group[name] = same[name]
    elif images is not None:
        data, start, shapes = packed_images(images)
        group.create_dataset(schema.IMAGE, data=data)
        group.create_dataset(schema.IMAGE + schema.START_SUFFIX, data=start)
        group.create_dataset(schema.IMAGE_SHAPE, data=shapes)
    if rectangles is not None:
        group.create_dataset(schema.RECTANGLE, data=rectangles.astype("<u4"))


def digest_parts(group: h5py.Group) -> list[np.ndarray | None]:
    """Return what of a stream's group is hashed beside the rest; nothing without images."""
    names = (schema.IMAGE, schema.IMAGE_SHAPE, schema.RECTANGLE)
    if not any(name in group for name in names):
        return []
    return [group[name][:] if name in group else None for name in names]


def digest_parts_of(
    images: Sequence[np.ndarray] | None, rectangles: np.ndarray | None
) -> list[np.ndarray | None]:
    """Return the same of a plan."""
    if images is None and rectangles is None:
        return []
    data, _, shapes = packed_images(images) if images is not None else (None, None, None)
    return [data, shapes, rectangles]


class StoredImages(Sequence[np.ndarray]):
    """The images of a stream, each read when it is asked for.

    Parameters
    ----------
    group : h5py.Group
        The stream's.
    n_images : int
    """

    def __init__(self, group: h5py.Group, n_images: int) -> None:
        self._data: h5py.Dataset = group[schema.IMAGE]
        name, total = schema.IMAGE + schema.START_SUFFIX, self._data.shape[0]
        self._start = read_starts(group, name, n_images, total)
        self._shapes: np.ndarray = group[schema.IMAGE_SHAPE][:]
        if not np.array_equal(np.prod(self._shapes, 1, np.int64), np.diff(self._start)):
            raise ValueError("the shapes of the images are not those of their bytes")

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        i = range(len(self))[index]
        with reading("image"):
            pixels = self._data[self._start[i] : self._start[i + 1]]
        height, width, channels = self._shapes[i].tolist()
        shape = (height, width) if channels == 1 else (height, width, channels)
        return pixels.reshape(shape)
