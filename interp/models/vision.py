"""A small vision Transformer for handwritten digits, and its adapter to images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from interp.errors import CorpusError
from interp.models.blocks import Block, Positions


@dataclass(frozen=True)
class VisionConfig:
    """The shape of a :class:`VisionTransformer`; images and patches are square."""

    kind: str = "vision"
    n_layers: int = 3
    n_heads: int = 4
    n_embedding: int = 32
    image_size: int = 8
    patch_size: int = 2
    n_classes: int = 10

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return asdict(self)

    @property
    def n_patches(self) -> int:
        """Patches of an image."""
        return (self.image_size // self.patch_size) ** 2


class VisionTransformer(nn.Module):
    """Patches and a class token through blocks of attention (Dosovitskiy et al. 2021).

    The class token stands first; its last state is read out.

    Parameters
    ----------
    config : VisionConfig
        Sizes.
    dropout : float
        In training, on what each part of a block adds.
    """

    def __init__(self, config: VisionConfig, dropout: float = 0.1) -> None:
        super().__init__()
        self.config = config
        width = config.n_embedding
        self.patches = nn.Conv2d(1, width, config.patch_size, config.patch_size)
        self.class_token = nn.Embedding(1, width)
        self.positions = Positions(config.n_patches + 1, width)
        self.blocks = nn.ModuleList(
            Block(width, config.n_heads, dropout=dropout) for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.n_classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (batch, n_classes).

        Parameters
        ----------
        pixels : Tensor (batch, 1, image_size, image_size) float32
            0 for paper, 1 for ink.
        """
        patches = self.patches(pixels).flatten(2).transpose(1, 2)
        first = self.class_token.weight.expand(len(pixels), 1, -1)
        x = self.positions(torch.cat([first, patches], 1))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


class DigitAdapter:
    """One position for the class token and one per patch, row by row.

    Parameters
    ----------
    module : VisionTransformer
    """

    streams = ("image",)
    predicts: Literal["next", "same"] = "same"
    carries_state = False

    def __init__(self, module: VisionTransformer) -> None:
        self.module = module
        self.vocabulary = [str(digit) for digit in range(module.config.n_classes)]

    def encode(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels (1, size, size) float32 in 0 to 1, and a rectangle for each position.

        Parameters
        ----------
        image : ndarray (height, width) or (height, width, 3) uint8
            Bright ink on black; square, its side the model's or a multiple of it, which is
            averaged down.

        Raises
        ------
        CorpusError
            If the image has another shape.
        """
        config = self.module.config
        pixels = self.show(image).astype(np.float32)[None] / 255
        n, side = config.image_size // config.patch_size, config.patch_size
        top, left = np.divmod(np.arange(n * n), n)
        corners = np.stack([left, top, left + 1, top + 1], 1) * side
        return pixels, np.concatenate([np.zeros((1, 4), int), corners])

    def show(self, image: np.ndarray) -> np.ndarray:
        """Return the image as the model sees it, (size, size) uint8.

        Parameters
        ----------
        image : ndarray (height, width) or (height, width, 3) uint8
        """
        size = self.module.config.image_size
        image = np.asarray(image)
        grey = image.mean(2) if image.ndim == 3 else image.astype(np.float64)
        height, width = grey.shape if grey.ndim == 2 else (0, 0)
        if height != width or height == 0 or height % size:
            raise CorpusError(
                f"The model reads square images of {size} × {size} pixels or a multiple of it; "
                f"this one is an array of shape {image.shape}. Crop or resize it first."
            )
        block = height // size
        grey = grey.reshape(size, block, size, block).mean((1, 3))
        return np.clip(np.rint(grey), 0, 255).astype(np.uint8)

    def decode(self, ids: np.ndarray) -> list[str]:
        """Return the digit of each class."""
        return [self.vocabulary[index] for index in np.asarray(ids).tolist()]

    def forward(self, pixels: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor, None]:
        """Return logits (batch, n_classes), and no state.

        Parameters
        ----------
        pixels : Tensor (batch, 1, size, size) float32
        lengths : Tensor (batch,)
            Positions of each image, all the same.
        state : None
        """
        del lengths, state
        return self.module(pixels), None


def build(config: dict[str, Any]) -> DigitAdapter:
    """Return a freshly initialised model of this shape, in eval mode, with its adapter."""
    with torch.no_grad():
        return DigitAdapter(VisionTransformer(VisionConfig(**config)).eval())
