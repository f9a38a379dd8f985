"""Whatever ends a run early leaves a file that can be continued, and says so."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from interp.errors import InterpError, StorageError
from interp.wording import count

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Interrupted(InterpError):
    """The user stopped a run; what was done is kept."""


@contextmanager
def keeping_what_is_done(output: Path, done: Callable[[], int]) -> Iterator[None]:
    """Turn whatever ends the body early into one message that says what is kept.

    A file that failed before its first commit keeps nothing and is removed: it would only stand in
    the way of the next try. (After Ctrl-C it stays.)

    Parameters
    ----------
    output : Path
        The recording; its commits have been made by the body.
    done : callable
        Positions recorded so far.

    Raises
    ------
    Interrupted
        After Ctrl-C.
    InterpError
        The body's own, with what is left of the run added.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"Stopped. {output} holds {count(done(), 'position')}; continue with the same "
            "command and --resume."
        ) from None
    except OSError as error:
        _remove_if_empty(output, done())
        if error.errno not in _NO_SPACE:
            raise
        raise StorageError(
            f"The disk is full.{kept(output, done())} Make room, then continue with the same "
            "command and --resume."
        ) from error
    except InterpError as error:
        _remove_if_empty(output, done())
        text = str(error)
        if str(output) not in text:
            text += kept(output, done())
        raise type(error)(text) from error
    except Exception:
        _remove_if_empty(output, done())
        raise


def _remove_if_empty(output: Path, n_positions: int) -> None:
    if not n_positions and output.is_file():
        output.unlink()


def kept(output: Path, n_positions: int) -> str:
    """Return a sentence on what the user still has, with a space before it; none for nothing."""
    if not n_positions:
        return ""
    return f" {output} keeps the {count(n_positions, 'position')} recorded before."
