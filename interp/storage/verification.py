"""Whether a recording still holds what was written into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import h5py
import numpy as np

from interp.storage import digests, schema
from interp.storage.attention_layout import read_plans
from interp.storage.attention_writing import checksum_in_file
from interp.storage.digests import checksum, fingerprint
from interp.storage.hdf5 import reading
from interp.storage.layout import segment_rows
from interp.storage.matrix import Matrix, open_matrix
from interp.storage.packed import PackedStrings
from interp.storage.pictures import digest_parts
from interp.storage.strings import read_json

if TYPE_CHECKING:
    from interp.storage.recording import Recording


@dataclass(frozen=True)
class Damage:
    """A part of a recording whose values have changed.

    Attributes
    ----------
    what : str
        A site, or a part of the predictions or of what was fixed beforehand.
    rows : (int, int) or None
        First and one-past-last row, where it is a part of a site.
    """

    what: str
    rows: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.rows is None:
            return self.what
        return f"{self.what}, rows {self.rows[0]:,}-{self.rows[1] - 1:,}"


@dataclass(frozen=True)
class Verification:
    """The outcome of `Recording.verify`.

    Attributes
    ----------
    n_checked : int
        Number of checksums compared.
    damages : tuple of Damage
        Where they differ.
    """

    n_checked: int
    damages: tuple[Damage, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing has changed."""
        return not self.damages

    def __str__(self) -> str:
        if self.ok:
            return f"{self.n_checked:,} checksums agree"
        shown = "; ".join(map(str, self.damages[:5]))
        more = f"; and {len(self.damages) - 5} more" if len(self.damages) > 5 else ""
        return f"{len(self.damages):,} of {self.n_checked:,} checksums differ: {shown}{more}"


def verify(
    recording: Recording, progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Compare what a recording holds with its checksums; see `Recording.verify`."""
    with reading(recording.path):
        return _verify(recording, progress)


def _verify(recording: Recording, progress: Callable[[int, int], None] | None) -> Verification:
    damages, n_checked = [], 0
    for what, agrees in _fixed_parts(recording):
        n_checked += 1
        if not agrees():
            damages.append(Damage(what))
    stored = recording._file[schema.PROGRESS][schema.CHECKSUMS][: recording.done_segments]
    columns = list(_columns(recording))
    total = len(columns) * recording.done_segments
    for column, (name, rows, checksum_of) in enumerate(columns):
        for segment, (start, stop) in enumerate(rows[: recording.done_segments]):
            n_checked += 1
            if checksum_of(segment, (start, stop)) != stored[segment, column]:
                damages.append(Damage(name, (start, stop)))
            if progress is not None and segment % 64 == 0:
                progress(column * recording.done_segments + segment, total)
    if recording.is_complete:
        n_checked += 1
        if fingerprint(_digests(recording), stored) != recording.fingerprint:
            damages.append(Damage("fingerprint"))
    return Verification(n_checked, tuple(damages))


def _digests(recording: Recording) -> dict[str, str]:
    return read_json(recording._file, schema.DIGESTS)


Checksum = Callable[[int, tuple[int, int]], int]


def _columns(recording: Recording) -> Iterator[tuple[str, list[tuple[int, int]], Checksum]]:
    """Yield all that has checksums: name, rows of each segment, and what gives a checksum."""
    file = recording._file

    def whole(matrix: Matrix) -> Checksum:
        units = np.arange(matrix.shape[1])
        return lambda segment, rows: checksum(matrix.read(*rows, units))

    for name, site in recording.sites.items():
        start = recording.streams[site.stream].document_start
        segments = recording._segment_rows(site.stream)
        rows = [segment_rows(site, segment, start) for segment in segments]
        yield name, rows, whole(open_matrix(recording._stream, file[schema.ACTIVATIONS][name]))
    if recording.predictions is not None:
        group = file[schema.PREDICTIONS]
        rows = _pairs(recording._segment_rows(recording.predictions.stream.name))
        for part in (schema.TOP_ID, schema.TOP_PROBABILITY, schema.LOSS):
            matrix = open_matrix(recording._stream, group[part])
            yield f"{schema.PREDICTIONS}/{part}", rows, whole(matrix)
    maps = list(recording._attention.columns())
    matrices = {name: matrix for name, _, _, matrix in maps}
    for name, places, part, _ in maps:
        rows = _pairs(recording._segment_rows(places.site.stream))
        yield name, rows, partial(checksum_in_file, places, part, matrices)


def _pairs(rows: np.ndarray) -> list[tuple[int, int]]:
    return [(int(start), int(stop)) for start, stop in rows]


def _fixed_parts(recording: Recording) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Yield each part that was fixed beforehand, and the question whether it has its hash."""
    file, stored = recording._file, _digests(recording)

    def has(what: str, digest: Callable[[], str]) -> tuple[str, Callable[[], bool]]:
        return what, lambda: digest() == stored[what]

    for name in recording.streams:
        group = file[schema.STREAMS][name]
        yield has(f"stream {name}", partial(_of_stream, group, name))
    rows = {name: rows[:] for name, rows in file[schema.PROGRESS][schema.SEGMENTS].items()}
    yield has("sites", lambda: digests.of_sites(recording.sites.values()))
    if recording.attention_sites:
        yield has("attention", lambda: digests.of_attention(read_plans(file).values()))
    yield has("segments", lambda: digests.of_segments(rows))
    yield has("schedule", lambda: digests.of_json(recording.schedule))
    yield has("model", lambda: digests.of_json(recording.provenance.get("model")))
    yield has("provenance", lambda: digests.of_json(recording.provenance))
    recorded = recording.annotations.recorded()
    yield has("annotations", lambda: digests.of_json([a.digest() for a in recorded]))


def _of_stream(group: h5py.Group, name: str) -> str:
    """Return the hash of a stream as it is in the file."""
    strings = []
    for part in (schema.DOCUMENT_NAME, schema.TEXT, schema.VOCABULARY):
        there = PackedStrings(group, part) if part in group else None
        strings.append(None if there is None else (there.raw(), there.start))
    numbers = [group[part][:] if part in group else None for part in (schema.TOKEN_ID, schema.SPAN)]
    numbers += digest_parts(group)
    return digests.of_stream(name, group[schema.DOCUMENT_START][:], strings, numbers)
