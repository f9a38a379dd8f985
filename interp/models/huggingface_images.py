"""Adapters of Hugging Face models that look at images: their positions are patches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interp.errors import ModelError
from interp.models.adapter import IMAGE
from interp.models.rectangles import grid_shape, merged_rectangles, patch_rectangles

#: Pillow's numbers of the ways to resize.
_MODES = {0: "nearest", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class Preparation:
    """What becomes of an image before a model sees it; done here, without torchvision.

    Attributes
    ----------
    height, width : int
        To which it is resized.
    n_channels : int
        1 or 3.
    mode : str
        How: torch's name, with antialiasing.
    mean, std : tuple of float
        Of each channel: ``(pixel * scale - mean) / std``.
    scale : float
        Of the pixels, 0 to 255.
    """

    height: int
    width: int
    n_channels: int = 3
    mode: str = "bilinear"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    scale: float = 1 / 255

    @classmethod
    def of(cls, config: Any, folder: Path) -> Preparation:
        """Return what a model's configuration and ``preprocessor_config.json`` say."""
        said: dict[str, Any] = {}
        for name in ("preprocessor_config.json", "image_processor_config.json"):
            if (folder / name).is_file():
                said = json.loads((folder / name).read_text("utf-8"))
        height, width = _pair(config.image_size)
        n_channels = int(getattr(config, "num_channels", 3))
        normalises = said.get("do_normalize", True)
        mean, std = said.get("image_mean", 0.5), said.get("image_std", 0.5)
        return cls(
            height,
            width,
            n_channels,
            _MODES.get(said.get("resample", 2), "bilinear"),
            _per_channel(mean if normalises else 0.0, n_channels),
            _per_channel(std if normalises else 1.0, n_channels),
            said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0,
        )

    def show(self, image: np.ndarray) -> np.ndarray:
        """Return the image at the model's size, (height, width) or (height, width, 3) uint8."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).float()
        pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
        if self.n_channels == 1 and len(pixels) == 3:
            pixels = (torch.tensor([0.299, 0.587, 0.114])[:, None, None] * pixels).sum(0, True)
        if self.n_channels == 3 and len(pixels) == 1:
            pixels = pixels.expand(3, -1, -1)
        if tuple(pixels.shape[1:]) != (self.height, self.width):
            smooth: dict[str, Any] = {} if self.mode == "nearest" else {"antialias": True}
            size = (self.height, self.width)
            pixels = F.interpolate(pixels[None], size, mode=self.mode, **smooth)[0]
        shown = pixels.round().clamp(0, 255).to(torch.uint8)
        return (shown[0] if self.n_channels == 1 else shown.permute(1, 2, 0)).numpy()

    def pixels(self, shown: np.ndarray) -> np.ndarray:
        """Return the model's input (n_channels, height, width) float32."""
        channels = shown[None] if shown.ndim == 2 else shown.transpose(2, 0, 1)
        mean = np.asarray(self.mean, np.float32)[:, None, None]
        std = np.asarray(self.std, np.float32)[:, None, None]
        return (channels.astype(np.float32) * np.float32(self.scale) - mean) / std


class HuggingFaceImages:
    """A vision transformer, with or without a classifier.

    Parameters
    ----------
    module : torch.nn.Module
        Called with ``pixel_values``.
    preparation : Preparation
        From an image to these.

    Raises
    ------
    ModelError
        If its positions are not patches of one size, with class tokens before them.
    """

    streams = (IMAGE,)
    predicts: Literal["next", "same"] = "same"
    carries_state = False

    def __init__(self, module: nn.Module, preparation: Preparation) -> None:
        self.module = module
        self.preparation = preparation
        config: Any = module.config
        labels = getattr(config, "id2label", None) or {}
        self.vocabulary = [str(labels[key]) for key in sorted(labels)]
        self._rectangles = self._find_rectangles(config)
        self.coarser = _merged(self._rectangles, len(getattr(config, "depths", ())) - 1)

    def encode(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels (n_channels, height, width) and rectangles (n_positions, 4)."""
        return self.preparation.pixels(self.preparation.show(image)), self._rectangles

    def show(self, image: np.ndarray) -> np.ndarray:
        """Return the image at the model's size."""
        return self.preparation.show(image)

    def decode(self, ids: np.ndarray) -> list[str]:
        """Return the name of each class."""
        return [self.vocabulary[int(i)] for i in np.asarray(ids).tolist()]

    def forward(self, ids: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor | None, Any]:
        """Return logits (batch, n_classes), None without a classifier, and None."""
        del lengths, state
        dtype = next(self.module.parameters()).dtype
        output = self.module(pixel_values=ids.to(dtype))
        return getattr(output, "logits", None), None

    def _find_rectangles(self, config: Any) -> np.ndarray:
        size = getattr(config, "patch_size", None)
        if size is None:
            raise ModelError(
                f"{type(self.module).__name__} names no patch_size: its positions are no patches "
                "of one size. Record it from Python with batches and forward=."
            )
        prepared = self.preparation
        height, width = _pair(size)
        patches = patch_rectangles(prepared.height, prepared.width, height, width)
        n_before = self._n_positions() - len(patches)
        if n_before > 0:
            # Models that pad an image to whole patches have some that reach beyond it.
            reach = -(-prepared.height // height) * height, -(-prepared.width // width) * width
            beyond = patch_rectangles(*reach, height, width)
            if len(patches) < len(beyond) == self._n_positions():
                size = [prepared.width, prepared.height] * 2
                patches, n_before = np.minimum(beyond, size), 0
        if n_before < 0:
            raise ModelError(
                f"{type(self.module).__name__} has {self._n_positions()} positions for "
                f"{len(patches)} patches of an image, so positions are no single patches."
            )
        return np.concatenate([np.zeros((n_before, 4), np.int64), patches])

    def _n_positions(self) -> int:
        """Return the positions behind the embedding, by an empty image."""
        prepared = self.preparation
        parameter = next(self.module.parameters())
        shape = (1, prepared.n_channels, prepared.height, prepared.width)
        pixels = torch.zeros(shape, dtype=parameter.dtype, device=parameter.device)
        base: Any = getattr(self.module, "base_model", self.module)
        with torch.no_grad():
            found = base.embeddings(pixels)
        found = found[0] if isinstance(found, tuple) else found
        return int(found.shape[1])


def _merged(rectangles: np.ndarray, n_times: int) -> list[np.ndarray]:
    """Return the patches behind each merging of two by two neighbours, down to a single patch."""
    found: list[np.ndarray] = []
    while len(found) < n_times and grid_shape(rectangles) is not None and len(rectangles) > 1:
        rectangles = merged_rectangles(rectangles)
        found.append(rectangles)
    return found


def _pair(size: Any) -> tuple[int, int]:
    return (int(size[0]), int(size[1])) if isinstance(size, Sequence) else (int(size), int(size))


def _per_channel(value: Any, n_channels: int) -> tuple[float, ...]:
    values = list(value) if isinstance(value, Sequence) else [value]
    return tuple(
        float(v) for v in (values if len(values) == n_channels else values[:1] * n_channels)
    )
