"""What attention could not be recorded, said once and by name."""

from __future__ import annotations

from interp.capture.session import Session


def report(session: Session) -> None:
    """Refuse or warn where attention was asked for and not recorded."""
