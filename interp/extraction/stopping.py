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
        if error.errno not in _NO_SPACE:
            raise
        raise StorageError(
            f"The disk is full.{kept(output, done())} Make room, then continue with the same "
            "command and --resume."
        ) from error
    except InterpError as error:
        text = str(error)
        if str(output) not in text:
            text += kept(output, done())
        raise type(error)(text) from error


def kept(output: Path, n_positions: int) -> str:
    """Return a sentence on what the user still has, with a space before it; none for nothing."""
    if not n_positions:
        return ""
    return f" {output} keeps the {count(n_positions, 'position')} recorded before."
