"""The peak memory of this process, as the system has kept it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """Return the most memory that this process has had resident at a time."""
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage tells begins with the parent's size at the moment of the fork.
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
