"""The streams of a DataLoader's batches: which there are, and how long each row is in them.

Most batches have one stream. Those of an encoder–decoder have two, source and target, and the
lengths of both must be known: from the masks of a dictionary as Hugging Face's models take it, or
from the caller's ``lengths``, which then gives a mapping. Which stream an axis belongs to is told
from its length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn

from interp.errors import CaptureError, CorpusError
from interp.extraction.batches import (
    agreed_lengths,
    as_mask,
    checked_lengths,
    row_lengths,
    row_offsets,
)
from interp.models.adapter import SOURCE, TARGET, TEXT
from interp.wording import count

if TYPE_CHECKING:
    from interp.capture import Captured
    from interp.sites import SiteDescription

#: What a dictionary's entries of the target are called: tensors (rows, steps, ...).
_TARGETS = ("decoder_input_ids", "decoder_inputs_embeds", "labels")
_TARGET_MASK, _SOURCE_MASK = "decoder_attention_mask", "attention_mask"
_SOURCES = ("input_ids", "inputs_embeds", _SOURCE_MASK)
#: The label of a position that counts for nothing.
_NO_LABEL = -100


class BatchStreams(Protocol):
    """What is known of the rows of a batch.

    Attributes
    ----------
    names : tuple of str
        The streams, in the order of the file.
    lead : str
        The stream to which sites without an axis of positions belong.
    """

    names: tuple[str, ...]
    lead: str

    def stream_of(self, site: str, n_steps: int) -> str:
        """Return the stream whose axis is so long; `site` is for messages."""

    def n_steps(self, stream: str, seen: int) -> int:
        """Return the length of a stream's axis, padding included; `seen` where that is one."""

    def lengths(self, stream: str, n_rows: int, n_steps: int) -> np.ndarray:
        """Return the real steps of each row, (n_rows,) int64."""

    def offsets(self, stream: str, n_rows: int, n_steps: int) -> np.ndarray:
        """Return the first real step of each row, (n_rows,) int64."""

    def agreed(
        self, captured: Mapping[str, Captured], sites: Mapping[str, SiteDescription]
    ) -> dict[str, np.ndarray]:
        """Return the real steps of each row by stream, on which all recorded sites agree."""


class OneStream:
    """A batch of one stream, ``"text"``.

    Parameters
    ----------
    batch : object
    given : callable, optional
        The caller's ``lengths``; see :func:`interp.extraction.batches.row_lengths` for what is
        found otherwise.
    """

    names: tuple[str, ...] = (TEXT,)
    lead = TEXT

    def __init__(self, batch: Any, given: Callable[[Any], Any] | None = None) -> None:
        self.batch, self.given = batch, given

    def stream_of(self, site: str, n_steps: int) -> str:
        """Return the only stream."""
        return TEXT

    def n_steps(self, stream: str, seen: int) -> int:
        """Return the length that was seen: the axis itself says it."""
        return seen

    def lengths(self, stream: str, n_rows: int, n_steps: int) -> np.ndarray:
        """Return the real steps of each row."""
        if self.given is not None:
            return checked_lengths(self.given(self.batch), n_rows, n_steps)
        return row_lengths(self.batch, n_rows, n_steps, None)

    def offsets(self, stream: str, n_rows: int, n_steps: int) -> np.ndarray:
        """Return the first real step of each row."""
        if self.given is not None:
            return np.zeros(n_rows, np.int64)
        return row_offsets(self.batch, n_rows, n_steps)

    def agreed(
        self, captured: Mapping[str, Captured], sites: Mapping[str, SiteDescription]
    ) -> dict[str, np.ndarray]:
        """Return the real steps of each row, on which all recorded sites agree."""
        given = None if self.given is None else self.given(self.batch)
        return {TEXT: agreed_lengths(self.batch, captured, sites, given)}


