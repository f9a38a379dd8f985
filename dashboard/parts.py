"""Parts: pieces of a stream small enough for a browser to hold at once.

A part is whole documents as far as possible, at most `MAX_CHARACTERS` or `MAX_TOKENS` positions and
`MAX_DOCUMENTS` documents; a longer document is cut. The cut depends on the stream only, so that a
link means the same tomorrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dashboard.sources.protocol import Source, StreamInfo

MAX_CHARACTERS = 1_000_000
MAX_TOKENS = 250_000
MAX_DOCUMENTS = 10_000


@dataclass(frozen=True)
class Part:
    """Positions [start, stop) of a stream and the documents on them, [first, last]."""

    start: int
    stop: int
    first_document: int
    last_document: int


def split_into_parts(stream: StreamInfo, limit: int | None = None) -> list[Part]:
    """Return the parts of a stream in order; they cover every position exactly once."""
    limit = limit or (MAX_CHARACTERS if stream.is_per_character else MAX_TOKENS)
    starts = np.asarray(stream.document_start)
    parts: list[Part] = []
    position = 0
    while position < stream.n_positions:
        stop = min(position + limit, stream.n_positions)
        ends = starts[(starts > position) & (starts <= stop)][:MAX_DOCUMENTS]
        # Whole documents only, unless the first one alone is longer than a part.
        stop = int(ends[-1]) if len(ends) else stop
        first = int(np.searchsorted(starts, position, side="right")) - 1
        last = int(np.searchsorted(starts, stop, side="left")) - 1
        parts.append(Part(position, stop, first, last))
        position = stop
    return parts


@dataclass(frozen=True)
class PartText:
    """Text of a part: `documents` are (index, first position, first character) triples.

    `spans` is (n_positions, 2) int32 in characters of `text`, None when each character is a
    position.
    """

    text: str
    documents: list[tuple[int, int, int]]
    spans: np.ndarray | None


def part_text(source: Source, stream: str, part: Part) -> PartText:
    """Return the text under the positions of a part."""
    info = source.streams[stream]
    pieces: list[str] = []
    documents: list[tuple[int, int, int]] = []
    spans: list[np.ndarray] = []
    n_characters = 0
    for document in range(part.first_document, part.last_document + 1):
        begin = int(info.document_start[document])
        start = max(part.start, begin) - begin
        stop = min(part.stop, int(info.document_start[document + 1])) - begin
        documents.append((document, begin + start, n_characters))
        text = source.text(stream, document) if info.has_text else ""
        own = source.spans(stream, document)
        if own is None:
            text = text[start:stop]
        else:
            own = np.asarray(own[start:stop], dtype=np.int64)
            # Characters before the first position of a document belong to nobody but are shown.
            low = 0 if start == 0 else int(own[0, 0])
            whole = stop == int(info.document_start[document + 1]) - begin
            high = len(text) if whole else int(own[:, 1].max(initial=low))
            text = text[low:high]
            spans.append(own - low + n_characters)
        pieces.append(text)
        n_characters += len(text)
    joined = np.concatenate(spans).astype(np.int32) if spans else None
    return PartText("".join(pieces), documents, joined)
