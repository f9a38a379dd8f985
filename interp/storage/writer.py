"""Writing a recording, so that a run killed at any moment loses nothing that was committed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path

import numpy as np

from interp.errors import RecordingError, StorageError, unknown_name
from interp.storage import schema
from interp.storage.attention_plan import attention_bytes, is_sparse
from interp.storage.attention_writing import MapWriter
from interp.storage.compaction import compact
from interp.storage.difference import describe_difference
from interp.storage.digests import checksum, fingerprint
from interp.storage.finite import explain_nonfinite, first_nonfinite, narrow
from interp.storage.hdf5 import open_recording_file
from interp.storage.image import write_hdf5
from interp.storage.layout import Layout, lay_out, read_layout
from interp.storage.matrix import RawMatrix
from interp.storage.plan import RecordingPlan
from interp.storage.prediction_plan import stored_predictions
from interp.storage.rawio import open_locked, sync, sync_directory
from interp.storage.resuming import committed_checksums, rows_of, values_in_file
from interp.storage.target import check_room, check_target
from interp.wording import size_text

_SYNC_INTERVAL_S = 10.0


class RecordingWriter:
    """Writes the values of a planned recording, segment by segment.

    Made by `create` or `resume`; a context manager. Nothing is buffered: memory does not grow
    with the recording. Rows may come in any order among the segments that are not committed yet.

    Attributes
    ----------
    path : pathlib.Path
    done_segments : int
        Number of segments that are committed: the next to write is the one with this index.
    """

    def __init__(self, path: Path, plan: RecordingPlan, fd: int) -> None:
        self.path, self._plan, self._file = path, plan, FileIO(fd, "r+b")
        try:
            with open_recording_file(path) as file:
                self._layout: Layout = read_layout(self._file, file.root)
        except BaseException:
            self._file.close()
            raise
        shape = self._layout.checksums.shape
        self._checksums = np.zeros(shape, "<u4")
        self._written = np.zeros(shape, bool)
        self._column = {name: i for i, name in enumerate(self._layout.columns)}
        places = self._layout.maps, self._layout.columns
        self._maps = MapWriter(*places, self._guard, self._note, plan.nonfinite == "store")
        self.done_segments = 0
        self._last_sync = time.monotonic()

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], plan: RecordingPlan, overwrite: bool = False
    ) -> RecordingWriter:
        """Lay out a new recording and return its writer.

        Parameters
        ----------
        path : str or path-like
        plan : RecordingPlan
        overwrite : bool
            Replace a file that is there already.

        Raises
        ------
        RecordingError
            If the file exists, another writer has it, or it cannot be created.
        StorageError
            If the disk is too small.
        """
        path = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
        replaced = check_target(path, overwrite)
        maps = 0 if is_sparse(plan) else attention_bytes(plan)
        check_room(path, plan.n_bytes, replaced, maps, twice=is_sparse(plan))
        draft = path.with_name(path.name + ".new")
        fd = open_locked(draft, str(path), create=True)
        try:
            write_hdf5(fd, lambda file: lay_out(file, plan))
            os.fsync(fd)
            check_target(path, overwrite)
            os.replace(draft, path)
        except BaseException as error:
            draft.unlink(missing_ok=True)
            os.close(fd)
            if isinstance(error, (OSError, StorageError)):
                raise StorageError(f"{path} cannot be created: {error}") from error
            raise
        sync_directory(path.parent)
        return cls(path, plan, fd)

    @classmethod
    def resume(cls, path: str | os.PathLike[str], plan: RecordingPlan) -> RecordingWriter:
        """Return a writer that goes on after the last committed segment.

        A complete recording gives a writer that has nothing left to do.

        Raises
        ------
        RecordingError
            If there is no recording, another writer has it, or the plan differs in its model,
            corpus, sites, predictions, segments or schedule; the message says in which.
        """
        path = Path(path)
        open_recording_file(path).close()
        fd = open_locked(path, str(path))
        try:
            with open_recording_file(path) as file:
                if difference := describe_difference(file.root, plan):
                    raise RecordingError(f"{path} cannot be resumed: {difference}")
        except BaseException:
            os.close(fd)
            raise
        writer = cls(path, plan, fd)
        writer._load_progress()
        return writer

    @property
    def n_segments(self) -> int:
        """Number of segments of the whole recording."""
        return self._plan.n_segments

    @property
    def is_complete(self) -> bool:
        """Whether the recording has been marked complete."""
        value = self._layout.fingerprint.read(0, 1, np.array([0]))[0, 0]
        return len(value) == schema.FINGERPRINT_LENGTH

    def go_back(self, done_segments: int) -> None:
        """Take the segments from `done_segments` on for not written, to write them again.

        What a power cut damaged may begin in the midst of segments that are computed together.
        """
        if not 0 <= done_segments <= self.done_segments:
            raise ValueError(f"go_back({done_segments}) with {self.done_segments} segments done")
        self._written[done_segments:] = False
        self.done_segments = done_segments

    def committed(self, column: str, segment_index: int) -> list[np.ndarray]:
        """Return what the file holds of one column in a committed segment, (n, n_columns).

        A column is a site, a data set of the predictions or one of an attention site; full maps
        come as one run of weights per head.
        """
        if segment_index >= self.done_segments:
            raise ValueError(f"segment {segment_index} is not committed")
        return values_in_file(self._plan, self._layout, column, segment_index)

    def write(self, site: str, segment_index: int, values: np.ndarray) -> None:
        """Write the values of one site for one segment.

        Parameters
        ----------
        site : str
        segment_index : int
            At least `done_segments`; a segment may be written again until it is committed.
        values : array, shape (n_rows, n_units)
            One row per position of the segment; for a site without a position axis, one per
            document whose last position lies in the segment.

        Raises
        ------
        StorageError
            If a value does not fit the storage type, is NaN or infinite (unless the plan stores
            those), or the disk is full. The recording can be resumed after each of these.
        """
        if site not in self._plan.sites:
            raise RecordingError(unknown_name("site", site, self._plan.sites))
        description = self._plan.sites[site]
        matrix = self._layout.columns[site]
        start, stop = self.rows(site, segment_index)
        values = np.asarray(values)
        if values.shape != (stop - start, description.n_units):
            raise ValueError(
                f"segment {segment_index} of {site} has shape "
                f"{(stop - start, description.n_units)}, not {values.shape}"
            )
        if values.dtype.kind not in "fiub":
            raise StorageError(f"{site} produces {values.dtype.name} values, which are no reals.")
        stored = narrow(values, matrix.dtype)
        if bad := first_nonfinite(values, stored, self._plan.nonfinite == "store"):
            raise StorageError(
                explain_nonfinite(self._plan, description, values, start, bad) + self._state()
            )
        self._put(site, segment_index, start, stored)

    def write_predictions(
        self,
        segment_index: int,
        top_ids: np.ndarray,
        top_probabilities: np.ndarray,
        loss: np.ndarray,
    ) -> None:
        """Write what the model predicts at the positions of one segment.

        Parameters
        ----------
        segment_index : int
        top_ids : array of int, shape (n_rows, top_k)
            Most probable first.
        top_probabilities : array of float, shape (n_rows, top_k)
        loss : array of float, shape (n_rows,)
            Negative log-probability (natural logarithm) of the actual id; NaN where there is none.
        """
        if self._plan.predictions is None:
            raise ValueError("the plan of this recording has no predictions")
        start, stop = self._layout.segments[self._plan.predictions.stream][segment_index].tolist()
        try:
            stored = stored_predictions(
                self._plan, self._layout.columns, (start, stop), (top_ids, top_probabilities, loss)
            )
        except StorageError as error:
            raise StorageError(f"{error}{self._state()}") from None
        for name, values in stored.items():
            self._put(name, segment_index, start, values)

    def write_attention(
        self, site: str, segment_index: int, weights: np.ndarray, first_row: int = 0
    ) -> None:
        """Write full maps of the rows of one segment, at once or in blocks of rows in order.

        Parameters
        ----------
        site : str
        segment_index : int
        weights : array, shape (n_heads, n_weights)
            In the storage type: the weights of each row inside its key range, row after row; see
            :func:`interp.storage.key_ranges.pack_rows`.
        first_row : int
            The row of the segment at which `weights` begin; 0 begins anew.

        Raises
        ------
        StorageError
            If a weight is NaN or infinite (unless the plan stores those), or the disk is full.
        """
        rows = self._map_rows(site, segment_index)
        self._maps.write_rows(site, segment_index, rows, weights, first_row)

    def write_attention_edges(
        self, site: str, segment_index: int, edges: Mapping[str, np.ndarray]
    ) -> None:
        """Write the largest weights of each row of one segment, for the form ``"top-p"``.

        Parameters
        ----------
        site : str
        segment_index : int
        edges : mapping of str to array
            ``kept`` and ``kept_mass``, shape (n_rows, n_heads): how many keys of each row, and
            their mass; ``key_index`` and ``weights``, shape (n_kept,): head after head, row after
            row, keys rising.
        """
        rows = self._map_rows(site, segment_index)
        self._maps.write_edges(site, segment_index, rows, edges)

    def write_attention_statistics(
        self, site: str, segment_index: int, values: Mapping[str, np.ndarray]
    ) -> None:
        """Write statistics of the rows of one segment, each of shape (n_rows, n_heads)."""
        rows = self._map_rows(site, segment_index)
        self._maps.write_matrices(site, segment_index, rows, values)

    def _map_rows(self, site: str, segment_index: int) -> tuple[int, int]:
        if site not in self._plan.attention:
            raise RecordingError(unknown_name("attention site", site, self._plan.attention))
        if segment_index < self.done_segments:
            raise ValueError(f"segment {segment_index} is committed and does not change any more")
        stream = self._plan.attention[site].site.stream
        start, stop = self._layout.segments[stream][segment_index].tolist()
        return start, stop

    def rows(self, site: str, segment_index: int) -> tuple[int, int]:
        """Return the first and one-past-last row of a site that a segment fills."""
        return rows_of(self._plan, self._layout, site, segment_index)

    def commit(self, done_segments: int) -> None:
        """Make the segments before `done_segments` part of the recording.

        Their values are in the file before the counter says so.
        """
        first = self.done_segments
        if not first <= done_segments <= self.n_segments:
            raise ValueError(f"commit({done_segments}) after {first} of {self.n_segments} segments")
        missing = np.argwhere(~self._written[first:done_segments])
        if len(missing):
            name = list(self._column)[missing[0][1]]
            raise ValueError(f"segment {first + missing[0][0]} of {name} has not been written")
        self._guard(self._layout.checksums.write_rows, first, self._checksums[first:done_segments])
        self._write_number(self._layout.done, done_segments)
        self.done_segments = done_segments
        if time.monotonic() - self._last_sync > _SYNC_INTERVAL_S:
            self._sync()

    def complete(self) -> None:
        """Mark the recording complete; from here on it does not change any more."""
        if self.is_complete:
            return
        if self.done_segments != self.n_segments:
            raise ValueError(f"{self.done_segments} of {self.n_segments} segments are committed")
        self._sync()
        value = fingerprint(self._layout.digests, self._checksums)
        if is_sparse(self._plan):
            with self._file:  # what is put in its place is open already
                self._guard(self._compact, value)
            return
        data = np.array([[value.encode()]], self._layout.fingerprint.dtype)
        self._guard(self._layout.fingerprint.write_rows, 0, data)
        self._guard(sync, self._file.fileno())

    def close(self) -> None:
        """Let the file go. What was committed can be read, and resumed by another writer."""
        self._file.close()

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _put(self, name: str, segment_index: int, start: int, stored: np.ndarray) -> None:
        """Write rows of one column and note their checksum."""
        if segment_index < self.done_segments:
            raise ValueError(f"segment {segment_index} is committed and does not change any more")
        stored = np.ascontiguousarray(stored)
        self._guard(self._layout.columns[name].write_rows, start, stored)
        self._note(name, segment_index, checksum(stored))

    def _note(self, name: str, segment_index: int, value: int) -> None:
        """Note the checksum of what a segment has put into a column."""
        cell = segment_index, self._column[name]
        self._checksums[cell] = value
        self._written[cell] = True

    def _compact(self, value: str) -> None:
        self._file, self._layout = compact(self.path, self._plan, self._layout, value)

    def _guard(self, action: Callable[..., None], *arguments: object) -> None:
        """Do something to the file; a full disk is told with what to do about it."""
        try:
            action(*arguments)
        except StorageError as error:
            free = shutil.disk_usage(self.path.parent).free
            raise StorageError(
                f"{self.path}: {error} {size_text(free)} are free, the whole recording takes "
                f"{size_text(self._plan.n_bytes)}. Make room and resume." + self._state()
            ) from error

    def _state(self) -> str:
        done, total = self.done_segments, self.n_segments
        kept = " and stay valid" if done else ""
        return f" {done:,} of {total:,} segments are committed in {self.path}{kept}."

    def _write_number(self, place: RawMatrix, value: int) -> None:
        self._guard(place.write_rows, 0, np.array([[value]], "<i8"))

    def _sync(self) -> None:
        """Let everything that is committed survive a power cut, and note how much that is."""
        self._guard(sync, self._file.fileno())
        self._write_number(self._layout.synced, self.done_segments)
        self._last_sync = time.monotonic()

    def _load_progress(self) -> None:
        """Take up what an earlier writer committed."""
        stored = committed_checksums(self._plan, self._layout)
        good = len(stored)
        self._checksums[:good] = stored
        self._written[:good] = True
        self.done_segments = good