@dataclass(frozen=True)
class Padded:
    """One stream of a batch: how long its axis is, and the real part of each row."""

    n_steps: int
    length: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(cls, given: Any, what: str) -> Padded:
        """Return what lengths (n_rows,) or a mask (n_rows, n_steps) say.

        Raises
        ------
        CorpusError
            If they are neither, or a row of the mask is not one run.
        """
        found = np.asarray(torch.as_tensor(given).cpu())
        if found.ndim == 1 and len(found) and found.dtype.kind in "iu":
            longest = int(found.max())
            length = checked_lengths(found, len(found), max(1, longest))
            return cls(longest, length, np.zeros_like(length))
        if found.ndim == 2 and found.size:
            length, offset = as_mask(found != 0, what)
            return cls(found.shape[1], length, offset)
        raise CorpusError(
            f"{what} has shape {found.shape}; lengths are whole numbers (rows,), a mask is "
            "(rows, steps), true at real steps."
        )

    @classmethod
    def whole(cls, n_rows: int, n_steps: int) -> Padded:
        """Return rows without padding."""
        return cls(n_steps, np.full(n_rows, n_steps), np.zeros(n_rows, np.int64))


class PairStreams:
    """A batch of an encoder–decoder: source and target.

    Parameters
    ----------
    parts : mapping of str to Padded
        By stream.

    Raises
    ------
    CorpusError
        If one is missing, or they differ in rows.
    """

    names: tuple[str, ...] = (SOURCE, TARGET)
    lead = TARGET

    def __init__(self, parts: Mapping[str, Padded]) -> None:
        if set(parts) != set(self.names):
            raise CorpusError(
                f"lengths gives {', '.join(parts) or 'nothing'}; for an encoder–decoder it gives "
                "a mapping of 'source' and 'target' to lengths (rows,) or masks (rows, steps)."
            )
        rows = [len(part.length) for part in parts.values()]
        if len(set(rows)) != 1:
            raise CorpusError(f"The source has {rows[0]} rows and the target {rows[1]}.")
        self.parts = {name: parts[name] for name in self.names}

    @property
    def tells(self) -> bool:
        """Whether the length of an axis tells its stream."""
        return len({part.n_steps for part in self.parts.values()}) == len(self.parts)

    def stream_of(self, site: str, n_steps: int) -> str:
        """Return the stream whose axis is so long."""
        for name, part in self.parts.items():
            if part.n_steps == n_steps:
                return name
        raise self._misfit(site, n_steps, self.names)

    def n_steps(self, stream: str, seen: int) -> int:
        """Return the length of a stream's axis, padding included, whatever was seen."""
        return self.parts[stream].n_steps

    def lengths(self, stream: str, n_rows: int, n_steps: int) -> np.ndarray:
        """Return the real steps of each row."""
        self._check(stream, n_rows, n_steps)
        return self.parts[stream].length

    def offsets(self, stream: str, n_rows: int, n_steps: int) -> np.ndarray:
        """Return the first real step of each row."""
        self._check(stream, n_rows, n_steps)
        return self.parts[stream].offset

    def agreed(
        self, captured: Mapping[str, Captured], sites: Mapping[str, SiteDescription]
    ) -> dict[str, np.ndarray]:
        """Return the real steps of each row by stream, on which all recorded sites agree.

        Raises
        ------
        CaptureError
            If a site did not fire, or has other rows or steps than its stream.
        """
        if missing := [name for name in sites if name not in captured]:
            raise CaptureError(f"Site {missing[0]} fired on the first batch, not on a later one.")
        for name, part in captured.items():
            shape, found = tuple(part.values.shape), self.parts[sites[name].stream]
            expected: tuple[int, ...] = len(found.length), found.n_steps
            if sites[name].per != "position":
                expected = expected[:1]
            if len(shape) != len(expected) + 1 or shape[:-1] != expected:
                raise CaptureError(
                    f"Site {name} has shape {shape} where {(*expected, 'n_units')} belongs to "
                    f"the {sites[name].stream} of a batch. Leave it out with sites=[...]."
                )
        return {name: part.length for name, part in self.parts.items()}

    def _check(self, stream: str, n_rows: int, n_steps: int) -> None:
        part = self.parts[stream]
        if (len(part.length), part.n_steps) != (n_rows, n_steps):
            raise self._misfit(f"of {n_rows} rows", n_steps, (stream,))

    def _misfit(self, site: str, n_steps: int, names: tuple[str, ...]) -> CaptureError:
        known = " and ".join(f"{self.parts[n].n_steps} of the {n}" for n in names)
        return CaptureError(
            f"Site {site} has an axis of {count(n_steps, 'position')}, where a batch has {known}. "
            "If rows are padded further, give masks (rows, steps) in place of lengths: "
            "lengths=lambda batch: {'source': ..., 'target': ...}. Leave out what has other "
            "positions with sites=[...]."
        )


