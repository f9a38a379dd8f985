"""Attention maps in a recording: what was written is read, in every form and type."""

from __future__ import annotations

import numpy as np
import pytest

from interp.storage import open_recording
from tests.storage.example import by_document, small
from tests.storage.maps import Maps, map_site

LENGTHS = [9, 4, 1, 12]


def example(*sites, size=100, shuffle=False, **more):
    return small(
        tuple(LENGTHS),
        segments={"text": by_document(LENGTHS, size, shuffle)},
        maps=tuple(Maps.random(s, LENGTHS, LENGTHS, i) for i, s in enumerate(sites)),
        **more,
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
@pytest.mark.parametrize("keys", ["causal", "document", "window:3"])
@pytest.mark.parametrize("size", [100, 5])
def test_full_maps(tmp_path, dtype, keys, size):
    made = example(map_site(dtype=dtype, keys=keys), size=size, shuffle=True)
    with open_recording(made.record(tmp_path / "run.h5")) as recording:
        made.check(recording)
        assert recording.verify().ok
        (maps,) = made.maps
        for document, weights in enumerate(maps.weights):
            assert np.abs(recording.attention("a/attention", document) - weights).max() <= (
                recording.attention_sites["a/attention"].max_error
            )


FORMS = [
    map_site(),
    map_site(form="stats", dtype="float32"),
    map_site(form="top-p", mass=0.9),
    map_site(form="top-p", mass=0.5, dtype="uint8", keys="document"),
]


@pytest.mark.parametrize("kind", range(len(FORMS)))
@pytest.mark.parametrize("size", [100, 5])
def test_every_form(tmp_path, kind, size):
    made = example(FORMS[kind], size=size, shuffle=True)
    path = made.record(tmp_path / "run.h5")
    with open_recording(path) as recording:
        made.check(recording)
        assert recording.verify().ok
    assert not path.with_name("run.h5.new").exists()
