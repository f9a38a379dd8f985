"""Concepts of a recording's text, written beside it as annotations."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from interp.annotations.alignment import to_positions
from interp.annotations.characters import CHARACTER_CONCEPTS
from interp.annotations.concepts import Concept, Labeller, language_of, parse_concept
from interp.annotations.prose import PROSE_CONCEPTS
from interp.annotations.python_source import PYTHON_CONCEPTS
from interp.annotations.syntax_trees import LANGUAGES, TREE_CONCEPTS
from interp.errors import InterpError, RecordingError, unknown_name
from interp.wording import count


@dataclass(frozen=True, eq=False)
class MadeAnnotation:
    """An annotation that has been computed and can be written.

    Attributes
    ----------
    name, kind, stream : str
    values : ndarray (n_positions,)
    categories : list of str or None
    parameters : dict
    """

    name: str
    kind: str
    values: np.ndarray
    stream: str
    categories: list[str] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def write(self, recording: Any) -> None:
        """Write it beside a recording, in place of one of the same name."""
        recording.write_annotation(
            self.name,
            self.values,
            kind=self.kind,
            categories=self.categories,
            parameters=self.parameters,
            stream=self.stream,
            overwrite=True,
        )

    def summary(self) -> str:
        """Return one line about the values."""
        values, n = self.values, len(self.values)
        if self.kind == "binary":
            return f"{values.mean():.1%} of {n:,} positions"
        if self.parameters.get("delimiters") == "apart" and self._is_yes_or_no():
            known = np.isfinite(values)
            left = f", {n - known.sum():,} of {n:,} have no label"
            return f"{values[known].mean():.1%} of {known.sum():,} positions{left}"
        if self.kind == "categorical":
            known = values >= 0
            n_used = len(np.unique(values[known]))
            return f"{n_used} categories at {known.sum():,} of {n:,} positions"
        known = np.isfinite(values)
        if not known.any():
            return f"no value at any of {n:,} positions"
        low, high, mean = values[known].min(), values[known].max(), values[known].mean()
        where = "" if known.all() else f", at {known.sum():,} of {n:,} positions"
        return f"{low:g} to {high:g}, mean {mean:.3g}{where}"

    def _is_yes_or_no(self) -> bool:
        """Whether these are numbers only because some positions have no label."""
        values = self.values[np.isfinite(self.values)]
        return len(values) > 0 and bool(np.isin(values, (0, 1)).all())


def text_stream(recording: Any, stream: str | None = None) -> Any:
    """Return the stream whose text is to be labelled: the one named, or the first with text.

    Raises
    ------
    RecordingError
        If there is no text.
    """
    if stream is not None and stream not in recording.streams:
        raise RecordingError(unknown_name("stream", stream, recording.streams))
    names = [stream] if stream else list(recording.streams)
    for name in names:
        if recording.streams[name].has_text:
            return recording.streams[name]
    raise RecordingError(
        f"{recording.path} has no text in stream {', '.join(names)}, so there is nothing to label."
    )


def label_concepts(
    recording: Any,
    concepts: Sequence[str],
    language: str | None = None,
    delimiters: str = "state",
    stream: str | None = None,
    strict: bool = False,
) -> list[MadeAnnotation]:
    """Return built-in concepts at every position of a recording.

    Parameters
    ----------
    recording : Recording
    concepts : sequence of str
        See :mod:`interp.annotations.concepts`.
    language : str, optional
        Of all documents. Default: by the ending of each document's name; Python if no document
        has a known one.
    delimiters : {"state", "in", "out", "apart"}
        ``"state"`` is the state after reading a position: an opening mark is inside, a closing
        one is not. ``"apart"`` is the same, with no label (NaN) at the marks themselves.
    stream : str, optional
        Default: the first with text.
    strict : bool
        Whether a document that cannot be parsed is an error. Else its positions have no label of
        the concepts that needed the parser: NaN, and ``parameters["unlabelled"]`` names it.

    Raises
    ------
    InterpError
        If a concept is unknown, or the recording has no text.
    CorpusError
        If no document can be parsed; where `strict`, if one cannot.
    """
    wanted = [parse_concept(name) for name in concepts]
    labeller = Labeller(wanted, delimiters, strict)
    where = text_stream(recording, stream)
    speaks = _languages(where, wanted, language)
    pieces: dict[str, list[np.ndarray]] = {concept.name: [] for concept in wanted}
    unlabelled: dict[str, list[str]] = {}
    categories: dict[str, dict[str, int]] = {}
    for document, spoken in zip(where.documents, speaks, strict=True):
        tracks = labeller.label(document.text, document.name, spoken)
        spans = None if where.is_characters else document.spans
        for name, track in tracks.items():
            if track is None:
                unlabelled.setdefault(name, []).append(document.name)
                pieces[name].append(np.full(document.n_positions, np.nan, np.float32))
                continue
            if isinstance(track, tuple):
                track = _merge(categories.setdefault(name, {}), *track)
            pieces[name].append(track if spans is None else to_positions(track, spans, delimiters))
    if any(len(names) == len(where.documents) for names in unlabelled.values()):
        raise next(iter(labeller.refused.values()))
    made = []
    for concept in wanted:
        values = _joined(pieces[concept.name])
        known = categories.get(concept.name)
        kind = "binary" if values.dtype == bool else "categorical" if known else "numeric"
        languages = sorted({concept.language or spoken for spoken in speaks})
        made.append(
            MadeAnnotation(
                concept.name,
                kind,
                values,
                where.name,
                list(known) if known else None,
                _parameters(concept, languages, delimiters, values)
                | _said_of(unlabelled.get(concept.name, ()), labeller.refused),
            )  # fmt: skip
        )
    return made


def _joined(pieces: Sequence[np.ndarray]) -> np.ndarray:
    """Return tracks as one, numbers where a document in between has no label (NaN)."""
    if any(piece.dtype.kind == "f" for piece in pieces):
        pieces = [piece.astype(np.float32, copy=False) for piece in pieces]
    return np.concatenate(pieces)


def _said_of(names: Sequence[str], refused: Mapping[str, Exception]) -> dict[str, Any]:
    """Return what the parameters of an annotation say of documents without a label."""
    if not names:
        return {}
    return {"unlabelled": {"documents": list(names), "why": str(refused[names[0]])}}


def unlabelled_text(made: Sequence[MadeAnnotation]) -> str:
    """Return which documents have no label of some annotations, in one line; empty if none."""
    missing = {
        annotation.name: annotation.parameters["unlabelled"]
        for annotation in made
        if "unlabelled" in annotation.parameters
    }
    if not missing:
        return ""
    first = next(iter(missing.values()))
    names = first["documents"]
    return (
        f"{count(len(names), 'document')} without a label of {', '.join(missing)}, the first is "
        f"{names[0]}: {first['why']}"
    )


def _languages(stream: Any, concepts: Sequence[Concept], language: str | None) -> list[str]:
    """Return the language of each document."""
    names = stream.documents.names
    if language is not None or all(c.family != "code" or c.language for c in concepts):
        return [language or "python"] * len(names)
    found = [language_of(name) for name in names]
    if not any(found):
        return ["python"] * len(names)
    for name, spoken in zip(names, found, strict=True):
        if spoken is None:
            raise InterpError(
                f"The ending of {name!r} names no language; give one for all documents with "
                "--language (language=...)."
            )
    return [spoken or "" for spoken in found]


def _merge(known: dict[str, int], codes: np.ndarray, categories: list[str]) -> np.ndarray:
    """Return codes in categories that are shared by all documents."""
    if not categories:
        return codes
    shared = [known.setdefault(category, len(known)) for category in categories]
    return np.asarray(shared, np.int32)[codes]


def _parameters(
    concept: Concept, languages: list[str], delimiters: str, values: np.ndarray
) -> dict[str, Any]:
    said: dict[str, Any] = {"concept": concept.name, "delimiters": delimiters}
    if values.dtype.kind == "f" and np.isnan(values).any():
        said["has_missing"] = True
    said["state"] = "after reading the position"
    if concept.family in ("code", "pygments"):
        said["languages"] = languages
    if concept.family == "code" and "python" in languages:
        said["parser"] = f"tokenize of Python {sys.version_info[0]}.{sys.version_info[1]}"
    return said


def default_concepts(recording: Any, language: str | None = None) -> list[str]:
    """Return the concepts that suit the documents: of code by its language, else of prose."""
    stream = text_stream(recording)
    spoken = {language} if language else {language_of(name) for name in stream.documents.names}
    lines = ["indentation", "line_position"]
    if spoken == {"python"}:
        return [*PYTHON_CONCEPTS, *lines]
    if spoken <= set(LANGUAGES) | {"python"}:
        return [*TREE_CONCEPTS, *lines]
    return [*PROSE_CONCEPTS, *CHARACTER_CONCEPTS]


def annotate_recording(
    path: Path | str,
    concepts: Sequence[str] | None = None,
    *,
    language: str | None = None,
    delimiters: str = "state",
    stream: str | None = None,
    name: str | None = None,
    strict: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, str]:
    """Write built-in concepts beside a recording; return one line about each.

    Parameters
    ----------
    path : Path
    concepts : sequence of str, optional
        Default: those that suit the documents.
    language, delimiters, stream, strict
        See :func:`label_concepts`.
    name : str, optional
        To write a single concept under, so that two readings of it stand side by side.
    say : callable
        Told in one line which documents have no label, if any.

    Raises
    ------
    InterpError
        If several concepts are to have one name, or there is none that fits.
    """
    import interp

    if name is not None and len(concepts or ()) != 1:
        raise InterpError(
            f"One concept can be written as {name!r}; {len(concepts or ())} are given."
        )

    with interp.open(path) as recording:
        _ = recording.fingerprint  # refuses an incomplete recording before the work
        names = list(concepts or default_concepts(recording, language))
        made = label_concepts(recording, names, language, delimiters, stream, strict)
        if name is not None:
            made = [replace(annotation, name=name) for annotation in made]
        written = write_all(recording, made)
        if missing := unlabelled_text(made):
            say(missing)
        return written


def write_all(recording: Any, made: Sequence[MadeAnnotation]) -> dict[str, str]:
    """Write annotations beside a recording; return one line about each."""
    for annotation in made:
        annotation.write(recording)
    return {annotation.name: annotation.summary() for annotation in made}


def label_with_function(
    recording: Any, function: Callable[[str], Any], name: str, stream: str | None = None
) -> MadeAnnotation:
    """Return what a function of yours says about each document's text.

    Parameters
    ----------
    recording : Recording
    function : callable
        From a document's text to one value per character: bools, numbers (NaN: none) or strings.
    name : str
        Of the annotation.
    stream : str, optional

    Raises
    ------
    InterpError
        If it returns another number of values.
    """
    from interp.annotations.own_labels import encode_values

    where = text_stream(recording, stream)
    pieces = []
    for document in where.documents:
        track = np.asarray(function(document.text))
        if track.shape != (len(document.text),):
            raise InterpError(
                f"The function for {name} returned shape {track.shape} for {document.name!r}, "
                f"which has {len(document.text):,} characters: one value each is needed."
            )
        pieces.append(to_positions(track, document.spans))
    values = np.concatenate(pieces)
    kind, values, categories, has_missing = encode_values(values.tolist(), name)
    source = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}"
    return MadeAnnotation(
        name, kind, values, where.name, categories,
        {"function": source, "has_missing": has_missing},
    )  # fmt: skip
