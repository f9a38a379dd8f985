"""Attention maps in a recording: what was written is read, in every form and type."""

from __future__ import annotations

import csv

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

from interp.errors import InterpError, RecordingError, SelectionError, SiteError, StorageError
from interp.storage import RecordingWriter, export, open_recording
from interp.storage.attention_site import parse_form
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


def two_sites():
    sparse = map_site("b/attention", form="top-p", mass=0.5, dtype="uint8", keys="window:4")
    return example(map_site(), sparse, size=5)


@pytest.mark.parametrize("name", ["a/attention", "b/attention"])
def test_parts_of_a_map_are_read_alone(tmp_path, name):
    with open_recording(two_sites().record(tmp_path / "run.h5")) as recording:
        whole = recording.attention(name, 3)
        for rows, keys in [
            ((2, 9), (0, 12)),
            ((0, 12), (3, 8)),
            ((7, 8), (11, 12)),
            ((4, 4), None),
        ]:
            part = recording.attention(name, 3, rows=rows, keys=keys)
            expected = whole[:, slice(*rows), slice(*(keys or (None,)))]
            np.testing.assert_array_equal(part, expected, strict=True)
            one = recording.attention(name, "doc 3.py", 1, rows, keys)
            np.testing.assert_array_equal(one, expected[1], strict=True)


@pytest.mark.parametrize("name", ["a/attention", "b/attention"])
def test_edges_are_the_map(tmp_path, name):
    with open_recording(two_sites().record(tmp_path / "run.h5")) as recording:
        for document, n in enumerate(LENGTHS):
            for head in range(3):
                row_start, keys, weights = recording.attention_edges(name, document, head)
                dense = np.zeros((n, n), np.float32)
                dense[np.repeat(np.arange(n), np.diff(row_start)), keys] = weights
                np.testing.assert_array_equal(dense, recording.attention(name, document, head))
                if name == "a/attention":
                    assert np.diff(row_start).tolist() == list(range(1, n + 1))


def test_key_ranges(tmp_path):
    with open_recording(two_sites().record(tmp_path / "run.h5")) as recording:
        assert recording.key_range("b/attention", 0).tolist()[3:6] == [[0, 4], [1, 5], [2, 6]]


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda r: r.attention("a/attentoin", 0), SiteError, "nearest: a/attention"),
        (lambda r: r.attention("lstm/l0/cell", 0), SiteError, r"read recording\['lstm/l0/cell'\]"),
        (lambda r: r["a/attention"], SiteError, r"recording\.attention\('a/attention'"),
        (lambda r: r.attention("a/attention", 4), SelectionError, r"4 documents \(0-3\)"),
        (lambda r: r.attention("a/attention", "x"), SelectionError, "No document named 'x'"),
        (lambda r: r.attention("a/attention", 0, 3), SelectionError, r"head 3 .* 3 heads \(0-2\)"),
        (lambda r: r.attention("a/attention", 0, -1), SelectionError, "head -1"),
        (lambda r: r.attention("a/attention", 0, "a"), SelectionError, "whole number; got a str"),
        (lambda r: r.attention("a/attention", 0, 0, (3, 10)), SelectionError, "rows 3 to 10.*9"),
        (lambda r: r.attention("a/attention", 0, keys=(5, 4)), SelectionError, "keys 5 to 4"),
        (lambda r: r.attention("s/attention", 0), StorageError, "statistics.*entropy.*'full'"),
        (lambda r: r.attention_edges("s/attention", 0, 0), StorageError, "attention_statistics"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, ask, error, message):
    made = example(map_site(), map_site("s/attention", form="stats"))
    with open_recording(made.record(tmp_path / "run.h5")) as recording:
        with pytest.raises(error, match=message):
            ask(recording)
        assert not recording.attention_statistics("a/attention")


@pytest.mark.parametrize("name", ["a/attention", "b/attention"])
def test_an_incomplete_recording_reads_nan_and_says_so(tmp_path, name):
    made, path = two_sites(), tmp_path / "run.h5"
    with RecordingWriter.create(path, made.plan()) as writer:
        for index in range(2):
            made.write_segment(writer, index)
        writer.commit(2)
    with open_recording(path) as recording:
        assert "INCOMPLETE" in repr(recording)
        expected = next(m for m in made.maps if m.site.name == name).expected(0)
        np.testing.assert_array_equal(recording.attention(name, 0), expected)  # segments 0 and 1
        assert np.isnan(recording.attention(name, 1)).all()
        assert recording.verify().ok


