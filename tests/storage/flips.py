"""Every bit of a small recording's metadata flipped, and what opening the file then comes to.

``python -m tests.storage.flips`` flips all of them, one at a time, and prints how often what
happened. HDF5 itself may crash or never return over bytes that make no sense, which nobody can turn
into a message; so each file is read in a child process with a time limit.
"""

from __future__ import annotations

import hashlib
import os
import resource
import select
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from interp.errors import InterpError
from interp.storage import AnnotationPlan, Recording, open_recording
from tests.storage.example import Example, by_document, site, small
from tests.storage.maps import Maps, map_site

LIMIT_S = 20
"""How long one file may take to read; it takes a few milliseconds."""

_MEMORY_BYTES = 4 * 2**30

SAME, REFUSED, FOUND = "read as before", "refused with a message", "changed, found by verify"
CHANGED, TRACEBACK = "changed, not found by verify", "another exception"
CRASH, HANG = "the process died", "the process hung"

Flip = tuple[int, int]
"""Place of a byte in the file, and number of its bit."""


def example() -> Example:
    """A recording with one of everything, and few values."""
    lengths = [5, 2, 6]
    forms = {"h.0/attention": "full", "h.1/attention": "top-p", "h.2/attention": "stats"}
    sites = [
        map_site(name, 2, form=form, **({"mass": 0.9} if form == "top-p" else {}))
        for name, form in forms.items()
    ]
    return small(
        tuple(lengths),
        sites=[site("lstm/l0/cell", 3), site("pool/output", 2, "float32", per="call")],
        segments={"text": by_document(lengths, 4)},
        annotations=(
            AnnotationPlan("even", np.arange(13) % 2 == 0, parameters={"by": 2}),
            AnnotationPlan("kind", ["a", "é", "c"] * 4 + ["a"]),
        ),
        maps=tuple(Maps.random(s, lengths, lengths) for s in sites),
    )


def metadata(path: Path) -> list[int]:
    """Return the places of all bytes of a file but those of its values."""
    keep = np.ones(path.stat().st_size, bool)
    with h5py.File(path) as file:

        def leave_out(name: str, item: Any) -> None:
            if not isinstance(item, h5py.Dataset):
                return
            if name.split("/")[0] not in ("activations", "predictions", "attention"):
                return
            if item.chunks is None:
                keep[item.id.get_offset() :][: item.id.get_storage_size()] = False
                return
            for i in range(item.id.get_num_chunks()):
                chunk = item.id.get_chunk_info(i)
                keep[chunk.byte_offset :][: chunk.size] = False

        file.visititems(leave_out)
    return np.flatnonzero(keep).tolist()


def contents(recording: Recording) -> str:
    """Return a hash of all that can be read from a recording but its provenance."""
    parts: list[Any] = [repr(recording).partition("\n")[2], recording.fingerprint]
    parts += [str(site) for site in recording.sites.values()]
    parts += [recording[name][:].tobytes() for name in recording.sites]
    for stream in recording.streams.values():
        parts += [stream.document_start.tobytes(), stream.documents.names]
        parts += [[document.text for document in stream.documents], stream.tokens[:]]
        parts += [np.asarray(document.spans).tobytes() for document in stream.documents]
    for name, annotation in recording.annotations.items():
        parts += [name, str(annotation), annotation.categories, annotation.parameters]
        parts += [annotation.stream, annotation.kind, annotation[:].tobytes()]
    predictions = recording.predictions
    if predictions is not None:
        read = predictions.top_ids, predictions.top_probabilities, predictions.loss
        parts += [str(predictions), *(array[:].tobytes() for array in read)]
    for name, found in recording.attention_sites.items():
        parts += [str(found)]
        n_documents = recording.stream_of(name).n_documents
        if found.form != "stats":
            maps = (recording.attention(name, i) for i in range(n_documents))
            parts += [values.tobytes() for values in maps]
        statistics = recording.attention_statistics(name).items()
        parts += [(key, array[:].tobytes()) for key, array in statistics]
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def outcome(path: Path, expected: str) -> str:
    """Read a whole recording, and say what came of it."""
    try:
        with open_recording(path) as recording:
            if contents(recording) == expected:
                return SAME
            return CHANGED if recording.verify().ok else FOUND
    except InterpError:
        return REFUSED
    except Exception as error:
        return f"{TRACEBACK}: {type(error).__name__}: {error}".replace("\n", " ")


def flipped(path: Path, flips: Sequence[Flip]) -> Iterator[tuple[Flip, str]]:
    """Flip one bit after the other in a file, and yield what reading it came to each time."""
    with open_recording(path) as recording:
        expected = contents(recording)
    whole, done = path.read_bytes(), 0
    while done < len(flips):
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receiver)
            _read_them(path, whole, flips[done:], expected, sender)
        os.close(sender)
        died = CRASH
        with os.fdopen(receiver, "rb") as lines:
            while done < len(flips):
                if not select.select([lines], [], [], LIMIT_S)[0]:
                    os.kill(child, signal.SIGKILL)
                    died = HANG
                    break
                line = lines.raw.readline()  # type: ignore[attr-defined]
                if not line:
                    break
                yield flips[done], line.decode().strip()
                done += 1
        _, status = os.waitpid(child, 0)
        if done < len(flips):
            yield flips[done], f"{died} ({status})" if died == CRASH else died
            done += 1
    path.write_bytes(whole)


def _read_them(path: Path, whole: bytes, flips: Sequence[Flip], expected: str, sender: int) -> None:
    """Read the file with each of the flips, and report each; the child's part, it ends here."""
    try:
        if sys.platform == "linux":  # a length that makes no sense is refused, not allocated
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        path.write_bytes(whole)
        with open(path, "r+b", buffering=0) as file:
            for at, bit in flips:
                os.pwrite(file.fileno(), bytes([whole[at] ^ 1 << bit]), at)
                said = outcome(path, expected)
                os.pwrite(file.fileno(), whole[at : at + 1], at)
                os.write(sender, said.encode("utf-8", "replace") + b"\n")
    finally:
        os._exit(0)


def main() -> None:
    """Flip every bit of the metadata, or every n-th of them, and print what happened."""
    step = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory() as folder:
        path = example().record(Path(folder) / "run.h5")
        flips = [(at, bit) for at in metadata(path) for bit in range(8)][::step]
        print(f"{len(flips):,} flips of {path.stat().st_size:,} bytes")
        found = Counter()
        for (at, bit), said in flipped(path, flips):
            kind = said.partition(":")[0].partition(" (")[0]
            found[kind] += 1
            if found.total() % 10_000 == 0:
                print(f"{found.total():,} done", flush=True)
            if kind in (CHANGED, TRACEBACK, CRASH, HANG):
                print(f"byte {at:,}, bit {bit}: {said}", flush=True)
        for kind, n in found.most_common():
            print(f"{n:>8,} {kind}")


if __name__ == "__main__":
    main()
