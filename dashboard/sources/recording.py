"""A source over a recording in a file."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import interp
from dashboard.sources.described import Described
from dashboard.sources.protocol import AnnotationInfo, PredictionRows, SiteInfo, StreamInfo
from dashboard.sources.recorded_attention import RecordedAttention


def bundled_card(model: Any) -> dict[str, Any] | None:
    """Return the card of the bundled model that made a recording.

    None when it was another model, or when the bundled weights have changed since. The card is
    read as the file it is: importing the models would bring torch along.
    """
    spec = str(model.get("spec", "")) if isinstance(model, dict) else ""
    name = spec.removeprefix("zoo:")
    if name == spec or not name.replace("-", "").replace("_", "").isalnum():
        return None
    path = Path(interp.__file__).parent / "models" / "zoo" / name / "card.json"
    if not path.is_file():
        return None
    card: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return card if card.get("weights_hash") == model.get("weights_hash") else None


class RecordingSource(Described, RecordedAttention):
    """The views' way into a recording.

    Parameters
    ----------
    path : path of the file

    Raises
    ------
    interp.errors.RecordingError
        When the file is missing, damaged or no recording.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.name = self.path.stem
        self._recording = interp.open(self.path)
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, int], list[str]] = {}
        self._streams = {name: self._stream_info(name) for name in self._recording.streams}
        self._sites = {
            name: SiteInfo(name, site.signal, site.n_units, site.dtype, site.stream, site.module)
            for name, site in self._recording.sites.items()
            if site.per == "position"
        }

    @property
    def recording(self) -> interp.storage.Recording:
        """The open recording, for what reads beside it."""
        return self._recording

    def _stream_info(self, name: str) -> StreamInfo:
        stream = self._recording.streams[name]
        has_text = stream.has_text or stream.tokens is not None
        per_character = stream.is_characters or not has_text
        return StreamInfo(
            name,
            stream.n_positions,
            stream.documents.names,
            stream.document_start,
            has_text,
            per_character,
        )

    @property
    def fingerprint(self) -> str:
        if self._recording.is_complete:
            return self._recording.fingerprint[:16]
        return f"incomplete-{self._recording.done_segments}"

    @property
    def annotations(self) -> Mapping[str, AnnotationInfo]:
        # Asked anew each time: annotations may be added while the dashboard is open.
        with self._lock:
            return {
                name: AnnotationInfo(name, found.stream, found.kind, found.categories or [])
                for name, found in self._recording.annotations.items()
            }

    def summary(self) -> dict[str, Any]:
        recording = self._recording
        return {
            "path": str(self.path),
            "size_bytes": self.path.stat().st_size,
            "is_complete": recording.is_complete,
            "done_segments": recording.done_segments,
            "n_segments": recording.n_segments,
        }

    def text(self, stream: str, document: int) -> str:
        found = self._recording.streams[stream]
        if found.has_text:
            return found.text(document) or ""
        return "".join(self._document_tokens(stream, document))

    def spans(self, stream: str, document: int) -> np.ndarray | None:
        info = self._streams[stream]
        if info.is_per_character:
            return None
        found = self._recording.streams[stream]
        if found.has_text:
            start, stop = info.document_start[document : document + 2]
            return found.span_array(int(start), int(stop))
        ends = np.cumsum([len(token) for token in self._document_tokens(stream, document)])
        return np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)

    def _document_tokens(self, stream: str, document: int) -> list[str]:
        """Return the tokens that stand for a text that was not recorded.

        Words of a vocabulary without any white space are set apart by a space.
        """
        key = (stream, document)
        with self._lock:
            if key in self._tokens:
                return self._tokens[key]
        info = self._streams[stream]
        start, stop = info.document_start[document : document + 2]
        found = self._recording.streams[stream].tokens
        tokens = [] if found is None else list(found[int(start) : int(stop)])
        if all(len(token) != 1 and not any(map(str.isspace, token)) for token in tokens):
            tokens = [token + " " for token in tokens]
        with self._lock:
            if len(self._tokens) > 16:
                self._tokens.clear()
            self._tokens[key] = tokens
        return tokens

    def unit(self, site: str, unit: int, start: int, stop: int) -> np.ndarray:
        return self._recording[site][start:stop, unit]

    def window(self, site: str, start: int, stop: int) -> np.ndarray:
        return self._recording[site][start:stop]

    def annotation(self, name: str, start: int, stop: int) -> np.ndarray:
        with self._lock:
            return self._recording.annotations[name][start:stop]

    def loss(self, stream: str, start: int, stop: int) -> np.ndarray | None:
        predictions = self._recording.predictions
        if predictions is None or predictions.stream.name != stream:
            return None
        return predictions.loss[start:stop]

    def predictions(self, stream: str, start: int, stop: int) -> PredictionRows | None:
        found = self._recording.predictions
        if found is None or found.stream.name != stream:
            return None
        words = found.stream.vocabulary
        tokens = [
            [words[i] if words is not None and 0 <= i < len(words) else str(i) for i in row]
            for row in found.top_ids[start:stop].tolist()
        ]
        probability = found.top_probabilities[start:stop].astype(np.float32)
        return PredictionRows(tokens, probability, found.loss[start:stop], found.target)

    def provenance(self) -> dict[str, Any]:
        provenance = dict(self._recording.provenance)
        card = bundled_card(provenance.get("model"))
        return provenance if card is None else provenance | {"model_card": card}

    def close(self) -> None:
        self._recording.close()
