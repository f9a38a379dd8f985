"""How far a run is: what a progress display is told, and the one for terminals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from interp.extraction.estimate import Estimate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


@dataclass(frozen=True)
class Progress:
    """The state of a run.

    Attributes
    ----------
    done, total : int
        Positions recorded, and in the corpus; `total` is 0 when it is not known.
    rate : float
        Positions per second since this run began.
    """

    done: int
    total: int
    rate: float


class Display(Protocol):
    """Where a run tells of itself; all of it may be ignored."""

    def estimated(self, estimate: Estimate) -> None:
        """Before the first position is recorded."""

    def advanced(self, progress: Progress) -> None:
        """After each step, from the writing thread."""

    def said(self, message: str) -> None:
        """Something the user should know."""


class Silent:
    """Tells nobody."""

    def estimated(self, estimate: Estimate) -> None:
        """Ignore."""

    def advanced(self, progress: Progress) -> None:
        """Ignore."""

    def said(self, message: str) -> None:
        """Ignore."""


class Meter:
    """Counts positions and their rate.

    Parameters
    ----------
    total : int
        Positions of the corpus; 0 when not known.
    done : int
        Positions that an earlier run has recorded.
    tell : callable
        Called with a :class:`Progress` after each step.
    """

    def __init__(self, total: int, done: int, tell: Callable[[Progress], None]) -> None:
        self._total = total
        self._before = done
        self._done = done
        self._tell = tell
        self._start = time.monotonic()

    def advance(self, n_positions: int) -> None:
        """Count positions that have been written."""
        self._done += n_positions
        self._tell(Progress(self._done, self._total, self.rate))

    @property
    def elapsed_s(self) -> float:
        """Seconds since this run began to record."""
        return time.monotonic() - self._start

    @property
    def done(self) -> int:
        """Positions recorded by this run and those before it."""
        return self._done

    @property
    def rate(self) -> float:
        """Positions per second of this run."""
        return (self._done - self._before) / max(self.elapsed_s, 1e-9)


class RichDisplay:
    """A bar with rate and remaining time, on standard error; used within :func:`rich_display`."""

    def __init__(self, console: Console, bar: Bar) -> None:
        self._console = console
        self._bar = bar
        self._task: TaskID | None = None

    def estimated(self, estimate: Estimate) -> None:
        """Print the estimate."""
        self._console.print(str(estimate), highlight=False)

    def advanced(self, progress: Progress) -> None:
        """Move the bar."""
        rate = f"{progress.rate:,.0f} positions/s"
        if self._task is None:
            total = progress.total or None
            self._task = self._bar.add_task("recording", total=total, rate=rate)
        self._bar.update(self._task, completed=progress.done, rate=rate)

    def said(self, message: str) -> None:
        """Print above the bar."""
        self._console.print(message, highlight=False)


@contextmanager
def rich_display(console: Console | None = None) -> Iterator[RichDisplay]:
    """Show progress on `console`, by default standard error, while the body runs."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    if console is None:
        console = Console(stderr=True, soft_wrap=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # Escape codes in a log file help nobody; the summary at the end says it all.
    bar = Bar(*columns, console=console, disable=not console.is_terminal, transient=True)
    with bar:
        yield RichDisplay(console, bar)
