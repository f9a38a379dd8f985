"""What a view may ask of a source, in the domain's words.

A source is one recording, or something that looks like one. Ranges are half open, positions count
from 0 over the whole stream, and a caller has already checked them: a source may trust its
arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

ONE_SIDED_SIGNALS = frozenset(
    {"input_gate", "forget_gate", "output_gate", "reset_gate", "update_gate", "attention"}
)
"""Signals that lie in [0, 1] by construction."""


@dataclass(frozen=True)
class SiteInfo:
    """One recorded place of the model."""

    name: str  # "lstm/l0/cell"
    signal: str  # "cell"
    n_units: int
    dtype: str
    stream: str = "text"
    module: str = ""

    @property
    def group(self) -> str:
        """Name without the signal: sites of one group share their units, such as ``"lstm/l0"``."""
        return self.name.rpartition("/")[0]

    @property
    def is_one_sided(self) -> bool:
        """Whether values lie in [0, 1], so that a scale has one side only."""
        return self.signal in ONE_SIDED_SIGNALS


@dataclass(frozen=True)
class StreamInfo:
    """One axis of positions and the documents on it."""

    name: str
    n_positions: int
    document_names: list[str]
    document_start: np.ndarray  # (n_documents + 1,) int64
    has_text: bool = True
    is_per_character: bool = True

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return len(self.document_names)


@dataclass(frozen=True)
class AnnotationInfo:
    """A named value per position."""

    name: str
    stream: str = "text"
    kind: str = "binary"  # "binary", "categorical" or "numeric"
    categories: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PredictionRows:
    """What the model said at some positions.

    `tokens` is (n, k) strings, best first; `probability` (n, k) float; `loss` (n,) float in nats,
    NaN where nothing follows; `target` is ``"next"`` (row t is about position t + 1) or
    ``"same"``.
    """

    tokens: list[list[str]]
    probability: np.ndarray
    loss: np.ndarray
    target: str = "next"


@runtime_checkable
class Source(Protocol):
    """One recording as the views see it. Methods may be called from several threads."""

    name: str

    @property
    def fingerprint(self) -> str:
        """Short hash of the contents: what was fetched under another one is out of date."""
        ...

    @property
    def sites(self) -> Mapping[str, SiteInfo]:
        """Recorded places, in model order."""
        ...

    @property
    def streams(self) -> Mapping[str, StreamInfo]:
        """Axes of positions."""
        ...

    @property
    def annotations(self) -> Mapping[str, AnnotationInfo]:
        """Named values per position; may grow while the source is open."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return what a picker shows: ``size_bytes``, ``path``, ``is_complete``."""
        ...

    def text(self, stream: str, document: int) -> str:
        """Return the text of one document."""
        ...

    def spans(self, stream: str, document: int) -> np.ndarray | None:
        """Return (n, 2) character offsets, None when each character is a position."""
        ...

    def unit(self, site: str, unit: int, start: int, stop: int) -> np.ndarray:
        """Return (n,) values of one unit in the recorded dtype."""
        ...

    def window(self, site: str, start: int, stop: int) -> np.ndarray:
        """Return (n, n_units) values in the recorded dtype."""
        ...

    def annotation(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return (n,) values of one annotation."""
        ...

    def loss(self, stream: str, start: int, stop: int) -> np.ndarray | None:
        """Return (n,) float losses in nats, None when the stream has no predictions."""
        ...

    def predictions(self, stream: str, start: int, stop: int) -> PredictionRows | None:
        """Return the top predictions, None when the stream has none."""
        ...

    def provenance(self) -> dict[str, Any]:
        """Return where the recording comes from, and the model card when there is one."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...
