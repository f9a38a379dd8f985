"""Images as a model looks at them: positions are patches, on one grid or on several."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interp.corpora import Images
from interp.errors import CorpusError, InterpError, ModelError
from interp.extraction.encoding import Batch
from interp.extraction.model_input import ModelInput
from interp.extraction.options import Options
from interp.extraction.schedule import DEFAULT_WINDOW, Step, plan_schedule
from interp.models.adapter import IMAGE
from interp.models.rectangles import grid_shape
from interp.storage import StreamPlan

if TYPE_CHECKING:
    from interp.models import LoadedModel

#: Numbers in the pixels of one forward, at most, unless one image alone has more: 64 MB.
_PIXELS_PER_FORWARD = 2**24


class ImageInput(ModelInput):
    """Images, each a document.

    The stream ``"image"`` has the finest patches. Where the model merges patches on its way, the
    adapter says which there are then, and each grid is a stream of its own, such as
    ``"image_8x8"`` (rows × columns).

    Parameters
    ----------
    loaded : LoadedModel
        With an adapter of images.
    images : Images
        What it looks at.
    options : Options
        The user's choices.

    Raises
    ------
    InterpError
        If the adapter refuses an image, or gives other shapes for some than for others.
    """

    kind = "images"

    def __init__(self, loaded: LoadedModel, images: Images, options: Options) -> None:
        if options.stride is not None or options.window is not None:
            raise InterpError(
                f"--window and --stride are for texts; {loaded.spec} looks at images."
            )
        super().__init__(loaded)
        self.predicts = None
        self._images = images
        self._device = options.device
        rectangles = []
        for name, image in zip(images.names, images, strict=True):
            try:
                pixels, found = self._adapter.encode(image)
            except CorpusError as error:
                raise CorpusError(f"{name}: {error}") from error
            self._shape = getattr(self, "_shape", np.shape(pixels))
            if np.shape(pixels) != self._shape:
                raise CorpusError(
                    f"{name} becomes pixels of shape {np.shape(pixels)}, images before it of "
                    f"{self._shape}; the adapter must bring them to one size."
                )
            rectangles.append(np.asarray(found, np.int64).reshape(-1, 4))
        self._rectangles = np.concatenate(rectangles)
        lengths = np.array([len(found) for found in rectangles], np.int64)
        self._coarser = _coarser_grids(loaded, lengths)
        at_once = max(1, _PIXELS_PER_FORWARD // int(np.prod(self._shape)))
        self.schedule = plan_schedule(
            lengths,
            min(options.batch_size, at_once),
            DEFAULT_WINDOW,
            whole=True,
            budget=None,
            stream=IMAGE,
            beside={name: np.full_like(lengths, len(at)) for name, at in self._coarser.items()},
        )
        self.source, self.corpus_hash = images.source, images.hash()

    def streams(self) -> list[StreamPlan]:
        """Return the stream ``"image"``, and one for each coarser grid."""
        shown = [np.asarray(self._adapter.show(image)) for image in self._images]
        n = len(self._images)
        rectangles = {IMAGE: self._rectangles}
        rectangles |= {name: np.tile(grid, (n, 1)) for name, grid in self._coarser.items()}
        return [
            StreamPlan(
                name=name,
                document_names=list(self._images.names),
                document_start=self.schedule.document_start(name),
                images=shown,
                rectangles=found,
                vocabulary=None,
            )
            for name, found in rectangles.items()
        ]

    def said(self) -> dict[str, Any]:
        """Return the names of the classes."""
        return {"classes": list(self._adapter.vocabulary)}

    def keep(self, streams: Collection[str]) -> None:
        """Leave out coarser grids to which no site belongs."""
        self._coarser = {name: at for name, at in self._coarser.items() if name in streams}
        beside = {name: self.schedule.beside[name] for name in self._coarser}
        self.schedule = replace(self.schedule, beside=beside)

    def batch(self, step: Step) -> Batch:
        """Return the pixels of a step's images."""
        pixels = np.stack([self._adapter.encode(self._images[i])[0] for i in step.documents])
        inputs = torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).to(self._device)
        lengths = torch.from_numpy(step.lengths.copy())
        fed = {name: part.n_fed for name, part in step.parts.items()}
        return Batch(inputs, lengths, None, fed)

    def place(self, document: int, position: int) -> str:
        """Return the name of a place, for messages."""
        return f"position {position} of image {self._images.names[document]}"


def _coarser_grids(loaded: LoadedModel, lengths: np.ndarray) -> dict[str, np.ndarray]:
    """Return the rectangles of each grid behind a merging of patches, by stream.

    Raises
    ------
    ModelError
        If the adapter names what is no grid.
    """
    found: dict[str, np.ndarray] = {}
    for rectangles in getattr(loaded.adapter, "coarser", ()):
        at = np.asarray(rectangles, np.int64).reshape(-1, 4)
        shape = grid_shape(at)
        if shape is None:
            raise ModelError(
                f"The adapter of {loaded.spec} names coarser patches {np.shape(rectangles)} that "
                "do not lie row by row on a grid; see interp.models.rectangles."
            )
        if len(at) not in {*lengths.tolist(), *map(len, found.values())}:
            found[f"{IMAGE}_{shape[0]}x{shape[1]}"] = at
    return found
