"""Work that takes longer than a request: in threads of its own, with progress and a way to cancel.

A job is known by its key, which says everything about the question. Asking again is asking how far
it is, so a page that is opened twice, or comes back, starts nothing twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from interp.errors import InterpError

log = logging.getLogger(__name__)

KEPT = 64


class Cancelled(Exception):
    """Ends the work of a job that nobody wants any more."""


class Job:
    """One piece of work and how far it is.

    Attributes
    ----------
    state : {"waiting", "running", "done", "failed", "cancelled"}
    done, total : int
        Of whatever the work counts; total 0: not known.
    early : object
        A first answer, before the whole one; None for none.
    result : object
        The answer, when done.
    error : str
        One sentence, when failed.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.state = "waiting"
        self.done = self.total = 0
        self.early: Any = None
        self.result: Any = None
        self.error = ""
        self.started = time.monotonic()
        self.seconds = 0.0
        self._cancel = threading.Event()

    def tell(self, done: int, total: int) -> None:
        """Note the progress; raises :class:`Cancelled` when the job was cancelled."""
        self.done, self.total = done, total
        if self._cancel.is_set():
            raise Cancelled

    def show(self, early: Any) -> None:
        """Give a first answer."""
        self.early = early
        self.tell(self.done, self.total)

    def cancel(self) -> None:
        """Ask the work to end at its next step."""
        self._cancel.set()
        if self.state == "waiting":
            self.state = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "failed", "cancelled")

    def to_dict(self) -> dict[str, Any]:
        """Return what the page shows."""
        return {
            "title": self.title,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "seconds": round(self.seconds or time.monotonic() - self.started, 1),
            "result": self.result if self.state == "done" else self.early,
            "isEarly": self.state != "done" and self.early is not None,
            "error": self.error,
        }

    def run(self, work: Callable[[Job], Any]) -> None:
        """Do the work and note how it ended."""
        if self.state == "cancelled":
            return
        self.state = "running"
        try:
            self.result = work(self)
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except InterpError as error:
            self.state, self.error = "failed", str(error)
        except Exception as error:  # The page shows it; the log has the traceback.
            log.exception("%s failed", self.title)
            self.state = "failed"
            self.error = f"The search failed with {type(error).__name__}: {error}"
        finally:
            self.seconds = time.monotonic() - self.started


class Jobs:
    """All jobs by key; a few run at once, the others wait."""

    def __init__(self, n_at_once: int = 2) -> None:
        self._pool = ThreadPoolExecutor(n_at_once, thread_name_prefix="job")
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def ask(self, key: str, title: str, work: Callable[[Job], Any]) -> Job:
        """Return the job of a key, started if there is none or it was cancelled."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None or job.state == "cancelled":
                job = self._jobs[key] = Job(title)
                self._forget()
                self._pool.submit(job.run, work)
            return job

    def find(self, key: str) -> Job | None:
        """Return the job of a key, None when there is none."""
        return self._jobs.get(key)

    def cancel(self, key: str) -> None:
        """Cancel the job of a key, if there is one that is not over."""
        job = self.find(key)
        if job is not None and not job.is_over:
            job.cancel()

    def close(self) -> None:
        """Cancel everything."""
        for job in self._jobs.values():
            job.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _forget(self) -> None:
        """Drop the oldest jobs that are over, so that a long session does not grow."""
        over = [key for key, job in self._jobs.items() if job.is_over]
        for key in over[: max(0, len(self._jobs) - KEPT)]:
            del self._jobs[key]
