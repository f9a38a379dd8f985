"""Part files: where rows wait while nobody knows yet how many there will be.

A recording is laid out at its final size. Batches of a DataLoader do not tell their lengths
before they have been run, so their values go into plain files, one per site, in a folder beside
the recording. ``log.jsonl`` says which batches are done, with the lengths of their rows; bytes
beyond what it tells of are the rest of an interrupted commit and are cut off on resuming. When the
corpus ends the recording is written from the parts and the folder removed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from interp.errors import RecordingError
from interp.extraction.loader_sites import LoaderSite
from interp.extraction.map_parts import MapParts
from interp.extraction.pipeline import StepWriter
from interp.storage import schema
from interp.storage.rawio import open_locked

_PLAN = "plan.json"
_LOG = "log.jsonl"
_VERSION = 2


@dataclass(frozen=True)
class BatchRecord:
    """What the log says of one batch.

    Attributes
    ----------
    hash : str
        Of what the batch held.
    lengths : dict of str to list of int
        Positions of each of its rows, by stream.
    names : list of str
        Document name of each row.
    sizes : dict of str to int
        Bytes that it added to each file of attention.
    reach : dict of str to list
        How far the queries of attention sites looked, in this batch and those of the run before
        it; see :class:`interp.extraction.reach.Reach`.
    """

    hash: str
    lengths: dict[str, list[int]]
    names: list[str]
    sizes: dict[str, int] = field(default_factory=dict)
    reach: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Documents of the batch."""
        return len(self.names)


