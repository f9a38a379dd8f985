"""The demonstration: a bundled model reads Python source it has never seen, and is recorded.

The files are those of the running Python's standard library that the model's training held out.
The recording goes to the user's cache folder, so the second start is instant.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interp.models import zoo

#: Enough to look around in, little enough to be recorded in seconds and to take 0.3 GB.
N_CHARACTERS = 25_000
_SHORTEST = 2_000
MODEL = "code-lstm"
CONCEPT = "quoted_string"


def cache_folder() -> Path:
    """Return the folder for what can be computed again: ``INTERP_CACHE``, else the user's cache."""
    if given := os.environ.get("INTERP_CACHE"):
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "interp"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interp"


def demo_files(n_characters: int = N_CHARACTERS) -> list[Any]:
    """Return held-out source files, sorted by name, of about `n_characters` in all.

    Many short files show more than one long one; the very short are left out.
    """
    from interp.corpora.standard_library import split_files, standard_library

    files = [f for f in split_files(standard_library(), "test") if len(f.text) >= _SHORTEST]
    files.sort(key=lambda file: (len(file.text), file.name))
    chosen, total = [], 0
    for file in files:
        total += len(file.text)
        if total > n_characters:
            break
        chosen.append(file)
    return sorted(chosen or files[:1], key=lambda file: file.name)


def prepare_demo(report: Callable[[str], None] = lambda line: None) -> Path:
    """Return the demonstration's recording, recording it first where it is missing.

    Parameters
    ----------
    report : callable
        Called with lines that say what is being done.
    """
    import interp

    files = demo_files()
    digest = hashlib.sha256(zoo.card(MODEL)["weights_hash"].encode())
    for file in files:
        digest.update(f"{file.name}\0{file.text}\0".encode("utf-8", "surrogatepass"))
    # The file's name is what the page calls the recording.
    path = cache_folder() / "demo" / digest.hexdigest()[:12] / "python-source.h5"
    if path.exists() and _is_complete(path):
        return path
    # Those of another model or Python can always be made again.
    shutil.rmtree(path.parent.parent, ignore_errors=True)
    path.parent.mkdir(parents=True)
    n = sum(len(file.text) for file in files)
    report(
        f"zoo:{MODEL} reads {len(files)} files of the standard library that it was not trained on "
        f"({n:,} characters)."
    )
    interp.record(
        f"zoo:{MODEL}",
        {file.name: file.text for file in files},
        path,
        sites=["lstm/l*"],
        overwrite=True,
    )
    from interp.annotations.recordings import annotate_recording

    annotate_recording(path)
    return path


def _is_complete(path: Path) -> bool:
    import interp

    try:
        with interp.open(path) as recording:
            return recording.is_complete
    except interp.InterpError:
        return False


def string_unit() -> str | None:
    """Return the bundled model's unit that tells text inside quotation marks, from its card."""
    for row in zoo.card(MODEL).get("units", []):
        if row["concept"] == CONCEPT:
            return row["unit"]
    return None
