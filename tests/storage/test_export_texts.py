"""Token strings that NumPy's own arrays would change survive an export."""

from __future__ import annotations

import numpy as np
import pytest

from interp.storage import export, open_recording
from tests.storage.example import small, stream


def read_tokens(arrays):
    if "token" in arrays:
        return arrays["token"].tolist()
    assert "token" not in arrays
    data, start = arrays["token_bytes"].tobytes(), arrays["token_start"].tolist()
    return [data[a:b].decode() for a, b in zip(start[:-1], start[1:], strict=True)]


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_nul_tokens_survive_npz(tmp_path, kind):
    example = small((12, 9), streams=[stream([12, 9], kind=kind)])
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        name = next(iter(recording.sites))
        export(recording, f"{name}:0", tmp_path / "x.npz")
        expected = list(recording.streams["text"].tokens[:])
    assert "\0" in expected
    arrays = dict(np.load(tmp_path / "x.npz", allow_pickle=False))
    assert read_tokens(arrays) == expected


def test_without_nul_the_tokens_are_one_array(tmp_path):
    words = stream([12, 9], kind="words")
    words.vocabulary[words.vocabulary.index("\0")] = "\0in front"
    example = small((12, 9), streams=[words])
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        export(recording, f"{next(iter(recording.sites))}:0", tmp_path / "x.npz")
        expected = list(recording.streams["text"].tokens[:])
    arrays = dict(np.load(tmp_path / "x.npz"))
    assert arrays["token"].tolist() == expected
    assert not {"token_bytes", "token_start"} & set(arrays)
