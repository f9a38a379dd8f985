"""Small recordings with units that are known to tell a concept, or not to."""

import numpy as np

from interp.sites import SiteDescription
from interp.storage import RecordingPlan, RecordingWriter, StreamPlan

SITE = "lstm/l0/cell"


def write_recording(path, values, starts, texts=None, spans=None, token_ids=None, vocabulary=None,
                    complete=True, site=SITE):  # fmt: skip
    """Write arrays (one, or a dict of site name to array) as a recording; return its path."""
    arrays = values if isinstance(values, dict) else {site: values}
    starts = np.asarray(starts, np.int64)
    names = [f"doc{i}.py" for i in range(len(starts) - 1)]
    if token_ids is None and texts is None:
        token_ids = np.zeros(starts[-1], np.int64)
    stream = StreamPlan("text", names, starts, texts, token_ids, spans, vocabulary)
    sites = {
        name: SiteDescription(name, "lstm", name.rsplit("/")[-1], array.shape[1], str(array.dtype))
        for name, array in arrays.items()
    }
    segments = np.stack([starts[:-1], starts[1:]], axis=1)
    plan = RecordingPlan([stream], sites, None, segments, {}, {}, nonfinite="store")
    writer = RecordingWriter.create(path, plan)
    n_written = len(segments) if complete else len(segments) // 2
    for i, (start, stop) in enumerate(segments[:n_written].tolist()):
        for name, array in arrays.items():
            writer.write(name, i, array[start:stop])
    writer.commit(n_written)
    if complete:
        writer.complete()
    writer.close()
    return path


#: What the columns of `planted_values` are.
PLANTED = {"inverted": 3, "informative": 5, "shifted": 7, "constant": 9, "with NaN": 11}


def planted_values(labels, n_units=16, dtype="float16", seed=0):
    """Return noise in which some units are copies of the labels, each spoiled in its way."""
    rng = np.random.default_rng(seed)
    n = len(labels)
    values = rng.normal(size=(n, n_units))
    clean = labels * 2.0 + rng.normal(size=n)
    values[:, PLANTED["informative"]] = clean
    values[:, PLANTED["inverted"]] = -3 * labels + rng.normal(size=n) * 0.5 + 40
    values[:, PLANTED["shifted"]] = np.roll(clean, 4)
    values[:, PLANTED["constant"]] = 0.25
    values[:, PLANTED["with NaN"]] = labels
    values[n // 3, PLANTED["with NaN"]] = np.nan
    return values.astype(dtype)


def slow_labels(n, rate=0.1, seed=0):
    """Return labels that stay on or off for about 1 / rate positions."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.random(n) < rate) % 2 == 1
