"""Files of earlier versions of the format keep opening; `version_1*` were written by one."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from interp.storage import RecordingWriter, open_recording
from tests.storage.flips import contents, example

HERE = Path(__file__).parent


@pytest.fixture
def old(tmp_path):
    (tmp_path / "run.results").mkdir()
    for name, target in (("", "run.h5"), (".annotation", "run.results/annotation.added.h5")):
        with gzip.open(HERE / f"version_1{name}.h5.gz") as source:
            (tmp_path / target).write_bytes(source.read())
    return tmp_path / "run.h5"


def test_a_recording_of_version_1_is_read(old, tmp_path):
    with h5py.File(old) as file:
        assert file.attrs["format_version"] == 1
        assert file.attrs["format"] == "interp-recording"  # a string of variable length
    with open_recording(old) as recording:
        assert recording.verify().ok
        example().check(recording)
        assert list(recording.annotations) == ["even", "kind", "added"]
        added = recording.annotations["added"]
        assert added.parameters == {"half": True}
        np.testing.assert_array_equal(added[:], np.arange(13) / 2)
        recording.write_annotation("another", np.zeros(13))
    shutil.rmtree(tmp_path / "run.results")
    new = example().record(tmp_path / "new.h5")
    with open_recording(old) as one, open_recording(new) as other:
        assert contents(one) == contents(other)
        assert one.fingerprint == other.fingerprint


def test_a_recording_of_version_1_is_taken_up(old):
    with RecordingWriter.resume(old, example().plan()) as writer:
        assert writer.is_complete
        assert writer.done_segments == writer.n_segments
