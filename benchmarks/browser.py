"""The browser that benchmarks drive: the one that `make bench` found."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

_ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
).split()


def _found() -> str | None:
    # .ci/browser.py leaves this note.
    note = Path(sys.prefix) / "browser"
    if note.is_file():
        return note.read_text().strip()
    return (
        os.environ.get("BROWSER_PATH") or shutil.which("chromium") or shutil.which("google-chrome")
    )


#: Keyword arguments for Playwright's `chromium.launch`; without a path it takes its own.
LAUNCH: dict[str, Any] = {"executable_path": _found(), "args": _ARGUMENTS}
