"""Requests that a user may plausibly make and that cannot be served: a message, no wrong value."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import interp
from interp.errors import InterpError, SiteError, StorageError
from interp.storage.export import export
from tests.storage.example import small
from tests.storage.refusing import message

N = 26


@pytest.fixture
def recording(tmp_path):
    with interp.open(small().record(tmp_path / "run.h5")) as opened:
        yield opened


@pytest.mark.parametrize("name", [3, None, ["lstm/l0/hidden"], b"lstm/l0/hidden", ("a", 1)])
def test_names_that_are_no_text(recording, name):
    assert "no text" in message(SiteError, lambda: recording[name])
    assert "no text" in message(SiteError, lambda: recording.unit(name, 0))
    message(InterpError, lambda: recording.annotations[name])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (5, "is text; got an int"),
        ("", "cannot be the name"),
        ("a\0b", "cannot be the name"),
        ("two\nlines", "cannot be the name"),
        ("x" * 300, "cannot be the name"),
        ("ä" * 100, "cannot be the name"),
    ],
)
def test_names_of_annotations(recording, name, said):
    assert said in message(StorageError, lambda: recording.write_annotation(name, np.zeros(N)))
    assert not recording.annotations.directory.exists()


@pytest.mark.parametrize(
    ("values", "more", "said"),
    [
        ([1, "a"] * 13, {}, "holds an int (1) among its values"),
        ([10**30] * N, {}, "holds an int"),
        ([object()] * N, {}, "holds an object"),
        ((i for i in range(N)), {}, "holds a generator"),
        (np.zeros(N, complex), {}, "complex128"),
        (np.zeros(N, "M8[s]"), {}, "datetime64"),
        (np.zeros((N, 1)), {}, "has shape (26, 1)"),
        (np.zeros(N, int), {"categories": ["x", "x"]}, "two categories of one name"),
        (["0", "1"] * 13, {"kind": "binary"}, "other than 0 and 1"),
        (np.zeros(N), {"parameters": {"by": object()}}, "The parameters of annotation 'x' must"),
    ],
)
def test_values_that_are_no_annotation(recording, values, more, said):
    write = lambda: recording.write_annotation("x", values, **more)  # noqa: E731
    assert said in message(StorageError, write)
    assert list(recording.annotations) == []


def test_a_missing_category_is_none(recording):
    recording.write_annotation("part of speech", ["noun", None] * 13)
    found = recording.annotations["part of speech"]
    assert found.categories == ["noun"]
    assert found[:4].tolist() == [0, -1, 0, -1]
    frame = recording.to_frame("lstm/l0/cell:0", "part of speech")
    assert frame["part of speech"].isna().sum() == 13


def test_parameters_of_any_length_come_back(recording):
    recording.write_annotation("x", np.zeros(N), parameters={"words": ["wörd"] * 20_000})
    assert recording.annotations["x"].parameters["words"] == ["wörd"] * 20_000


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", ">i2", "i8", "f2", ">f8"])
@pytest.mark.parametrize("ending", ["npz", "safetensors", "csv"])
def test_every_type_of_annotation_is_exported(recording, tmp_path, dtype, ending):
    from safetensors.numpy import load_file

    recording.write_annotation("x", np.arange(N).astype(dtype))
    path = tmp_path / f"out.{ending}"
    export(recording, "lstm/l0/cell:0", path, ["x"])
    if ending == "csv":
        with open(path, newline="", encoding="utf-8") as file:
            read = [float(row["x"]) for row in csv.DictReader(file)]
        assert read == list(range(N))
        return
    read = np.load(path) if ending == "npz" else load_file(path)
    np.testing.assert_array_equal(read["annotation_x"], np.arange(N))
    assert read["annotation_x"].dtype == np.dtype(dtype).newbyteorder("=")
