"""What attention maps will take is told before the run, and refused where there is no room."""

from __future__ import annotations

import pytest
import torch

import interp
from interp.errors import InterpError
from tests.extraction.conftest import make_texts
from tests.extraction.test_attention import LENGTHS, SITES, make_transformer


class Told:
    """A display that remembers."""

    def __init__(self):
        self.estimates, self.sentences = [], []

    def estimated(self, estimate):
        self.estimates.append(estimate)

    def advanced(self, progress):
        pass

    def said(self, message):
        self.sentences.append(message)


def test_the_estimate_says_what_maps_take(tmp_path, monkeypatch):
    told, path = Told(), tmp_path / "run.h5"
    summary = interp.record(
        make_transformer(), make_texts(LENGTHS), path, sites=SITES, top_k=0, progress=told
    )
    (estimate,) = told.estimates
    assert estimate.attention.most_keys == 40
    weights = 2 * 2 * 2 * sum(n * (n + 1) // 2 for n in LENGTHS)
    assert weights <= estimate.attention.n_bytes <= weights + 8 * sum(LENGTHS)
    assert 0 <= estimate.size_bytes - path.stat().st_size < 70_000
    assert "grow with the square of a document's length, here a position sees up to 40 keys" in str(
        estimate
    )
    assert "That is much" not in str(estimate)
    assert "full maps as float16, each weight within 0.00024" in str(summary)
    monkeypatch.setattr("interp.extraction.attention_costs.LARGE_BYTES", 10)
    interp.record(
        make_transformer(context_length=256), make_texts([250, 200]), path, sites=SITES,
        attention_dtype="float32", progress=told, overwrite=True,
    )  # fmt: skip
    assert "--attention top-p:0.95 would take about" in str(told.estimates[1])
    assert "--attention stats would take about" in str(told.estimates[1])
    sparse, statistics = (
        interp.record(
            make_transformer(), make_texts(LENGTHS), path, sites=SITES, attention=form,
            progress=told, overwrite=True,
        )
        for form in ("top-p:0.5", "stats")
    )  # fmt: skip
    assert "of the weights hold at least 0.5 of each row" in str(sparse)
    assert "statistics of each row" in str(statistics)


def test_sparse_maps_of_even_weights_are_told_to_be_larger_than_full_ones(tmp_path):
    told, sizes = Told(), {}
    even = make_transformer()
    with torch.no_grad():
        for parameter in even.module.parameters():
            parameter.mul_(1 / 60)
    for adapter, form, dtype in (
        (even, "top-p:0.95", "float16"),
        (even, "full", "float16"),
        (make_transformer(), "top-p:0.3", "float32"),
    ):
        path = tmp_path / f"{form}.h5"
        options = {"sites": SITES, "attention": form, "attention_dtype": dtype, "top_k": 0}
        interp.record(adapter, make_texts([60] * 4), path, progress=told, **options)
        sizes[form] = path.stat().st_size
    sparse, full, peaked = map(str, told.estimates)
    assert sizes["top-p:0.95"] > sizes["full"]
    assert "Full maps would take no more" in sparse
    assert "--attention full" in sparse
    assert "Full maps" not in full
    assert "Full maps" not in peaked


def test_what_would_take_more_is_not_suggested(tmp_path, monkeypatch):
    monkeypatch.setattr("interp.extraction.attention_costs.LARGE_BYTES", 10)
    told, even = Told(), make_transformer()
    with torch.no_grad():
        for parameter in even.module.parameters():
            parameter.mul_(1 / 60)
    interp.record(even, make_texts([60] * 4), tmp_path / "a.h5", sites=SITES, progress=told)
    assert "That is much: --attention stats would take about" in str(told.estimates[0])


def test_a_disk_too_small_is_refused_and_told_how_to_keep_less(tmp_path, monkeypatch):
    monkeypatch.setattr("interp.storage.target.free_bytes", lambda path: 10**8)
    monkeypatch.setattr("interp.storage.target._SPARE_BYTES", 10**8 - 20_000)
    options = {"sites": SITES, "top_k": 0, "attention_dtype": "float32"}
    with pytest.raises(InterpError, match=r"attention maps\), but only .*--attention top-p:0\.95"):
        interp.record(make_transformer(), make_texts([64] * 9), tmp_path / "a.h5", **options)
    assert not list(tmp_path.iterdir())
