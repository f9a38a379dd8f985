"""Where the dashboard's values come from: one protocol, several sources."""

from collections.abc import Sequence
from pathlib import Path

from dashboard.sources.memory import MemorySource
from dashboard.sources.protocol import (
    AnnotationInfo,
    PredictionRows,
    SiteInfo,
    Source,
    StreamInfo,
)

__all__ = [
    "AnnotationInfo",
    "MemorySource",
    "PredictionRows",
    "SiteInfo",
    "Source",
    "StreamInfo",
    "open_sources",
]


def open_sources(recordings: Sequence[str | Path | Source]) -> list[Source]:
    """Return a source for each path; sources pass through. Nothing is read yet but the headers."""
    out: list[Source] = []
    for item in recordings:
        if isinstance(item, (str, Path)):
            from dashboard.sources.recording import RecordingSource

            out.append(RecordingSource(item))
        else:
            out.append(item)
    return out
