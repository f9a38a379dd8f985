"""Results beside a recording: JSON files that say what they were computed from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from interp.errors import RecordingError
from interp.storage.atomic import replacing
from probes.findings import plain

FORMAT = "interp result"
VERSION = 1


def write_result(
    recording: Any, kind: str, name: str, parameters: dict[str, Any], result: dict[str, Any]
) -> Path:
    """Write a result into ``run.results/`` and return its file.

    The same question asked again replaces its answer; other parameters make another file.

    Parameters
    ----------
    recording : Recording
        Complete: the result carries its fingerprint.
    kind : str
        Such as ``"rank"`` or ``"probe"``.
    name : str
        What it is about, such as the concept.
    parameters, result : dict
        As JSON.
    """
    parameters = plain(parameters)
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:8]
    directory = recording.annotations.directory
    path = directory / f"{kind}.{quote(name, safe=' =')}.{digest}.json"
    body = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "name": name,
        "fingerprint": recording.fingerprint,
        "parameters": parameters,
        "result": plain(result),
    }
    try:
        directory.mkdir(exist_ok=True)
        with replacing(path) as temporary:
            Path(temporary).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def read_results(recording: Any, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the results that belong to a recording, oldest file first.

    Parameters
    ----------
    recording : Recording
    kind : str, optional
        Only those of this kind.

    Returns
    -------
    list of dict
        With kind, name, parameters, result and path. Files of another recording are left out.
    """
    directory = recording.annotations.directory
    files = sorted(directory.glob(f"{kind or '*'}.*.json")) if directory.is_dir() else []
    found = []
    for path in sorted(files, key=lambda file: file.stat().st_mtime_ns):
        body = read_result(path)
        if body["fingerprint"] == recording.fingerprint:
            found.append(body | {"path": str(path)})
    return found


def read_result(path: Path) -> dict[str, Any]:
    """Return one result file.

    Raises
    ------
    RecordingError
        If it is damaged or of a newer format.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path} cannot be read as a result: {error}.") from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise RecordingError(f"{path} is not a result of interp.")
    if body["version"] > VERSION:
        raise RecordingError(f"{path} was written by a newer interp; update to read it.")
    return body
