"""The demonstration: bundled models read Python source they have never seen, and are recorded.

The files are those of the running Python's standard library that the model's training held out.
The recordings go to the user's cache folder, so the second start is instant.
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
#: Of those, what the Transformer reads: maps grow with the square of a window.
N_ATTENDED = 7_000
MODEL = "code-lstm"
TRANSFORMER = "code-transformer"
#: It looks at what followed the last time: "ne" after "bar", in a name that comes again.
LLM_HEAD = "model.layers.18.self_attn/attention:6"
CONCEPT = "quoted_string"


#: What a language model reads in the demonstration: names that come again, quotation marks, code.
PASSAGES = {
    "a name that comes again": (
        "Mrs. Oldenbarneveld opened the door. The boy had never seen Mrs. Oldenbarneveld before, "
        "but he had heard of her."
    ),
    "who gave what to whom": (
        "When Anna and Peter went to the market, Peter gave the basket to Anna, and Anna gave the "
        "apples to Peter."
    ),
    "inside quotation marks": (
        'She asked, "Are you coming with us, or do you want to wait here?" He looked up and said, '
        '"I will wait."'
    ),
    "brackets of a function": (
        "def area(shape):\n    if (shape.width > 0) and (shape.height > 0):\n"
        "        return shape.width * shape.height\n    return 0\n"
    ),
    "a list that goes on": (
        "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday, Monday,"
    ),
}


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


def prepare_demo(report: Callable[[str], None] = lambda line: None) -> list[Path]:
    """Return the demonstration's recordings, recorded first where they are missing.

    Parameters
    ----------
    report : callable
        Called with lines that say what is being done.

    Returns
    -------
    list of Path
        A recurrent net with its cells and gates, and a Transformer with its attention.
    """
    from interp.annotations.recordings import annotate_recording

    texts = {file.name: file.text for file in demo_files()}
    path, is_new = _recorded("python-source", f"zoo:{MODEL}", texts, ["lstm/l*"], report)
    if is_new:
        annotate_recording(path)
    texts = {file.name: file.text for file in demo_files(N_ATTENDED)}
    sites = ["**/attention", "**/query", "**/key", "blocks.*/output"]
    attention, _ = _recorded("python-attention", f"zoo:{TRANSFORMER}", texts, sites, report)
    return [path, attention]


def prepare_llm_demo(report: Callable[[str], None] = lambda line: None) -> Path:
    """Return a recording of SmolLM2-135M reading a few short texts, with all its heads.

    Parameters
    ----------
    report : callable
        Called with lines that say what is being done.

    Raises
    ------
    ModelError
        If the model's package is not installed; the message says how.
    """
    from interp.models.smollm import specification

    model = specification()
    sites = ["**/attention", "**/query", "**/key"]
    path, _ = _recorded("smollm2-heads", model, PASSAGES, sites, report)
    return path


def _recorded(
    name: str,
    model: str,
    texts: dict[str, str],
    sites: list[str],
    report: Callable[[str], None],
) -> tuple[Path, bool]:
    """Return a recording in the cache and whether it was made just now."""
    import interp

    digest = hashlib.sha256(f"{_identity(model)}\0{sites}\0".encode())
    for title, text in texts.items():
        digest.update(f"{title}\0{text}\0".encode("utf-8", "surrogatepass"))
    # The file's name is what the page calls the recording.
    folder = cache_folder() / "demo" / name
    path = folder / digest.hexdigest()[:12] / f"{name}.h5"
    if path.exists() and _is_complete(path):
        return path, False
    # Those of another model or Python can always be made again.
    shutil.rmtree(folder, ignore_errors=True)
    path.parent.mkdir(parents=True)
    n = sum(map(len, texts.values()))
    report(f"{model} reads {len(texts)} texts that it was not trained on ({n:,} characters).")
    interp.record(model, texts, path, sites=sites, overwrite=True)
    return path, True


def _identity(model: str) -> str:
    """Return what tells one model's weights from another's, without loading them."""
    scheme, _, rest = model.partition(":")
    if scheme == "zoo":
        return str(zoo.card(rest)["weights_hash"])
    found = Path(rest).stat()
    return f"{Path(rest).name} {found.st_size} {found.st_mtime_ns}"


def _is_complete(path: Path) -> bool:
    import interp

    try:
        with interp.open(path) as recording:
            return recording.is_complete
    except interp.InterpError:
        return False


def string_unit() -> str | None:
    """Return the bundled model's unit that tells text inside quotation marks, from its card.

    Of a cell its hidden state: it lies within -1 and 1, so that colours are full.
    """
    for row in zoo.card(MODEL).get("units", []):
        if row["concept"] == CONCEPT:
            return row["unit"].replace("/cell:", "/hidden:")
    return None
