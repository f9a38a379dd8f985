"""The batches of a user's DataLoader: how a model is run on them, and what their rows are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.errors import CorpusError
from interp.extraction.batch_streams import (
    BatchStreams,
    PairStreams,
    shorter_target,
    streams_of_batch,
)
from interp.extraction.batches import run_forward, to_device
from interp.wording import kind_of

if TYPE_CHECKING:
    from interp.models import LoadedModel

#: Batches among which one is looked for whose axes tell source from target.
_LOOKED_AT = 64


class GivenBatches:
    """An iterable of batches, and what the caller says about them.

    Parameters
    ----------
    loaded : LoadedModel
    batches : iterable
        Gone through once.
    device : str
    forward, lengths, names : callable, optional
        As for :func:`interp.extraction.record`.

    Raises
    ------
    CorpusError
        If the batches are no iterable.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        batches: Iterable[Any],
        device: str,
        forward: Callable[[Any, Any], Any] | None = None,
        lengths: Callable[[Any], Any] | None = None,
        names: Callable[[Any], Sequence[str]] | None = None,
    ) -> None:
        if not isinstance(batches, Iterable) or isinstance(batches, str | bytes | Path | Mapping):
            other = "" if forward is not None else "text (a path, or a mapping of name to text) or "
            raise CorpusError(
                f"The corpus is {kind_of(batches)}; it must be {other}an iterable of batches, as "
                "a DataLoader is."
            )
        self._module, self._batches, self._device = loaded.module, batches, device
        self._forward, self._lengths, self._names = forward or run_forward, lengths, names

    @property
    def n_batches(self) -> int | None:
        """How many batches there are, where the iterable tells."""
        try:
            return len(self._batches)  # type: ignore[arg-type]
        except TypeError:
            return None

    def begin(self) -> tuple[Any, Iterator[Any]]:
        """Return a batch that shows what can be recorded, and all batches from the first on.

        Of source and target it is one in which they differ in length; a dictionary as Hugging
        Face's models take it is made such.

        Raises
        ------
        CorpusError
            If there is no batch, or none tells source from target.
        """
        batches = iter(self._batches)
        seen = list(islice(batches, 1))
        if not seen:
            raise CorpusError("The corpus is empty: it gives no batch.")
        first = seen[0]
        streams = self.streams(first)
        if not isinstance(streams, PairStreams) or streams.tells:
            return first, chain(seen, batches)
        n_steps = streams.parts[streams.lead].n_steps
        if self._lengths is None and isinstance(first, Mapping) and n_steps > 1:
            return shorter_target(first), chain(seen, batches)
        for batch in islice(batches, _LOOKED_AT - 1):
            seen.append(batch)
            known = self.streams(batch)
            if isinstance(known, PairStreams) and known.tells:
                return batch, chain(seen, batches)
        raise CorpusError(
            f"Source and target are padded to one length ({n_steps}) in all of the first "
            f"{len(seen)} batches, so an axis does not tell to which of them it belongs. Pad one "
            "of them by one position more in the first batch, or sort the batches otherwise."
        )

    def run(self, batch: Any) -> None:
        """Run the model on a batch."""
        self._forward(self._module, to_device(batch, self._device))

    def streams(self, batch: Any) -> BatchStreams:
        """Return the streams of a batch."""
        return streams_of_batch(batch, self._lengths, self._module)

    def names(self, batch: Any, n_rows: int, first: int) -> list[str]:
        """Return a name for each row, its number counted from `first` if nothing else."""
        if self._names is None:
            return [str(first + row) for row in range(n_rows)]
        names = [str(name) for name in self._names(batch)]
        if len(names) != n_rows:
            raise CorpusError(f"names gives {len(names)} names for a batch of {n_rows} rows.")
        return names
