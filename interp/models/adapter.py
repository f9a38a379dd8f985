"""What a model must offer so that text goes in and predictions come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn


@runtime_checkable
class Adapter(Protocol):
    """The way from text to a model and back.

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
    """

    module: nn.Module
    vocabulary: list[str]
    predicts: Literal["next", "same"]
    carries_state: bool

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the token ids (n_positions,) of `text` and their character spans.

        The spans are (n_positions, 2) offsets into `text`, or None when every character is one
        position.
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
