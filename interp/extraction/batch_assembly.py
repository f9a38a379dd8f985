"""A recording written from part files, once the corpus has ended and all lengths are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.errors import RecordingError
from interp.extraction.batches import batch_hash
from interp.extraction.loader_sites import LoaderSite
from interp.extraction.options import Options
from interp.extraction.parts import Parts
from interp.extraction.provenance import collect
from interp.extraction.reach import Reach
from interp.extraction.summary import Summary
from interp.storage import RecordingPlan, RecordingWriter, StreamPlan, open_recording

if TYPE_CHECKING:
    from interp.models import LoadedModel

#: Rows copied at a time when the recording is assembled.
_BLOCK = 8192


def assemble(
    parts: Parts,
    sites: Mapping[str, Any],
    maps: Mapping[str, LoaderSite],
    loaded: LoadedModel,
    options: Options,
) -> RecordingPlan:
    """Write the recording from its parts, and return its plan.

    Parameters
    ----------
    parts : Parts
    sites : mapping of str to SiteDescription
        Matrices of positions and units.
    maps : mapping of str to LoaderSite
        Attention sites, as the parts hold them.
    loaded, options
        Of the run.
    """
    lengths = parts.lengths()
    narrowed = {name: _narrowed(known, parts) for name, known in maps.items()}
    plan = _plan(parts, lengths, sites, narrowed, loaded, options)
    ours = options.output.exists() and options.resume
    writer = (
        RecordingWriter.resume(options.output, plan)
        if ours
        else RecordingWriter.create(options.output, plan, overwrite=options.overwrite)
    )
    pieces = [parts.maps.read(maps[name], known, lengths) for name, known in narrowed.items()]
    with writer:
        for segment in range(plan.n_segments):
            new = [next(each) for each in pieces]
            if segment < writer.done_segments:
                continue
            for name in sites:
                writer.write(name, segment, parts.read(name, *writer.rows(name, segment)))
            for piece in new:
                piece.write(writer)
            writer.commit(segment + 1)
        writer.complete()
    return plan


def finished(parts_exist: bool, options: Options, parts_name: str) -> Summary | None:
    """Return the summary of a recording that is complete already, when resuming.

    Raises
    ------
    RecordingError
        If it is not complete and its parts are gone.
    """
    output = options.output
    if not (options.resume and output.exists() and not parts_exist):
        return None
    with open_recording(output) as recording:
        if not recording.is_complete:
            raise RecordingError(
                f"{output} is not complete and {parts_name}, where the run kept its rows, "
                "is gone; start anew with --overwrite."
            )
        n_documents = next(iter(recording.streams.values())).n_documents
        n_positions = sum(stream.n_positions for stream in recording.streams.values())
        units = [site.n_units for site in recording.sites.values()]
        return Summary(
            output, n_documents, n_positions, len(units), sum(units),
            output.stat().st_size, 0.0, 0.0, n_positions,
        )  # fmt: skip


def _narrowed(known: LoaderSite, parts: Parts) -> LoaderSite:
    """Return a site with the pattern that the maps of all batches tell."""
    if not known.may_narrow:
        return known
    reach = Reach()
    for record in parts.records:
        if known.site.name in record.reach:
            reach.add(record.reach[known.site.name])
    pattern = reach.revised(known.pattern)
    return known if pattern == known.pattern else known.narrowed(pattern)


def _plan(
    parts: Parts,
    lengths: Mapping[str, np.ndarray],
    sites: Mapping[str, Any],
    maps: Mapping[str, LoaderSite],
    loaded: LoadedModel,
    options: Options,
) -> RecordingPlan:
    names = [name for record in parts.records for name in record.names]
    starts = {name: _starts(real) for name, real in lengths.items()}
    for known in maps.values():
        starts.setdefault(known.site.stream, _starts(known.lengths(lengths)))
    # Where there are maps, or several streams, a segment is a document.
    edges = starts
    if not maps and len(starts) == 1:
        edges = {name: _blocks(int(start[-1])) for name, start in starts.items()}
    return RecordingPlan(
        streams=[StreamPlan(name, names, start) for name, start in starts.items()],
        sites=sites,
        segments={name: np.stack([at[:-1], at[1:]], axis=1) for name, at in edges.items()},
        attention={name: known.plan(lengths) for name, known in maps.items()},
        provenance=collect(
            loaded, options, "batches", batch_hash([record.hash for record in parts.records])
        ),
        schedule={"kind": "batches"},
        nonfinite=options.nonfinite,
    )


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _blocks(n_positions: int) -> np.ndarray:
    return np.append(np.arange(0, n_positions, _BLOCK), n_positions)
