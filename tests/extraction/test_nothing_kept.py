"""A run that fails before its first commit leaves nothing behind."""

from __future__ import annotations

import pytest
import torch

import interp
from interp.errors import InterpError
from tests.extraction.conftest import make_model, make_texts


def poisoned(path):
    adapter = make_model()
    with torch.no_grad():
        adapter.module.lstm.weight_hh_l1[3, 2] = float("nan")
    return adapter


def broken(path):
    adapter = make_model()
    forward = adapter.forward

    def stopping(*arguments):
        if path.exists():
            raise RuntimeError("out of something")
        return forward(*arguments)

    adapter.forward = stopping
    return adapter


@pytest.mark.parametrize("make, error", [(poisoned, InterpError), (broken, RuntimeError)])
def test_a_failure_at_the_first_position_leaves_no_file(tmp_path, make, error):
    path = tmp_path / "run.h5"
    options = {"sites": ["lstm/*"], "batch_size": 2, "window": 8}
    with pytest.raises(error) as told:
        interp.record(make(path), make_texts([40, 30]), path, **options)
    assert "stay valid" not in str(told.value) and "keeps" not in str(told.value)
    assert not list(tmp_path.iterdir())
    interp.record(make_model(), make_texts([40, 30]), path, **options)
    with interp.open(path) as recording:
        assert recording.is_complete
