"""Images as a model looks at them: positions are patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interp.corpora import Images
from interp.errors import CorpusError, InterpError
from interp.extraction.encoding import Batch
from interp.extraction.options import Options
from interp.extraction.schedule import DEFAULT_WINDOW, Step, plan_schedule
from interp.models.adapter import IMAGE
from interp.storage import AnnotationPlan, StreamPlan

if TYPE_CHECKING:
    from interp.models import LoadedModel

#: Numbers in the pixels of one forward, at most, unless one image alone has more: 64 MB.
_PIXELS_PER_FORWARD = 2**24


class ImageInput:
    """Images, each a document; a :class:`interp.extraction.model_input.ModelInput`.

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
    left_out = ""
    predicts = None

    def __init__(self, loaded: LoadedModel, images: Images, options: Options) -> None:
        if options.stride is not None or options.window is not None:
            raise InterpError(
                f"--window and --stride are for texts; {loaded.spec} looks at images."
            )
        adapter: Any = loaded.adapter
        self._adapter = adapter
        self._images = images
        self._device = options.device
        rectangles = []
        for name, image in zip(images.names, images, strict=True):
            try:
                pixels, found = adapter.encode(image)
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
        at_once = max(1, _PIXELS_PER_FORWARD // int(np.prod(self._shape)))
        self.schedule = plan_schedule(
            lengths,
            min(options.batch_size, at_once),
            DEFAULT_WINDOW,
            whole=True,
            budget=None,
            stream=IMAGE,
        )
        self.source, self.corpus_hash = images.source, images.hash()

    def streams(self) -> list[StreamPlan]:
        """Return the one stream, ``"image"``."""
        return [
            StreamPlan(
                name=IMAGE,
                document_names=list(self._images.names),
                document_start=self.schedule.document_start(),
                images=[np.asarray(self._adapter.show(image)) for image in self._images],
                rectangles=self._rectangles,
                vocabulary=None,
            )
        ]

    def annotations(self) -> Sequence[AnnotationPlan]:
        """Return nothing: images bring no annotation."""
        return ()

    def said(self) -> dict[str, Any]:
        """Return the names of the classes."""
        return {"classes": list(self._adapter.vocabulary)}

    def batch(self, step: Step) -> Batch:
        """Return the pixels of a step's images."""
        pixels = np.stack([self._adapter.encode(self._images[i])[0] for i in step.documents])
        inputs = torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).to(self._device)
        lengths = torch.from_numpy(step.lengths.copy())
        return Batch(inputs, lengths, None, {IMAGE: step.n_steps})

    def probe(self, step: Step) -> Batch:
        """Return the pixels of a step's images; the length of the only stream is its own."""
        return self.batch(step)

    def place(self, document: int, position: int) -> str:
        """Return the name of a place, for messages."""
        return f"position {position} of image {self._images.names[document]}"