class Parts(StepWriter):
    """Rows of all sites in part files, written by the thread that also writes recordings.

    Its segments are documents, in the order in which they come. They hold no predictions: batches
    have no tokens to predict.

    Parameters
    ----------
    folder : Path
        Created where it does not exist.
    plan : dict
        What a resumed run must find unchanged (JSON), with ``"sites"``: n_units, ``per`` and
        stream of each site by name, and ``"dtype"``; and ``"attention"``, the attention sites by
        name.

    Raises
    ------
    RecordingError
        If another process writes there, or the folder is of another run.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self.folder = folder
        self._sites: Mapping[str, Any] = plan["sites"]
        self._dtype = np.dtype(plan["dtype"])
        self.maps = MapParts(folder, list(plan.get("attention", ())))
        folder.mkdir(exist_ok=True)
        self._lock = open_locked(folder / "lock", str(folder), create=True)
        try:
            self._check(dict(plan))
            self.records = self._read_log()
            self._cut()
            self._files = {site: open(self.file(site), "ab") for site in self._sites}
            self._log = open(folder / _LOG, "a", encoding="utf-8")
        except BaseException:
            os.close(self._lock)
            raise
        self._pending: deque[BatchRecord] = deque()
        self.done_segments = sum(record.n_rows for record in self.records)

    @property
    def n_positions(self) -> int:
        """Positions of all batches in the log, in all streams."""
        return sum(int(found.sum()) for found in self.lengths().values())

    def lengths(self) -> dict[str, np.ndarray]:
        """Return the positions of each document in the log, by stream."""
        streams = self.records[0].lengths if self.records else ()
        return {
            stream: np.array([n for r in self.records for n in r.lengths[stream]], np.int64)
            for stream in streams
        }

    def site(self, name: str) -> Mapping[str, Any] | None:
        """Return n_units, ``per`` and stream of a site, None if there is none."""
        return self._sites.get(name)

    def file(self, site: str) -> Path:
        """Return the part file of a site."""
        return self.folder / f"{list(self._sites).index(site):05d}.bin"

    def expect(self, record: BatchRecord) -> None:
        """Announce the batch whose rows will be written next."""
        self._pending.append(record)

    def write(self, site: str, segment_index: int, values: np.ndarray) -> None:
        """Append the rows of one document."""
        del segment_index
        self._files[site].write(np.ascontiguousarray(values, self._dtype).data)

    def write_attention(
        self, site: str, segment_index: int, weights: np.ndarray, first_row: int = 0
    ) -> None:
        """Append the full maps of one document."""
        assert first_row == 0
        self.maps.append(site, segment_index, {schema.WEIGHTS: weights})

    def write_attention_edges(
        self, site: str, segment_index: int, edges: Mapping[str, np.ndarray]
    ) -> None:
        """Append the largest weights of one document."""
        self.maps.append(site, segment_index, edges)

    def write_attention_statistics(
        self, site: str, segment_index: int, values: Mapping[str, np.ndarray]
    ) -> None:
        """Append statistics of one document."""
        self.maps.append(site, segment_index, values)

    def commit(self, done_segments: int) -> None:
        """Put all announced batches whose documents lie before `done_segments` into the log."""
        for file in [*self._files.values(), *self.maps.files()]:
            file.flush()
            os.fsync(file.fileno())
        done = self.done_segments
        while self._pending and done + self._pending[0].n_rows <= done_segments:
            record = self._pending.popleft()
            rows = range(done, done + record.n_rows)
            record = replace(record, sizes=self.maps.take_sizes(rows))
            done += record.n_rows
            self.records.append(record)
            self._log.write(json.dumps(record.__dict__) + "\n")
        self._log.flush()
        os.fsync(self._log.fileno())
        self.done_segments = done

    def read(self, site: str, start: int, stop: int) -> np.ndarray:
        """Return committed rows [start, stop) of a site."""
        n_units = self._sites[site]["n_units"]
        offset = start * n_units * self._dtype.itemsize
        flat = np.fromfile(self.file(site), self._dtype, (stop - start) * n_units, offset=offset)
        return flat.reshape(stop - start, n_units)

    def close(self) -> None:
        """Let the folder go; what was committed can be resumed."""
        for file in [*self._files.values(), *self.maps.files(), self._log]:
            try:
                file.close()
            except OSError:
                # A full disk: the bytes that did not fit are not in the log either.
                pass
        os.close(self._lock)

    def remove(self) -> None:
        """Delete the folder, once the recording holds everything; call after :meth:`close`."""
        shutil.rmtree(self.folder)

    def _check(self, plan: dict[str, Any]) -> None:
        plan = json.loads(json.dumps({**plan, "version": _VERSION}))
        path = self.folder / _PLAN
        if not path.exists():
            draft = path.with_suffix(".new")
            draft.write_text(json.dumps(plan, indent=1), encoding="utf-8")
            os.replace(draft, path)
            return
        there = json.loads(path.read_text(encoding="utf-8"))
        different = [key for key in {**there, **plan} if there.get(key) != plan.get(key)]
        if different:
            raise RecordingError(
                f"{self.folder} cannot be resumed: "
                + "; ".join(
                    f"{key} was {_short(there.get(key))}, is {_short(plan.get(key))}"
                    for key in different
                )
                + ". Resume with what the run was started with, or start anew with --overwrite."
            )

    def _read_log(self) -> list[BatchRecord]:
        path = self.folder / _LOG
        if not path.exists():
            return []
        raw = path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) != len(raw):
            # The last line of an interrupted commit.
            os.truncate(path, len(whole))
        return [BatchRecord(**json.loads(line)) for line in whole.splitlines()]

    def _cut(self) -> None:
        n_documents = sum(record.n_rows for record in self.records)
        positions = {stream: int(found.sum()) for stream, found in self.lengths().items()}
        sizes = {}
        for site, described in self._sites.items():
            rows = positions.get(described["stream"], 0)
            if described["per"] == "call":
                rows = n_documents
            sizes[self.file(site)] = rows * described["n_units"] * self._dtype.itemsize
        for path in self.folder.glob("attention*.bin"):
            sizes[path] = sum(record.sizes.get(path.name, 0) for record in self.records)
        for path, size in sizes.items():
            there = path.stat().st_size if path.exists() else 0
            if there < size:
                raise RecordingError(
                    f"{path} has {there:,} bytes, but the log tells of {size:,}: the parts are "
                    "damaged. Start anew with --overwrite."
                )
            if there > size:
                os.truncate(path, size)


class CommittedParts:
    """What part files hold of the first documents, by column, for a comparison.

    Parameters
    ----------
    parts : Parts
    maps : mapping of str to LoaderSite
        Attention sites, as the parts hold them.
    n_documents : int
        How many of the first documents are asked about.
    """

    def __init__(self, parts: Parts, maps: Mapping[str, LoaderSite], n_documents: int) -> None:
        self._parts = parts
        self._lengths = parts.lengths()
        self._pieces = {
            name: list(islice(parts.maps.read(known, known, self._lengths), n_documents))
            for name, known in maps.items()
        }

    def committed(self, column: str, segment_index: int) -> list[np.ndarray]:
        """Return what is there of a site, or of a data set of an attention site."""
        described = self._parts.site(column)
        if described is None:
            site, part = column.removeprefix(f"{schema.ATTENTION}/").rsplit("/", 1)
            piece = self._pieces[site][segment_index]
            if part == schema.WEIGHTS and piece.weights is not None:
                return [run[:, None] for run in piece.weights]
            return [piece.statistics[part]]
        start, stop = segment_index, segment_index + 1
        if described["per"] != "call":
            lengths = self._lengths[described["stream"]]
            start, stop = int(lengths[:start].sum()), int(lengths[:stop].sum())
        return [self._parts.read(column, start, stop)]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
