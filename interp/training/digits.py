"""Handwritten digits of scikit-learn, 8 × 8 pixels, for a vision Transformer."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from interp.corpora.digits import read_digits
from interp.models.vision import VisionConfig
from interp.training.fitting import FitConfig
from interp.training.tasks import Measure, Task

#: Mean brightness from which a patch counts as ink.
INK = 0.25


class DigitTask(Task):
    """Which digit an image shows."""

    summary = (
        "A vision Transformer that tells handwritten digits: 16 patches of 2 × 2 pixels and a "
        "class token through three blocks of four heads."
    )
    training = FitConfig(
        n_steps=3_000, batch_size=64, learning_rate=3e-3, n_warm_up=200, weight_decay=0.05
    )

    @cached_property
    def train(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and digits to train on."""
        return read_digits("train")

    def config(self) -> dict[str, Any]:
        """Return the shape of the net."""
        return VisionConfig().to_dict()

    def data(self) -> dict[str, str]:
        """Return where the images are from."""
        return {
            "data": "`sklearn.datasets.load_digits`: 1,797 images of 8 × 8 pixels (UCI Optical "
            "Recognition of Handwritten Digits), 1,347 to train, 450 to test, split at random; "
            "in training moved by at most one pixel"
        }

    def loss(self, found: Any, rng: np.random.Generator, batch_size: int) -> Tensor:
        """Return the mean loss of the digit, on images moved by up to one pixel."""
        images, digits = self.train
        chosen = rng.integers(0, len(images), batch_size)
        moved = np.zeros((batch_size, 10, 10), np.uint8)
        down, right = rng.integers(0, 3, (2, batch_size))
        for row, index in enumerate(chosen):
            moved[row, down[row] : down[row] + 8, right[row] : right[row] + 8] = images[index]
        pixels = torch.from_numpy(moved[:, None, 1:9, 1:9].astype(np.float32) / 255)
        logits, _ = found.forward(pixels, None, None)
        return F.cross_entropy(logits, torch.from_numpy(digits[chosen]))

    def measure(self, found: Any) -> list[Measure]:
        """Return the accuracy, and how much of the class token's attention lies on ink."""
        images, digits = read_digits("test")
        pixels = torch.from_numpy(images[:, None].astype(np.float32) / 255)
        logits, _ = found.forward(pixels, None, None)
        right = (logits.argmax(-1).numpy() == digits).mean()
        on_ink, share = attention_on_ink(found, images)
        last = found.module.config.n_layers - 1
        return [
            Measure("accuracy", float(right), f"of {len(images)} test images"),
            Measure(
                "attention on ink",
                float(on_ink[last].mean()),
                f"of the class token in `blocks.{last}.attention`, mean over heads: share of its "
                "attention to patches that lies on patches with ink",
            ),
            Measure("best head", float(on_ink[last].max()), "the same for that block's best head"),
            Measure("patches with ink", share, "what attention spread evenly would have on ink"),
        ]

    def notes(self) -> list[str]:
        """Say what a patch with ink is."""
        return [
            f"A patch has ink if its mean brightness is at least {INK:g} of full. The position of "
            "the class token is 0, patches follow row by row."
        ]


def attention_on_ink(found: Any, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the share of the class token's attention to patches that lies on ink.

    Parameters
    ----------
    found : DigitAdapter
    images : ndarray (n_images, 8, 8) uint8

    Returns
    -------
    on_ink : ndarray (n_layers, n_heads)
        Mean over images; the class token's attention to itself is left out.
    share : float
        Of the patches, those with ink: what even attention would reach.
    """
    from interp.capture import Recorder

    pixels = torch.from_numpy(images[:, None].astype(np.float32) / 255)
    side = found.module.config.patch_size
    ink = F.avg_pool2d(pixels, side).flatten(1) >= INK
    with (
        Recorder(found.module, sites=["blocks.*.attention/attention"]) as recorder,
        torch.inference_mode(),
    ):
        found.module(pixels)
    shares = []
    for site in recorder.sites:
        to_patches = recorder[site][:, :, 0, 1:]
        to_patches = to_patches / to_patches.sum(-1, keepdim=True)
        shares.append((to_patches * ink[:, None]).sum(-1).mean(0).numpy())
    return np.stack(shares), float(ink.float().mean())
