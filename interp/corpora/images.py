"""Images: arrays, picture files, and the handwritten digits that scikit-learn brings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interp.corpora.digits import DIGITS, read_digits
from interp.corpora.items import Items
from interp.corpora.reading import files_of
from interp.errors import CorpusError
from interp.wording import kind_of

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
ARRAYS = (".npy", ".npz")
_FORMS = (
    "Images are an array (n, height, width) or (n, height, width, 3), of bytes or of numbers from "
    "0 to 1, in a .npy or .npz file or in Python; a folder of pictures; or digits:test."
)


@dataclass(frozen=True)
class Images(Items[np.ndarray]):
    """Images in the order in which a recording holds them.

    Attributes
    ----------
    images : tuple of ndarray (height, width) or (height, width, 3) uint8
        At least one.
    names : tuple of str
    source : str
        Where they come from, in the user's words.
    """

    images: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    source: str = "images"

    @property
    def _items(self) -> tuple[np.ndarray, ...]:
        return self.images

    def hash(self) -> str:
        """Return the SHA-256 of shapes and pixels, in hexadecimal; names do not count."""
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(str(image.shape).encode() + image.tobytes())
        return digest.hexdigest()


def names_images(corpus: Any) -> bool:
    """Return whether a corpus can only be one of images, told without reading it."""
    if isinstance(corpus, Images | np.ndarray):
        return True
    if isinstance(corpus, Mapping):
        return bool(corpus) and all(isinstance(item, np.ndarray) for item in corpus.values())
    if not isinstance(corpus, str | Path | Sequence):
        return False
    items = [corpus] if isinstance(corpus, str | Path) else list(corpus)
    return bool(items) and all(_names_an_image(item) for item in items)


def _names_an_image(item: Any) -> bool:
    if isinstance(item, np.ndarray):
        return True
    if not isinstance(item, str | Path):
        return False
    path = Path(item)
    if str(item).startswith(DIGITS) or path.suffix.lower() in PICTURES + ARRAYS:
        return True
    return path.is_dir() and any(child.suffix.lower() in PICTURES for child in path.iterdir())


def read_images(corpus: Any, *, glob: str | None = None) -> Images:
    """Return the images that `corpus` names, in a fixed order.

    Parameters
    ----------
    corpus : array, path, sequence of these, mapping of name to array, or Images
        ``digits:test``, ``digits:train`` and ``digits:all`` are scikit-learn's handwritten digits.
    glob : str, optional
        Which files of a directory; pictures by default.

    Raises
    ------
    CorpusError
        If a file is missing, or something is no image.
    """
    if isinstance(corpus, Images):
        return corpus
    if isinstance(corpus, Mapping):
        images = [as_bytes(np.asarray(image), str(name)) for name, image in corpus.items()]
        return _checked(images, [str(name) for name in corpus], "the given mapping")
    if isinstance(corpus, np.ndarray):
        images, names = _of_array(corpus, "the given array", "")
        return _checked(images, names, "the given array")
    items = [corpus] if isinstance(corpus, str | Path) else list(corpus)
    images, names = [], []
    for index, item in enumerate(items):
        if isinstance(item, np.ndarray):
            images.append(as_bytes(item, f"image {index}"))
            names.append(str(index))
        elif isinstance(item, str | Path):
            found, called = _named(item, glob, prefix=len(items) > 1)
            images += found
            names += called
        else:
            raise CorpusError(f"The corpus holds {kind_of(item)}. {_FORMS}")
    given = "the given list"
    if all(isinstance(item, str | Path) for item in items):
        given = ", ".join(map(str, items))
    return _checked(images, names, given)


def as_bytes(image: np.ndarray, name: str) -> np.ndarray:
    """Return an image as (height, width) or (height, width, 3) uint8.

    Raises
    ------
    CorpusError
        If it has another shape, or numbers that are neither bytes nor 0 to 1.
    """
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 4:
        image = image[:, :, :3]
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or 0 in image.shape:
        raise CorpusError(f"{name} has shape {image.shape}, which is no image. {_FORMS}")
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if image.dtype.kind == "b":
        return image.astype(np.uint8) * np.uint8(255)
    if (
        image.dtype.kind == "f"
        and np.isfinite(image).all()
        and 0 <= image.min() <= image.max() <= 1
    ):
        return np.rint(image * 255).astype(np.uint8)
    if image.dtype.kind in "iu" and 0 <= image.min() <= image.max() <= 255:
        return image.astype(np.uint8)
    raise CorpusError(
        f"{name} has {image.dtype} numbers from {image.min():.6g} to {image.max():.6g}; pixels are "
        "bytes, 0 to 255, or numbers from 0 to 1. Scale them first."
    )


def _named(item: str | Path, glob: str | None, prefix: bool) -> tuple[list[np.ndarray], list[str]]:
    if str(item).startswith(DIGITS):
        drawn, numbers = read_digits(str(item))
        return list(drawn), [f"{i}: {number}" for i, number in enumerate(numbers)]
    path = Path(item)
    found: list[np.ndarray] = []
    names: list[str] = []
    for name, file in files_of(path, glob, prefix):
        suffix = file.suffix.lower()
        if suffix in ARRAYS:
            images, called = _of_array(_load_array(file), str(file), f"{name}:")
            found += images
            names += called
        elif suffix in PICTURES or not path.is_dir() or glob is not None:
            found.append(_picture(file))
            names.append(name)
    return found, names


def _of_array(array: np.ndarray, name: str, prefix: str) -> tuple[list[np.ndarray], list[str]]:
    if array.ndim not in (3, 4):
        raise CorpusError(f"{name} has shape {array.shape}, which is no row of images. {_FORMS}")
    images = [as_bytes(image, f"image {i} of {name}") for i, image in enumerate(array)]
    return images, [f"{prefix}{i}" for i in range(len(images))]


def _load_array(file: Path) -> np.ndarray:
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        names = list(loaded)
        if len(names) == 1 or "images" in names:
            return loaded["images" if "images" in names else names[0]]
    except (OSError, ValueError) as error:
        raise CorpusError(f"{file} cannot be read as a NumPy array: {error}.") from error
    raise CorpusError(
        f"{file} holds {', '.join(names[:6])}; the images must be called 'images', or be the only "
        "array."
    )


def _picture(file: Path) -> np.ndarray:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise CorpusError(
            f"Reading {file.name} needs Pillow: pip install pillow, or give a NumPy array."
        ) from error
    try:
        with Image.open(file) as picture:
            grey = picture.mode in ("1", "L", "I", "I;16", "F")
            return np.asarray(picture.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise CorpusError(f"{file} cannot be read as a picture: {error}.") from error


def _checked(images: list[np.ndarray], names: list[str], source: str) -> Images:
    if not images:
        raise CorpusError(f"The corpus is empty: {source} holds no image. {_FORMS}")
    return Images(tuple(images), tuple(names), source)
