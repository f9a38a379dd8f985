"""Concepts of a recording's text, written beside it as annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from interp.annotations.python_source import CONCEPTS, annotate_python
from interp.errors import RecordingError, unknown_name


def concept_tracks(recording: Any, concepts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the named concepts for every position of a recording of Python source.

    Parameters
    ----------
    recording : Recording
        Its ``text`` stream must have one position per character.
    concepts : sequence of str
        Keys of `CONCEPTS`.

    Returns
    -------
    dict of str to ndarray (n_positions,)

    Raises
    ------
    RecordingError
        If a concept is unknown or the positions are not characters.
    CorpusError
        If a document is not Python.
    """
    for concept in concepts:
        if concept not in CONCEPTS:
            raise RecordingError(unknown_name("concept", concept, CONCEPTS))
    stream = recording.streams.get("text")
    if stream is None:
        raise RecordingError(
            f"{recording.path} has no text stream, so there is no source to label."
        )
    documents = stream.documents
    if any(len(d.text) != d.n_positions for d in documents):
        raise RecordingError(
            f"{recording.path} has positions that are not single characters; these concepts are "
            "defined per character so far."
        )
    pieces = [annotate_python(document.text, document.name) for document in documents]
    return {concept: np.concatenate([piece[concept] for piece in pieces]) for concept in concepts}


def annotate_recording(path: Path, concepts: Sequence[str] | None = None) -> dict[str, str]:
    """Write concepts beside a recording; return one line about each.

    Parameters
    ----------
    path : Path
    concepts : sequence of str, optional
        Default: all of `CONCEPTS`.
    """
    import interp

    concepts = list(concepts or CONCEPTS)
    with interp.open(path) as recording:
        tracks = concept_tracks(recording, concepts)
        for name, values in tracks.items():
            recording.write_annotation(
                name,
                values,
                kind="binary" if values.dtype == bool else "numeric",
                parameters={"parser": "tokenize", "state": "after reading the position"},
            )
    return {
        name: (
            f"{values.mean():.1%} of {len(values):,} positions"
            if values.dtype == bool
            else f"{values.min()} to {values.max()}, mean {values.mean():.1f}"
        )
        for name, values in tracks.items()
    }
