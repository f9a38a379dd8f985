"""Lazy arrays are indexed by NumPy's own rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.storage import open_recording
from tests.storage.example import site, small

_index = st.one_of(
    st.integers(-60, 59),
    st.slices(60),
    st.lists(st.integers(-60, 59), max_size=9).map(np.array),
    st.lists(st.booleans(), min_size=60, max_size=60).map(np.array),
)


_unit_index = st.one_of(
    st.integers(-19, 18), st.slices(19), st.lists(st.integers(-19, 18), max_size=5)
)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    example = small((60,), 7, sites=[site("a/output", 19)], predictions=None)
    with open_recording(example.record(tmp_path_factory.mktemp("index") / "run.h5")) as recording:
        yield recording["a/output"], example.values["a/output"].astype("f2")


@given(rows=_index, units=_unit_index, dots=st.booleans())
def test_indexing_is_numpys(indexed, rows, units, dots):
    lazy, array = indexed
    keys = [(rows, units), rows, (slice(None), units)] + ([(rows, ...), (..., units)] * dots)
    for key in keys:
        try:
            expected = array[key]
        except IndexError:
            with pytest.raises(IndexError):
                lazy[key]
            continue
        found = lazy[key]
        assert np.shape(found) == expected.shape
        assert type(found) is type(expected)
        np.testing.assert_array_equal(found, expected)


def test_more_of_indexing(indexed):
    lazy, array = indexed
    rows, units = np.ix_([5, 1, 59], [3, 0])
    np.testing.assert_array_equal(lazy[rows, units], array[rows, units])
    np.testing.assert_array_equal(lazy[[[1, 2], [3, 4]]], array[[[1, 2], [3, 4]]])
    np.testing.assert_array_equal(np.stack(list(lazy)), array)
    np.testing.assert_array_equal(np.concatenate(list(lazy.blocks(7))), array)
    np.testing.assert_array_equal(np.asarray(lazy, dtype="f8"), array.astype("f8"))
    assert (lazy.ndim, lazy.size, lazy.nbytes, len(lazy)) == (2, 60 * 19, 60 * 19 * 2, 60)
    assert "60 × 19, float16" in repr(lazy)
    for wrong in (60, -61, (0, 19), np.ones(59, bool), 1.5, "a", (0, 0, 0), (None, 1), (..., ...)):
        with pytest.raises(IndexError):
            lazy[wrong]


def test_pickled_it_is_a_plain_array(indexed):
    from multiprocessing.reduction import ForkingPickler

    lazy, array = indexed
    sent = ForkingPickler.loads(ForkingPickler.dumps(lazy))
    np.testing.assert_array_equal(sent, array, strict=True)


def test_far_apart_rows_of_a_long_site(tmp_path):
    example = small((30_000,), 4000, sites=[site("a/output", 33)], predictions=None)
    with open_recording(example.record(tmp_path / "run.h5")) as recording:
        lazy, array = recording["a/output"], example.values["a/output"].astype("f2")
        rng = np.random.default_rng(0)
        rows = rng.integers(0, 30_000, 500)
        for key in (rows, (rows, slice(3, 30, 4)), slice(7, None, 997), slice(None, None, -501)):
            np.testing.assert_array_equal(lazy[key], array[key])
        np.testing.assert_array_equal(recording.unit("a/output", 32), array[:, 32])