def streams_of_batch(
    batch: Any, given: Callable[[Any], Any] | None, model: nn.Module
) -> BatchStreams:
    """Return the streams of a batch.

    Parameters
    ----------
    batch : object
    given : callable, optional
        The caller's ``lengths``. A mapping of ``"source"`` and ``"target"`` makes two streams.
    model : nn.Module
        Whether it is an encoder–decoder of Hugging Face.

    Raises
    ------
    CorpusError
        If the batch is of two streams, and the length of one cannot be told.
    """
    if given is not None:
        said = given(batch)
        if isinstance(said, Mapping):
            return PairStreams({name: Padded.of(part, str(name)) for name, part in said.items()})
        return OneStream(batch, lambda batch: said)
    if isinstance(batch, Mapping) and is_pair(batch, model):
        return PairStreams({SOURCE: _source(batch), TARGET: _target(batch)})
    return OneStream(batch)


def is_pair(batch: Mapping[str, Any], model: nn.Module) -> bool:
    """Whether a dictionary is what an encoder–decoder of Hugging Face takes."""
    if any(name in batch for name in _TARGETS[:2]):
        return True
    config = getattr(model, "config", None)
    return "labels" in batch and bool(getattr(config, "is_encoder_decoder", False))


def shorter_target(batch: Any) -> Any:
    """Return a dictionary of Hugging Face with one step of the target less, to tell the streams."""
    names = [name for name in (*_TARGETS, _TARGET_MASK) if batch.get(name) is not None]
    left = slice(None, -1)
    mask = batch.get(_TARGET_MASK)
    if mask is not None and (torch.as_tensor(mask)[:, left] == 0).all(1).any():
        left = slice(1, None)  # padded at the beginning: the last step is a row's only one
    return {**batch, **{name: batch[name][:, left].contiguous() for name in names}}


def _source(batch: Mapping[str, Any]) -> Padded:
    name = next((name for name in _SOURCES if batch.get(name) is not None), None)
    if name is None:
        raise CorpusError(
            f"The batch has {', '.join(map(str, batch))}, which does not tell the lengths of the "
            "source; give lengths=lambda batch: {'source': ..., 'target': ...}, lengths (rows,) or "
            "masks (rows, steps)."
        )
    if batch.get(_SOURCE_MASK) is not None:
        return Padded.of(batch[_SOURCE_MASK], _SOURCE_MASK)
    return Padded.whole(*batch[name].shape[:2])


def _target(batch: Mapping[str, Any]) -> Padded:
    if batch.get(_TARGET_MASK) is not None:
        return Padded.of(batch[_TARGET_MASK], _TARGET_MASK)
    labels = batch.get("labels")
    if labels is None:
        name = next(name for name in _TARGETS if batch.get(name) is not None)
        return Padded.whole(*batch[name].shape[:2])
    # Only at the end: a beginning that counts for nothing is a prompt, not padding.
    counts = np.asarray(torch.as_tensor(labels).cpu()) != _NO_LABEL
    last = counts.shape[1] - counts[:, ::-1].argmax(axis=1)
    if not counts.any(axis=1).all():
        raise CorpusError(f"labels has a row of {_NO_LABEL} alone, so its target has no position.")
    return Padded(counts.shape[1], last.astype(np.int64), np.zeros(len(last), np.int64))
