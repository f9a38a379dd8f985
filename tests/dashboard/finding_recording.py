"""A recording with a planted unit, and results beside it, for the tests of search and findings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import interp
from interp.sites import SiteDescription
from interp.storage import AnnotationPlan, RecordingPlan, RecordingWriter, StreamPlan
from probes.ranking import rank
from probes.results import write_result

N_DOCUMENTS = 32
LENGTH = 150
PLANTED = "lstm/l0/cell:2"
SITES = ("lstm/l0/cell", "lstm/l0/hidden", "lstm/l0/forget_gate")


def texts() -> list[str]:
    """Return lines of code with a string each, of different lengths."""
    rng = np.random.default_rng(0)
    out = []
    for _ in range(N_DOCUMENTS):
        text = ""
        while len(text) < LENGTH:
            inside = "".join(rng.choice(list("abcdefgh "), rng.integers(3, 12)))
            text += f"name_{rng.integers(100)} = '{inside}' + x\n"
        out.append(text[:LENGTH])
    return out


def inside_quotes(text: str) -> np.ndarray:
    """Return whether each character lies between quotation marks."""
    quote = np.cumsum([c == "'" for c in text]) % 2 == 1
    return quote & np.array([c != "'" for c in text])


def write_recording(path: Path) -> Path:
    """Write the recording; unit 2 of the cells is on inside strings, the others wander."""
    found = texts()
    mask = np.concatenate([inside_quotes(text) for text in found])
    rng = np.random.default_rng(1)
    n = len(mask)
    cell = rng.normal(size=(n, 6)).astype(np.float32)
    cell[:, 2] += 4 * mask
    gate = 1 / (1 + np.exp(-rng.normal(size=(n, 6)) * 3))
    gate[:, 1] = 0.97
    values = {SITES[0]: cell, SITES[1]: np.tanh(rng.normal(size=(n, 6))), SITES[2]: gate}
    start = np.arange(N_DOCUMENTS + 1) * LENGTH
    plan = RecordingPlan(
        streams=[
            StreamPlan("text", [f"file_{i}.py" for i in range(N_DOCUMENTS)], start, texts=found)
        ],
        sites={
            name: SiteDescription(
                name, "lstm", name.rpartition("/")[2], 6, "float16", layer=0, direction="forward"
            )
            for name in SITES
        },
        segments=np.stack([start[:-1], start[1:]], 1),
        annotations=[AnnotationPlan("string", mask)],
    )
    writer = RecordingWriter.create(path, plan)
    for i in range(N_DOCUMENTS):
        for name in SITES:
            writer.write(name, i, values[name][start[i] : start[i + 1]].astype(np.float16))
    writer.commit(N_DOCUMENTS)
    writer.complete()
    writer.close()
    return path


def add_results(path: Path) -> None:
    """Leave a ranking and the saturation of the gates beside the recording."""
    from probes.dynamics import measure_saturation

    with interp.open(path) as recording:
        (found,) = rank(recording, ["string"], n_best=4, n_resamples=50, n_swaps=20, curve=(1, 2))
        write_result(recording, "rank", "string", found.parameters, found.to_dict())
        saturation = measure_saturation(recording)
        write_result(
            recording, "dynamics", "saturation", saturation.parameters, saturation.to_dict()
        )