@pytest.mark.parametrize("ending", ["npz", "safetensors", "csv"])
def test_exports_of_heads(tmp_path, ending):
    made = two_sites()
    out = tmp_path / f"maps.{ending}"
    with open_recording(made.record(tmp_path / "run.h5")) as recording:
        expected = recording.attention("a/attention", 3)[[2, 0], 2:6]
        n = export(recording, "a/attention:2,0@doc3:2-5,doc1", out)
        tokens = recording.document(3).tokens
        assert n == 4 + 4
        with pytest.raises(StorageError, match="annotations"):
            export(recording, "a/attention", out, annotations=["x"], overwrite=True)
    if ending == "csv":
        lines = list(csv.DictReader(out.open(newline="", encoding="utf-8")))
        found = np.zeros((2, 12, 12), np.float32)
        for line in lines:
            if line["document"] == "3":
                head = [2, 0].index(int(line["head"]))
                found[head, int(line["query"]), int(line["key"])] = float(line["weight"])
                assert line["key_token"] == tokens[int(line["key"])]
        np.testing.assert_array_equal(found[:, 2:6], expected)
        return
    load = np.load if ending == "npz" else load_file
    arrays = load(out)
    np.testing.assert_array_equal(arrays["weights_0"], expected)
    assert arrays["weights_1"].shape == (2, 4, 4)
    assert arrays["document"].tolist() == [3, 1]
    assert arrays["first_query"].tolist() == [2, 0]
    if ending == "npz":
        assert arrays["key_token_0"].tolist() == np.array(list(tokens)).tolist()


def test_statistics_are_exported(tmp_path):
    made = example(map_site("s/attention", form="stats"))
    with open_recording(made.record(tmp_path / "run.h5")) as recording:
        export(recording, "s/attention:1@doc0", tmp_path / "s.npz")
        export(recording, "s/attention:1@doc0", tmp_path / "s.csv")
        expected = recording.attention_statistics("s/attention")["entropy"][:9, 1]
    np.testing.assert_array_equal(np.load(tmp_path / "s.npz")["entropy_0"][:, 0], expected)
    lines = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert [np.float32(line["entropy"]) for line in lines] == expected.tolist()


def test_a_flipped_bit_in_a_map_is_found(tmp_path):
    path = two_sites().record(tmp_path / "run.h5")
    with h5py.File(path) as file:
        places = [
            file[f"attention/{name}"].id.get_offset()
            for name in ("a/attention/weights", "b/attention/weights", "b/attention/key_index")
        ]
    for place in places:
        whole = path.read_bytes()
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with open_recording(path) as recording:
            assert "attention" in str(recording.verify().damages[0])
        path.write_bytes(whole)


def test_resuming_with_another_form_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    with RecordingWriter.create(path, example(map_site()).plan()):
        pass
    for site_now, message in [
        (map_site(form="top-p", mass=0.9), "form of a/attention was full, now top-p:0.9"),
        (map_site(dtype="uint8"), "dtype of a/attention was float16, now uint8"),
        (map_site(keys="document"), "keys of a/attention was causal, now document"),
        (map_site("b/attention"), "it records a/attention"),
    ]:
        with pytest.raises(RecordingError, match=message):
            RecordingWriter.resume(path, example(site_now).plan())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ful", "did you mean 'full'"),
        ("top-p", "needs a mass"),
        ("top-p:1.5", "up to 1"),
        ("top-p:x", "up to 1"),
    ],
)
def test_forms_that_do_not_exist(text, message):
    with pytest.raises(InterpError, match=message):
        parse_form(text)
    assert parse_form("top-p:0.95") == ("top-p", 0.95)


def test_a_segment_over_two_documents_is_refused():
    with pytest.raises(StorageError, match="a segment is of one document"):
        small(maps=(Maps.random(map_site(), LENGTHS, LENGTHS),))
