"""What a model must offer so that text, pairs or images go in and predictions come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

TEXT, SOURCE, TARGET, IMAGE = "text", "source", "target", "image"
#: What an adapter's `streams` may be; an adapter without that attribute has the stream ``"text"``.
STREAMS = ((TEXT,), (SOURCE, TARGET), (IMAGE,))


@runtime_checkable
class Adapter(Protocol):
    """The way from text to a model and back.

    Adapters of other kinds have the same names and one more, `streams`: ``("source", "target")``
    for a :class:`PairAdapter`, ``("image",)`` for an :class:`ImageAdapter`.

    Attributes
    ----------
    module : torch.nn.Module
        The module whose inside is recorded, in eval mode.
    vocabulary : list of str
        The string of every token id.
    predicts : {"next", "same"}
        Whether the logits at position t speak about position t + 1 (a language model) or about
        position t itself (a masked model, a tagger).
    carries_state : bool
        Whether `forward` may be called on consecutive windows of one document, handing the
        returned state to the next call, with the same values as one long pass. A bidirectional
        net cannot.

    Notes
    -----
    What an adapter may have beside these, each read where it is there:

    context_length : int or None
        The most positions that the model takes at once. Longer documents are fed in overlapping
        windows.
    steps : tuple of str
        Modules that the model calls once per step of a sequence, such as a hand-written cell.
    end_ids : collection of int
        Tokens with which a generated text ends.
    begin() : method
        Returns the state before the first position, for a model that hands a state on only when
        asked (a cache of keys and values): `forward` with this state, or with one that came of
        it, reads the next piece and returns the state behind it.
    keep_rows(state, n_rows) : method
        Returns the state of the first rows, see `forward`.
    text_of(ids) : method
        Returns text and spans (None for one character a position) of token ids that a model
        generated. The strings of `decode`, side by side, stand in for it.
    hashes() : method
        Returns a dictionary of further hashes for the provenance, such as the tokenizer's.
    """

    module: nn.Module
    vocabulary: list[str]
    predicts: Literal["next", "same"]
    carries_state: bool

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the token ids (n_positions,) of `text` and their character spans.

        The spans are (n_positions, 2) offsets into `text`, or None when every character is one
        position. A token that stands for no character, such as one that marks the beginning, has
        an empty span.
        """
        ...

    def decode(self, ids: np.ndarray) -> list[str]:
        """Return the string of each id."""
        ...

    def forward(self, ids: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor | None, Any]:
        """Run the model on a padded batch.

        Parameters
        ----------
        ids : Tensor (batch, steps) int64
            Padded at the end.
        lengths : Tensor (batch,) int64
            Real steps of each row.
        state : object
            None at the start of a document, else what the previous window returned, for the
            rows that go on: documents of a batch end at different windows, longest first.

        Returns
        -------
        logits : Tensor (batch, steps, n_vocabulary) or None
        state : object
            To be handed to the next window; None when there is none. A tensor, or tuples, lists
            and dictionaries of tensors, whose batch is axis 1 where a tensor has three or more
            axes (layers, batch, units) and axis 0 where it has one or two (batch, units), so
            that its first rows can be kept. For a state of another form the adapter has one
            more method, ``keep_rows(state, n_rows)``, which returns the state of the first
            `n_rows` rows.
        """
        ...


class PairAdapter(Protocol):
    """The way from pairs of texts to an encoder–decoder and back.

    `module`, `carries_state` (False) and what an adapter may have besides are as in
    :class:`Adapter`; `context_length` holds for both streams.

    Attributes
    ----------
    streams : tuple
        ``("source", "target")``.
    vocabulary, source_vocabulary : list of str
        The string of every token id of the target, and of the source.
    predicts : {"next", "same"}
        What the logits at a position of the target speak about.
    """

    streams: tuple[str, str]
    module: nn.Module
    vocabulary: list[str]
    source_vocabulary: list[str]
    predicts: Literal["next", "same"]
    carries_state: bool

    def encode(self, text: str, stream: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Return ids and spans of a text of the ``"source"`` or the ``"target"``.

        The target is what the decoder reads: it begins with the start token, whose span is
        empty, and has no end token, so that ``encode("", "target")`` is the start token alone.
        """
        ...

    def decode(self, ids: np.ndarray, stream: str) -> list[str]:
        """Return the string of each id."""
        ...

    def forward(
        self, ids: Mapping[str, Tensor], lengths: Mapping[str, Tensor], state: Any
    ) -> tuple[Tensor | None, Any]:
        """Run the model on a batch of pairs, the decoder reading the target as it is given.

        Parameters
        ----------
        ids, lengths : mapping of stream to Tensor (batch, steps), (batch,) int64
            Padded at the end. Without ``"source"`` where `state` holds what became of it.
        state : object
            None for whole pairs. For an adapter with `begin`: what `begin` returned, on the
            first piece of the target, then what the call before returned.

        Returns
        -------
        logits : Tensor (batch, target steps, n_vocabulary) or None
        state : object
            None unless one was given.
        """
        ...


class ImageAdapter(Protocol):
    """The way from images to a model.

    Attributes
    ----------
    streams : tuple
        ``("image",)``. Its positions are patches.
    vocabulary : list of str
        The classes that the logits speak about; empty if there are none.
    predicts, carries_state
        Of no meaning here: ``"same"`` and False.

    Notes
    -----
    coarser : sequence of ndarray (n_patches, 4), optional
        Where the model merges patches on its way (Swin): the rectangles of the patches behind
        each merging, as `encode` gives those of the finest. Each is a stream of the recording.
        :func:`interp.models.rectangles.merged_rectangles` makes them.
    """

    streams: tuple[str]
    module: nn.Module
    vocabulary: list[str]
    predicts: Literal["next", "same"]
    carries_state: bool

    def encode(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the model's input and the patches.

        Parameters
        ----------
        image : ndarray (height, width) or (height, width, 3) uint8

        Returns
        -------
        pixels : ndarray (n_channels, height, width) float32
            Of one shape for all images of a batch; images of one shape are batched together.
        rectangles : ndarray (n_positions, 4) int
            Left, top, right, bottom of each position in pixels of what `show` returns, right and
            bottom exclusive; zeros for a position that is no patch, such as a class token.
        """
        ...

    def show(self, image: np.ndarray) -> np.ndarray:
        """Return the image as the model sees it, (height, width) or (height, width, 3) uint8."""
        ...

    def decode(self, ids: np.ndarray) -> list[str]:
        """Return the name of each class."""
        ...

    def forward(self, ids: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor | None, Any]:
        """Return logits (batch, n_classes) or None, and None.

        `ids` are the pixels, (batch, n_channels, height, width); `lengths` the positions of each.
        """
        ...


def streams_of(adapter: Any) -> tuple[str, ...]:
    """Return the streams of an adapter, ``("text",)`` where it says nothing."""
    return tuple(getattr(adapter, "streams", (TEXT,)))
