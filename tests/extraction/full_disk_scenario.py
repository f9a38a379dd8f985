"""A run whose disk is filled by somebody else; prints as JSON what the user saw.

    python -m tests.extraction.full_disk_scenario FOLDER (disk | limit)

With ``disk`` FOLDER is a small file system, which a ballast file fills until the kernel says
ENOSPC. With ``limit`` it is any folder, and the kernel refuses writes beyond the middle of the
recording with EFBIG (RLIMIT_FSIZE). Nothing is patched: errors are the kernel's own.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import interp
from interp.cli.main import main
from interp.models.characters import build
from tests.extraction.conftest import make_texts

N_FORWARDS_BEFORE = 20
trouble: Callable[[], None] | None = None


def make_wide_model() -> Any:
    """Return a model whose recording is larger than what is written when it is laid out."""
    torch.manual_seed(0)
    return build({"kind": "lstm", "n_layers": 2, "n_hidden": 40, "n_embedding": 6})


def model() -> object:
    """The factory of the command line: after some forwards the disk has no more room."""
    adapter = make_wide_model()
    forward, left = adapter.forward, iter(range(N_FORWARDS_BEFORE))

    def watched(*arguments: object) -> object:
        if trouble is not None and next(left, None) is None:
            trouble()
        return forward(*arguments)

    adapter.forward = watched
    return adapter


class Disk:
    """The small file system, and the file with which it is filled."""

    def __init__(self, folder: Path) -> None:
        self.ballast = folder / "ballast"

    def fill(self) -> None:
        with open(self.ballast, "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\1" * size)

    def empty(self) -> None:
        self.ballast.unlink()


class Limit:
    """A limit on the size of files, in the middle of the recording."""

    def __init__(self, folder: Path) -> None:
        self.recording = folder / "run.h5"

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.recording.stat().st_size // 2, -1))

    def empty(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))


def run(*words: str) -> dict[str, object]:
    """Return status and messages of a command line."""
    sys.argv = ["interp", *words]
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    return {"status": status, "out": out.getvalue(), "err": err.getvalue()}


def scenario(folder: Path, corpus: Path, way: str) -> dict[str, object]:
    """Run out of room, look, make room, resume."""
    global trouble
    torch.set_num_threads(1)
    interp.record.__kwdefaults__["commit_interval_s"] = 0.0  # as if the run were a slow one
    path = folder / "run.h5"
    words = [
        "record", f"py:{model.__module__}:model", str(corpus), "-o", str(path), "--sites", "lstm/*",
        "--batch-size", "4", "--window", "32", "--dtype", "float32", "--quiet",
    ]  # fmt: skip
    disk = Disk(folder) if way == "disk" else Limit(folder)
    seen: dict[str, object] = {}
    if isinstance(disk, Disk):
        disk.fill()
        seen["before"] = run(*words)
        seen["left"] = sorted(entry.name for entry in folder.iterdir())
        disk.empty()
    trouble = disk.fill
    seen["filled"] = run(*words)
    with interp.open(path) as recording:
        seen["is_complete"] = recording.is_complete
        seen["done_segments"] = recording.done_segments
    trouble = None
    seen["still full"] = run(*words, "--resume")
    disk.empty()
    seen["resumed"] = run(*words, "--resume")
    with interp.open(path) as recording:
        seen["fingerprint"] = recording.fingerprint
    return seen


def write_corpus(folder: Path) -> None:
    """Write the documents of the run; the test records them once without trouble."""
    for name, text in make_texts([700, 500, 900, 600, 800]).items():
        (folder / f"{name}.txt").write_text(text)


if __name__ == "__main__":
    from tests.extraction import full_disk_scenario  # one module, not this one and __main__

    given_folder, given_corpus, given_way = sys.argv[1:]
    found = full_disk_scenario.scenario(Path(given_folder), Path(given_corpus), given_way)
    print(json.dumps(found))
