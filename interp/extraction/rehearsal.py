"""Steps that are computed again, to see whether the values are what they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from interp.errors import CaptureError, RecordingError, StorageError
from interp.extraction.attention_pieces import MapBatch
from interp.extraction.pipeline import StepResult, write_step
from interp.extraction.same_values import Comparison, differing
from interp.extraction.schedule import Schedule, Step

#: Steps among which rows of different length are looked for.
_LOOKED_AT = 256


class Runner(Protocol):
    """What runs a step: :class:`interp.extraction.engine.Engine`."""

    sink: Any

    def run(self, step: Step, recorder: Any) -> StepResult:
        """Run a step and return what it adds to the recording."""
        ...


#: Returns an active recorder of everything that is recorded.
Record = Callable[[], AbstractContextManager[Any]]


class Resumed(Protocol):
    """The writer of a recording that is continued."""

    path: Path
    done_segments: int

    def go_back(self, done_segments: int) -> None:
        """Take the segments from there on for not written."""

    def committed(self, column: str, segment_index: int) -> list[np.ndarray]:
        """Return what is recorded of a column in a segment."""


def whole_steps(schedule: Schedule, writer: Resumed) -> None:
    """Let a writer go back to the beginning of the step in whose midst it ended.

    A commit covers whole steps, but what a power cut damaged may begin anywhere.
    """
    done = writer.done_segments
    for step in schedule.steps():
        if step.segment < done < step.segment + len(step.documents):
            writer.go_back(step.segment)
        if step.segment >= done:
            return


def refuse_other_values(
    engine: Runner, schedule: Schedule, writer: Resumed, record: Record, share: float
) -> None:
    """Compute the first step again and compare it with what is recorded of it.

    Raises
    ------
    RecordingError
        If it has other values: the file would hold two models.
    """
    step = next(iter(schedule.steps()), None)
    if step is None or len(step.documents) > writer.done_segments:
        return
    comparison = Comparison(writer, share)

    def compare(batch: MapBatch) -> None:
        for piece in batch.pieces:
            piece.write(comparison)

    if engine.sink is not None:
        engine.sink.submit = compare
    with record() as recorder:
        write_step(comparison, engine.run(step, recorder))
    if comparison.difference is not None:
        raise RecordingError(other_values(str(writer.path), str(comparison.difference)))


def other_values(path: str, difference: str) -> str:
    """Return the message for a run that cannot go on because the model computes something else."""
    return (
        f"{path} cannot be resumed: the model computes other values now, although its weights are "
        f"the same ({difference}). Its code, its settings or the software beneath it have "
        "changed. Resume with what the run was started with, or start anew with --overwrite."
    )


def refuse_padding_in_values(
    engine: Runner, schedule: Schedule, record: Record, share: float, spec: str
) -> None:
    """Compute a document beside a longer one and alone, and compare.

    Attention looks at padding for itself; here it is what padding does to any other site, such as
    a reverse direction that begins in it.

    Raises
    ------
    CaptureError
        If what stands beside a document changes its values.
    """
    for step, row in _uneven(schedule):
        lone = _rows(step, [row])
        try:
            with record() as recorder:
                beside, alone = engine.run(step, recorder), engine.run(lone, recorder)
        except StorageError:
            return  # what does not fit is told where it belongs, with what was recorded before
        found = _changed(beside, row, alone, share)
        if found is None:
            continue
        with record() as recorder:
            if _changed(engine.run(lone, recorder), 0, alone, share) is not None:
                return  # it draws random numbers
        site, known, now = found
        raise CaptureError(
            f"{site} of a document changes with what stands beside it in a batch ({known:.4g} "
            f"alone, {now:.4g} beside a longer one): {spec} lets padding into its values. Record "
            "with --batch-size 1, or use the lengths in the adapter's forward, as by "
            "pack_padded_sequence or a padding mask."
        )


def _changed(
    result: StepResult, row: int, alone: StepResult, share: float
) -> tuple[str, float, float] | None:
    """Return a site that differs between a row of a step and its document alone, and the values."""
    for site, values in alone.values.items():
        length = int(alone.site_lengths.get(site, alone.lengths)[0])
        known, now = _real(values, 0, length), _real(result.values[site], row, length)
        place = differing(known, now, share)
        if place is not None:
            return site, float(known[place]), float(now[place])
    return None


def _real(values: np.ndarray, row: int, length: int) -> np.ndarray:
    return values[row, :length] if values.ndim == 3 else values[row : row + 1]


def _uneven(schedule: Schedule) -> Iterator[tuple[Step, int]]:
    """Yield a step of two rows of different length per stream, and which row is the shorter one."""
    seen: set[str] = set()
    for step in islice(schedule.steps(), _LOOKED_AT):
        for name, part in step.parts.items():
            short, long = int(part.lengths.argmin()), int(part.lengths.argmax())
            if name in seen or step.start or not 0 < part.lengths[short] < part.lengths[long]:
                continue
            seen.add(name)
            yield _rows(step, sorted((short, long))), int(short > long)


def _rows(step: Step, rows: list[int]) -> Step:
    """Return some rows of a step."""
    parts = {
        name: replace(part, lengths=part.lengths[rows], key_stops=part.key_stops[rows])
        for name, part in step.parts.items()
    }
    return replace(step, documents=step.documents[rows], parts=parts)
