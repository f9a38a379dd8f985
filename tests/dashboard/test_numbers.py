"""Parts, statistics and the heat map on known answers."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboard import library, parts, payloads, statistics, tracks
from dashboard.documents import document_page
from dashboard.heat import columns_of, heat_map
from dashboard.parts import part_text, split_into_parts
from dashboard.sources import MemorySource, SiteInfo, StreamInfo


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 60))
def test_parts_cover_every_position_once(lengths, limit):
    starts = np.concatenate([[0], np.cumsum(lengths)])
    names = [str(i) for i in range(len(lengths))]
    stream = StreamInfo("text", int(starts[-1]), names, starts)
    parts = split_into_parts(stream, limit)
    edges = [0] + [part.stop for part in parts]
    assert [part.start for part in parts] == edges[:-1]
    assert edges[-1] == stream.n_positions
    for part in parts:
        assert 0 < part.stop - part.start <= limit
        assert starts[part.first_document] <= part.start
        assert starts[part.last_document + 1] >= part.stop
        # A document is cut only when it does not fit.
        if part.stop not in starts:
            assert lengths[part.last_document] > limit


@given(st.lists(st.text(max_size=20), min_size=1, max_size=8), st.integers(1, 15))
def test_parts_of_text_join_to_the_text(texts, limit):
    n = sum(map(len, texts))
    documents = [(str(i), text) for i, text in enumerate(texts)]
    source = MemorySource(documents, {"m/output": np.zeros((n, 1))})
    stream = source.streams["text"]
    found = [part_text(source, "text", part) for part in split_into_parts(stream, limit)]
    assert "".join(part.text for part in found) == "".join(texts)


def test_spans_of_a_cut_document_point_into_the_part():
    text = "one two three"
    spans = np.array([[0, 3], [3, 7], [7, 13]])
    source = MemorySource([("a", text)], {"m/output": np.zeros((3, 1))}, spans=[spans])
    second = split_into_parts(source.streams["text"], 2)[1]
    found = part_text(source, "text", second)
    assert (found.text, found.spans.tolist()) == (" three", [[0, 6]])


def test_statistics_of_known_columns():
    n = 4_000
    mask = np.arange(n) % 4 == 0
    values = np.stack([mask, 1 - mask, np.full(n, 0.95), np.zeros(n)], axis=1).astype(np.float32)
    loss = mask.astype(np.float32)
    loss[-1] = np.nan
    text = "x" * n
    source = MemorySource(
        [("a", text)], {"rnn/l0/hidden": values}, annotations={"fourth": mask}, loss=loss
    )
    found = statistics.unit_statistics(source, source.sites["rnn/l0/hidden"])
    np.testing.assert_allclose(found.mean, [0.25, 0.75, 0.95, 0], atol=1e-6)
    np.testing.assert_allclose(found.saturated, [0.25, 0.75, 1, 0])
    np.testing.assert_allclose(found.correlation["fourth"][:2], [1, -1], atol=1e-4)
    np.testing.assert_allclose(found.correlation["loss"][:2], [1, -1], atol=1e-4)
    assert np.isnan(found.correlation["fourth"][2:]).all()
    np.testing.assert_allclose(found.limit, [1, 1, 0.95, 1])
    assert (found.n_positions, found.n_documents) == (n, 1)


def test_correlations_are_numpys():
    rng = np.random.default_rng(1)
    values = rng.standard_normal((7, 300)).astype(np.float32)
    targets = rng.standard_normal((3, 300)) + values[:3]
    targets[1, ::7] = np.nan
    found = statistics.correlations(values, targets)
    for k, target in enumerate(targets):
        known = np.isfinite(target)
        wanted = np.corrcoef(values[:, known], target[known])[-1, :-1]
        np.testing.assert_allclose(found[k], wanted, atol=1e-5)
    nothing = np.full((1, 300), np.nan)
    assert np.isnan(statistics.correlations(values, nothing)).all()


def test_nan_and_infinity_spoil_neither_statistics_nor_scale():
    values = np.array([[1, np.nan], [np.inf, np.nan], [-3, np.nan]], np.float32)
    source = MemorySource([("a", "abc")], {"m/output": values})
    found = statistics.unit_statistics(source, source.sites["m/output"])
    assert found.mean[0] == -1
    assert 0 < found.limit[0] <= 3
    assert np.isnan(found.mean[1]) and found.limit[1] == 1
    assert payloads.unit_rows(found)["mean"] == [-1.0, None]


def test_gates_saturate_at_both_ends():
    values = np.array([[0.05, 0.95, 0.5, 0.5]], np.float32)
    gate = SiteInfo("m/forget_gate", "forget_gate", 1, "float32")
    cell = SiteInfo("m/cell", "cell", 1, "float32")
    assert statistics.saturated_share(values, gate).tolist() == [0.5]
    assert np.isnan(statistics.saturated_share(values, cell)).all()


def test_the_sample_is_bounded_spread_and_the_same_every_time():
    ranges = statistics.sample_ranges(10_000_000, 512)
    n = sum(stop - start for start, stop in ranges)
    assert n <= statistics.SAMPLE_POSITIONS
    assert ranges[0][0] == 0 and ranges[-1][1] == 10_000_000
    assert ranges == statistics.sample_ranges(10_000_000, 512)
    assert statistics.sample_ranges(1_000, 512) == [(0, 1_000)]
    assert statistics.sample_ranges(0, 512) == []
    wide = statistics.sample_ranges(10_000_000, 50_000)
    assert sum(stop - start for start, stop in wide) * 50_000 * 2 <= 3 * statistics.SAMPLE_BYTES


def test_losses_are_averaged_by_document(monkeypatch):
    monkeypatch.setattr(library, "LOSSES_AT_ONCE", 3)
    loss = np.array([1, 2, 3, 4, np.nan, 6, np.nan], np.float32)
    documents = [("a", "xx"), ("empty", ""), ("b", "xxxx"), ("unknown", "x")]
    source = MemorySource(documents, {"m/output": np.zeros((7, 1))}, loss=loss)
    found = library.Shelf("key", source).document_loss("text")
    np.testing.assert_allclose(found, [1.5, np.nan, 13 / 3, np.nan])


def test_what_is_drawn_under_the_text_has_a_scale():
    n = 1000
    depth = np.arange(n) % 4 * 1.0
    annotations = {"depth": depth, "change": depth - 2, "inside": depth > 2}
    source = MemorySource([("a", "x" * n)], {"m/output": np.zeros((n, 1))}, annotations=annotations)
    shelf = library.Shelf("key", source)
    found = {name: tracks.scale(shelf, info) for name, info in source.annotations.items()}
    assert found["depth"] == tracks.TrackScale(3.0, False)
    assert found["change"] == tracks.TrackScale(2.0, True)
    assert found["inside"] == tracks.TrackScale(1.0, False)


def test_categories_are_ranked_by_how_often_they_occur():
    codes = np.array([2, 2, 2, 0, -1, 5, 5, 2, 0, 0])
    source = MemorySource(
        [("a", "x" * 10)],
        {"m/output": np.zeros((10, 1))},
        annotations={"kind": codes},
        categories={"kind": ["noun", "never", "verb", "x", "y", "end"]},
    )
    found = tracks.categories(library.Shelf("key", source), source.annotations["kind"])
    assert found["order"].tolist() == [2, 0, 5]
    assert found["share"].tolist() == [0.4, 0.3, 0.2]
    assert (found["nUsed"], found["names"][5]) == (3, "end")


def test_codes_of_categories_fit_sixteen_bits():
    found = np.frombuffer(tracks.category_codes(np.array([0, 7, -1, 70_000])), "<u2")
    assert found.tolist() == [0, 7, 0xFFFF, 0xFFFE]


def test_histograms_have_a_width_for_constants_and_nothing():
    counts, edges = statistics.histogram(np.full(10, 2.0))
    assert counts.sum() == 10 and edges[0] < 2 < edges[-1]
    counts, edges = statistics.histogram(np.array([np.nan]))
    assert counts.sum() == 0 and edges[0] < edges[-1]


def test_heat_map_sorts_and_says_what_it_did():
    time = np.arange(100)
    calm, wild, opposed = 0.1 * np.sin(time), np.sin(time), -np.sin(time)
    values = np.stack([calm, wild, opposed, np.zeros(100)], axis=1)
    assert heat_map(values).units.tolist() == [0, 1, 2, 3]
    assert heat_map(values, sort="variance").units.tolist() == [1, 2, 0, 3]
    by_correlation = heat_map(values, sort="correlation", unit=2)
    assert by_correlation.units.tolist() == [2, 0, 1, 3]
    np.testing.assert_allclose(by_correlation.keys[:3], [1, -1, -1], atol=1e-5)
    assert heat_map(values, chosen=[3, 1], sort="variance").units.tolist() == [1, 3]
    few = heat_map(values, sort="correlation", unit=1, max_rows=2)
    assert few.units.tolist()[0] == 1 and len(few.units) == 2


def test_heat_map_levels_are_the_values():
    values = np.array([[0.5, -1], [np.nan, 1], [2, 0]], np.float32)
    heat = heat_map(values, limit=1.0)
    assert heat.levels.tolist() == [[64, -128, 127], [-127, 127, 0]]
    rows, columns, steps, limit = struct.unpack_from("<iiif", heat.to_bytes())
    assert (rows, columns, steps, limit) == (2, 3, 1, 1.0)
    assert len(heat.to_bytes()) == 16 + 2 * 4 + 2 * 4 + 6


@given(st.integers(1, 500), st.integers(1, 60))
def test_columns_are_means_of_equal_runs(n, most):
    values = np.arange(n, dtype=np.float32)[:, None]
    columns, steps = columns_of(values, most)
    assert len(columns) <= most and len(columns) == -(-n // steps)
    for k, column in enumerate(columns[:, 0]):
        np.testing.assert_allclose(column, values[k * steps : (k + 1) * steps].mean())


def test_json_carries_nan_and_lone_surrogates():
    assert payloads.to_json({"a": float("nan"), "b": np.float32(0.5)}) == b'{"a":null,"b":0.5}'
    assert payloads.to_json("\ud800é") == b'"\\ud800\\u00e9"'
    assert payloads.to_json("é") == '"é"'.encode()


def test_halves_say_what_does_not_fit():
    assert np.frombuffer(payloads.halves(np.array([1, 1e9, np.nan])), "<f2").tolist()[:2] == [
        1.0,
        np.inf,
    ]


def test_pages_of_documents_are_filtered_and_sorted():
    names = [f"Module_{i}.py" for i in range(1_000)]
    starts = np.concatenate([[0], np.cumsum(np.arange(1_000) % 7)])
    stream = StreamInfo("text", int(starts[-1]), names, starts)
    loss = np.arange(1_000) % 13 * 1.0
    loss[:3] = np.nan
    page = document_page(stream, loss, find="module_1", sort="-loss", start=10, n_rows=5)
    matching = [i for i in range(1_000) if names[i].startswith("Module_1")]
    ranked = sorted(matching, key=lambda i: (np.isnan(loss[i]), -loss[i], i))
    assert page.indices.tolist() == ranked[10:15]
    assert (page.n_matching, page.worst) == (111, 12.0)
    assert document_page(stream, loss, sort="loss").indices[-1] != 0
    assert document_page(stream, loss, sort="loss", start=997).indices.tolist() == [0, 1, 2]
    assert document_page(stream, None, sort="loss", n_rows=2).indices.tolist() == [0, 1]
    assert document_page(stream, None, sort="-length", n_rows=1).indices.tolist() == [6]
    assert document_page(stream, loss, find="nowhere").n_matching == 0
    assert len(document_page(stream, loss, start=2_000).indices) == 0


def test_a_part_holds_no_more_documents_than_a_page_can_name(monkeypatch):
    monkeypatch.setattr(parts, "MAX_DOCUMENTS", 10)
    stream = StreamInfo("text", 35 * 2, [""] * 35, np.arange(36) * 2)
    found = split_into_parts(stream)
    assert [(part.first_document, part.last_document) for part in found] == [
        (0, 9), (10, 19), (20, 29), (30, 34),
    ]  # fmt: skip
    assert found[-1].stop == 70
