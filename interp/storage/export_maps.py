"""Attention maps as a file for other programs: heads and documents of one site."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.selection import Selection
from interp.storage.attention_site import STATS

if TYPE_CHECKING:
    from interp.storage.recording import Recording

#: How safetensors names the types of what is exported here.
_SAFETENSORS = {"float32": "F32", "int64": "I64"}


@dataclass(frozen=True)
class Excerpt:
    """Some queries of one document.

    Attributes
    ----------
    document : int
    name : str
    rows : (int, int)
        First and one-past-last query, within the document.
    """

    document: int
    name: str
    rows: tuple[int, int]


class MapTable:
    """The heads and documents of a selection, checked against the recording.

    Parameters
    ----------
    recording : Recording
    selection : Selection
        Of an attention site: units are heads.

    Attributes
    ----------
    heads : array of int64, shape (n_heads,)
    excerpts : list of Excerpt
    n_rows : int
        Queries of all excerpts.
    """

    def __init__(self, recording: Recording, selection: Selection) -> None:
        self.recording, self.selection, self.site = recording, selection, selection.site
        self.description = recording.attention_sites[self.site]
        self.heads = selection.unit_indices(recording)
        self.excerpts = list(self._excerpts(selection.rows(recording)))
        self.n_rows = sum(part.rows[1] - part.rows[0] for part in self.excerpts)

    def _excerpts(self, runs: list[tuple[int, int]]) -> Iterator[Excerpt]:
        stream = self.recording.stream_of(self.site)
        for start, stop in runs:
            for index in range(stream.document_of(start), stream.document_of(stop - 1) + 1):
                document = stream.documents[index]
                first, last = max(start, document.start), min(stop, document.stop)
                if first < last:
                    rows = first - document.start, last - document.start
                    yield Excerpt(index, document.name, rows)

    def maps(self, part: Excerpt) -> np.ndarray:
        """Return the maps of an excerpt, (n_heads, queries, keys) float32."""
        found = [
            self.recording.attention(self.site, part.document, head, rows=part.rows)
            for head in self.heads.tolist()
        ]
        return np.stack(found)

    def statistics(self, part: Excerpt) -> dict[str, np.ndarray]:
        """Return the statistics of an excerpt by name, (queries, n_heads) float32 each."""
        begin = int(self.recording.stream_of(self.site).document_start[part.document])
        rows = slice(begin + part.rows[0], begin + part.rows[1])
        found = self.recording.attention_statistics(self.site)
        return {name: array[rows, self.heads].astype("f4") for name, array in found.items()}

    def arrays(self) -> Iterator[tuple[str, str, tuple[int, ...], Callable[[], np.ndarray]]]:
        """Yield name, type, shape and contents of each array of the file.

        The arrays of excerpt i end in ``_i``; `document`, `first_query` say what it is.
        """
        numbers = {
            "head": self.heads,
            "document": np.array([part.document for part in self.excerpts], np.int64),
            "first_query": np.array([part.rows[0] for part in self.excerpts], np.int64),
        }
        for name, values in numbers.items():
            yield name, "int64", values.shape, values.view
        keys = self.recording.streams[self.description.key_stream or self.description.stream]
        for i, part in enumerate(self.excerpts):
            n_queries = part.rows[1] - part.rows[0]
            if self.description.form == STATS:
                for name, values in self.statistics(part).items():
                    yield f"{name}_{i}", "float32", values.shape, values.view
                continue
            n_keys = keys.documents[part.document].n_positions
            shape = len(self.heads), n_queries, n_keys
            yield f"weights_{i}", "float32", shape, partial(self.maps, part)

    def labels(self) -> dict[str, Any]:
        """Return what else the file says: names and tokens."""
        site = self.description
        queries = self.recording.streams[site.stream]
        keys = self.recording.streams[site.key_stream or site.stream]
        found: dict[str, Any] = {"selection": str(self.selection)}
        found["document_name"] = [part.name for part in self.excerpts]
        for i, part in enumerate(self.excerpts):
            for what, stream, rows in (("query", queries, part.rows), ("key", keys, None)):
                tokens = stream.documents[part.document].tokens
                if tokens is not None:
                    found[f"{what}_token_{i}"] = list(tokens[slice(*rows)] if rows else tokens)
        return found


def write_maps(table: MapTable, kind: str, path: Path) -> int:
    """Write the selection into a new file and return the number of queries.

    Parameters
    ----------
    table : MapTable
    kind : {"csv", "npz", "safetensors"}
    path : pathlib.Path
    """
    {"csv": _write_csv, "npz": _write_npz, "safetensors": _write_safetensors}[kind](table, path)
    return table.n_rows


def _write_csv(table: MapTable, path: Path) -> None:
    """Write one line per weight that is not 0, or per row and head of statistics."""
    is_stats = table.description.form == STATS
    names = list(table.recording.attention_statistics(table.site)) if is_stats else []
    with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        header = ["document", "document_name", "head", "query"]
        writer.writerow(header + (names or ["key", "query_token", "key_token", "weight"]))
        labels = table.labels()
        for i, part in enumerate(table.excerpts):
            if is_stats:
                values = table.statistics(part)
                for at in range(part.rows[1] - part.rows[0]):
                    for j, head in enumerate(table.heads.tolist()):
                        row = [values[name][at, j] for name in names]
                        writer.writerow([part.document, part.name, head, part.rows[0] + at, *row])
                continue
            tokens = labels.get(f"query_token_{i}"), labels.get(f"key_token_{i}")
            for head in table.heads.tolist():
                found = table.recording.attention(table.site, part.document, head, part.rows)
                for at, key in np.argwhere(found != 0).tolist():
                    said = [t and t[j] for t, j in zip(tokens, (at, key), strict=True)]
                    start = [part.document, part.name, head, part.rows[0] + at, key]
                    writer.writerow([*start, *said, found[at, key]])


def _write_npz(table: MapTable, path: Path) -> None:
    """Write arrays that `numpy.load` opens without pickle."""
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:

        def write(name: str, array: np.ndarray) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)

        for name, _, _, contents in table.arrays():
            write(name, np.ascontiguousarray(contents()))
        for name, value in table.labels().items():
            write(name, np.array(value))


def _write_safetensors(table: MapTable, path: Path) -> None:
    """Write tensors; names and tokens as metadata."""
    header: dict[str, Any] = {
        "__metadata__": {name: json.dumps(value) for name, value in table.labels().items()}
    }
    end = 0
    for name, dtype, shape, _ in table.arrays():
        begin, end = end, end + np.dtype(dtype).itemsize * int(np.prod(shape))
        header[name] = {
            "dtype": _SAFETENSORS[dtype],
            "shape": list(shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, dtype, _, contents in table.arrays():
            file.write(np.ascontiguousarray(contents(), dtype).data)
