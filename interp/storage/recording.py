"""A recording, opened: what `interp.open` returns."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interp import arguments
from interp.errors import RecordingError, SelectionError, SiteError, unknown_name
from interp.selection import Selection, no_such_unit
from interp.sites import SiteDescription
from interp.storage import schema
from interp.storage.annotating import AnnotationPlan
from interp.storage.annotations import Annotations
from interp.storage.arrays import LazyArray
from interp.storage.attention_reading import AttentionReader
from interp.storage.attention_site import AttentionSite
from interp.storage.description import describe
from interp.storage.hdf5 import open_recording_file, reading
from interp.storage.matrix import open_matrix
from interp.storage.metadata import read_metadata, read_segments
from interp.storage.named import named
from interp.storage.predictions import Predictions
from interp.storage.streams import Document, Stream
from interp.storage.strings import read_attribute
from interp.wording import kind_of

if TYPE_CHECKING:
    import pandas

    from interp.storage.verification import Verification
    from interp.storage.view import View


def open_recording(path: str | os.PathLike[str]) -> Recording:
    """Open a recording for reading.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Recording
        Also when it is incomplete, or being written: ask `is_complete` and `done_segments`.

    Raises
    ------
    RecordingError
        If the file is missing, damaged, no recording, or of a newer format.
    """
    return Recording(path)


class Recording:
    """What a model did at every position of a corpus, in one file.

    A context manager. Values are read where they are indexed, and may be read from several
    threads.

    Attributes
    ----------
    path : pathlib.Path
    sites : mapping of str to SiteDescription
        In model order.
    attention_sites : mapping of str to AttentionSite
        In model order; `attention` reads their maps.
    streams : mapping of str to Stream
    annotations : mapping of str to Annotation
        Recorded ones, and those that were added beside the recording.
    predictions : Predictions or None
    provenance : dict
        Model, weights, code and library versions, command, seed.
    schedule : dict
        How the model was fed: batches, windows, strides.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = arguments.path("A recording", path, RecordingError)
        self._opened = open_recording_file(self.path)
        self._file, self._stream = self._opened.root, self._opened.stream
        try:
            with reading(self.path):
                self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        file = self._file
        said = read_metadata(file, self._stream)
        self.sites: Mapping[str, SiteDescription] = named("site", said.sites)
        self.streams: Mapping[str, Stream] = named("stream", said.streams)
        self.attention_sites: Mapping[str, AttentionSite] = named(
            "attention site", {name: places.site for name, places in said.maps.items()}
        )
        self.provenance, self.schedule = said.provenance, said.schedule
        self.n_segments, self.done_segments = said.n_segments, said.done_segments
        self._fingerprint, self._missing = said.fingerprint, said.missing
        self._segments: dict[str, np.ndarray] = {}
        self._arrays: dict[str, LazyArray] = {}
        self._attention = AttentionReader(self, file, said.maps)
        self.annotations = Annotations(self, file)
        self.predictions: Predictions | None = None
        if schema.PREDICTIONS in file:
            group = file[schema.PREDICTIONS]
            stream = self.streams[read_attribute(group, schema.ATTR_STREAM)]
            missing = self._missing.get(stream.name)
            self.predictions = Predictions(group, stream, self._stream, missing)

    @property
    def is_complete(self) -> bool:
        """Whether everything that was planned is in the file."""
        return len(self._fingerprint) == schema.FINGERPRINT_LENGTH

    @property
    def fingerprint(self) -> str:
        """Hash of the contents, which results computed from them carry.

        Raises
        ------
        RecordingError
            If the recording is incomplete.
        """
        if not self.is_complete:
            raise RecordingError(
                f"{self.path} is incomplete ({self.done_segments:,} of {self.n_segments:,} "
                "segments), so it has no fingerprint yet. Resume it first."
            )
        return self._fingerprint

    def __getitem__(self, site: str) -> LazyArray:
        """Return the activations of a site as a lazily read array.

        Its shape is (n_positions, n_units); (n_documents, n_units) for a site without a
        position axis.
        """
        if not isinstance(site, str):
            raise SiteError(unknown_name("site", site, self.sites))
        if site in self._arrays:
            return self._arrays[site]
        if site in self.attention_sites:
            raise SiteError(
                f"{site} is a map of queries and keys, not a matrix: read "
                f"recording.attention({site!r}, document=0, head=0)."
            )
        if site not in self.sites:
            raise SiteError(unknown_name("site", site, self.sites))
        description = self.sites[site]
        missing = self._missing.get(description.stream)
        if missing is not None and description.per == "call":
            missing = missing[self.streams[description.stream].document_start[1:] - 1]
        with reading(f"{site} of {self.path}"):
            matrix = open_matrix(self._stream, self._file[schema.ACTIVATIONS][site])
        return self._arrays.setdefault(site, LazyArray(matrix, site, missing=missing))

    def __contains__(self, site: object) -> bool:
        return isinstance(site, str) and site in self.sites

    def stream_of(self, site: str) -> Stream:
        """Return the stream whose positions are the rows of a site."""
        known = isinstance(site, str)
        found = (self.sites.get(site) or self.attention_sites.get(site)) if known else None
        if found is None:
            raise SiteError(unknown_name("site", site, [*self.sites, *self.attention_sites]))
        return self.streams[found.stream]

    def _segment_rows(self, stream: str) -> np.ndarray:
        """Return the rows of each segment of a stream, (n_segments, 2)."""
        if stream not in self._segments:
            with reading(self.path):
                self._segments[stream] = read_segments(self._file, self.streams[stream])
        return self._segments[stream]

    def attention(
        self,
        site: str,
        document: int | str,
        head: int | None = None,
        rows: tuple[int, int] | None = None,
        keys: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Return attention weights of one document.

        Parameters
        ----------
        site : str
            One of `attention_sites`.
        document : int or str
            Index or name.
        head : int, optional
            All heads unless one is named.
        rows, keys : (int, int), optional
            First and one-past-last query, and key, counted within the document; all of them
            unless said. What lies outside is not read.

        Returns
        -------
        array of float32, shape (queries, keys) or (n_heads, queries, keys)
            0 where a query does not see a key, and where ``"top-p"`` kept nothing; NaN in rows
            that an incomplete recording does not hold.

        Raises
        ------
        SiteError
            If there is no such attention site.
        SelectionError
            If there is no such document or head, or rows or keys lie outside the document.
        StorageError
            If only statistics were kept.
        """
        return self._attention.dense(site, document, head, rows, keys)

    def attention_edges(
        self, site: str, document: int | str, head: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the stored weights of one head of one document, row after row.

        Returns
        -------
        row_start : array of int64, shape (queries + 1,)
            Query i has entries ``row_start[i]`` to ``row_start[i + 1] - 1`` of the other two.
        keys : array of int64, shape (n,)
            Keys within the document, rising in each row.
        weights : array of float32, shape (n,)
        """
        return self._attention.edges(site, document, head)

    def attention_statistics(self, site: str) -> Mapping[str, LazyArray]:
        """Return the statistics of each row of an attention site that were recorded, by name.

        Each is lazily read, of shape (n_positions, n_heads): ``entropy`` (nats), ``maximum``,
        ``mean_distance`` and others for the form ``"stats"``; those, ``kept`` and ``kept_mass``
        for ``"top-p"``; none for ``"full"``, whose maps tell everything.
        """
        return self._attention.statistics(site)

    def key_range(self, site: str, document: int | str) -> np.ndarray:
        """Return which keys each query of a document may see, as (queries, 2) int64.

        First and one-past-last key, counted within the document of the key stream; where there
        is a :meth:`key_order`, first and one-past-last place in it.
        """
        return self._attention.key_range(site, document)

    def key_order(self, site: str, document: int | str) -> np.ndarray | None:
        """Return the order of keys whose places :meth:`key_range` counts, (keys,) int64.

        None where they are counted as they stand. The windows of an image (Swin) are no runs of
        patches; in this order they are: query i sees the keys ``order[first:stop]``.
        """
        return self._attention.key_order(site, document)

    def unit(self, site: str, unit_index: int) -> np.ndarray:
        """Return one unit over all positions, shape (n_positions,).

        Raises
        ------
        SelectionError
            If the site has no such unit; units count from 0, not from the end.
        """
        array = self[site]
        try:
            index = operator.index(unit_index)
        except TypeError:
            raise SelectionError(
                f"A unit of {site} is a whole number; got {kind_of(unit_index)}."
            ) from None
        if not 0 <= index < array.shape[1]:
            raise no_such_unit(index, array.shape[1], site)
        return array[:, index]

    def to_frame(
        self,
        selection: str | Selection,
        annotations: Sequence[str] = (),
    ) -> pandas.DataFrame:
        """Return a selection as a table with one row per position.

        Parameters
        ----------
        selection : str or Selection
            Such as ``"lstm/l0/cell:87,90-95@doc3:100-200"``.
        annotations : sequence of str
            Annotations to put beside the values.

        Returns
        -------
        pandas.DataFrame
            Columns ``document``, ``document_name``, ``position`` (within the document),
            ``token`` where there are tokens, the annotations, and one per unit, such as
            ``lstm/l0/cell:87``. float16 is widened to float32, which changes no value.
        """
        from interp.storage.frame import to_frame

        return to_frame(self, selection, annotations)

    def write_annotation(
        self,
        name: str,
        values: Any,
        kind: str | None = None,
        categories: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        stream: str | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Add an annotation beside the recording, in ``run.results/``, and return its file.

        Parameters
        ----------
        name : str
        values : array, shape (n_positions,)
            Booleans or 0 and 1; strings, or indices of categories; or numbers.
        kind : {"binary", "categorical", "numeric"}, optional
            Told from the values when it is left out.
        categories : sequence of str, optional
        parameters : dict, optional
            How the values were made, as JSON.
        stream : str, optional
            The first stream unless another is named.
        overwrite : bool
            Replace an annotation of that name.

        Raises
        ------
        RecordingError
            If the recording is incomplete.
        StorageError
            If the values fit neither kind nor stream, or the name is taken.
        """
        where = self.stream(stream).name
        plan = AnnotationPlan(name, values, where, kind, categories, parameters or {})
        return self.annotations.add(plan, overwrite)

    def view(self) -> View:
        """Return the unit-major int8 view for the screen; each site is built when first asked."""
        from interp.storage.view import View

        return View(self)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Verification:
        """Compare what the file holds with its checksums.

        Parameters
        ----------
        progress : callable, optional
            Called with the number of checksums compared, and of those in all.
        """
        from interp.storage.verification import verify

        return verify(self, progress)

    def document(self, document: int | str, stream: str | None = None) -> Document:
        """Return one document by index or name, of the first stream unless another is named."""
        return self.stream(stream).documents[document]

    def stream(self, name: str | None = None) -> Stream:
        """Return a stream by name, or the first one."""
        if name is None:
            return next(iter(self.streams.values()))
        if not isinstance(name, str) or name not in self.streams:
            raise SelectionError(unknown_name("stream", name, self.streams))
        return self.streams[name]

    def close(self) -> None:
        """Let the file go."""
        if (annotations := getattr(self, "annotations", None)) is not None:
            annotations.close()
        self._opened.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return describe(self)
