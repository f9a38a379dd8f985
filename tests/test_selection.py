"""Selections: one text form, there and back, and messages that help."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InterpError, SelectionError, SiteError
from interp.selection import Place, Selection, Units
from interp.sites import SiteDescription, SiteName
from tests.storage.example import default_sites, site, small


def names() -> st.SearchStrategy[str]:
    """Every name that a module or a site can have, `@` and doc3 in it included."""
    text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
    module = text | st.sampled_from(["h.0.attn", "a@doc3", "x:1", "a/b", "é @ 5-9", "%40", "doc3"])
    signal = st.sampled_from(["cell", "hidden", "output", "attention", "doc3", "x.y"])
    layers = st.none() | st.integers(0, 9)
    return st.builds(SiteName, module, signal, layers, st.just(False)).map(str)


def ranges() -> st.SearchStrategy[tuple[int, int]]:
    ends = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))
    return st.one_of(ends.map(lambda pair: (min(pair), max(pair))), ends.map(lambda p: (p[0],) * 2))


def places() -> st.SearchStrategy[Place]:
    document = st.integers(0, 10**6)
    inside = st.builds(lambda d, r: Place(d, *r), st.none() | document, ranges())
    return inside | st.builds(Place, document)


selections = st.builds(
    Selection,
    names(),
    st.none() | st.lists(ranges(), min_size=1, max_size=5).map(lambda r: Units(tuple(r))),
    st.none() | st.lists(places(), min_size=1, max_size=4).map(tuple),
)


@given(selections)
def test_there_and_back(selection):
    assert Selection.parse(str(selection)) == selection


@given(st.text(st.sampled_from("ab/:,-@doc0123456789 %.*\n"), max_size=30))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        selection = Selection.parse(text)
    except SelectionError as error:
        assert str(error).endswith(".")
    else:
        assert Selection.parse(str(selection)) == selection


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_units_keep_their_order(indices):
    units = Units.of(indices)
    np.testing.assert_array_equal(units.indices(51, "a/output"), list(dict.fromkeys(indices)))
    assert Units.parse(str(units)) == units


def test_the_form_in_the_design():
    found = Selection.parse("lstm/l0/cell:87,90-95@doc3:100-200")
    assert found.site == "lstm/l0/cell"
    assert found.units == Units(((87, 87), (90, 95)))
    assert found.positions == (Place(3, 100, 200),)
    assert str(Selection("lstm/l0/cell", Units.of([4, 5, 6, 9]))) == "lstm/l0/cell:4-6,9"
    assert str(Selection.parse(" a/output@doc1,7-7 ")) == "a/output@doc1,7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no site"),
        ("@doc3", "names no site"),
        ("lstm/l0/cell:", "'' is no unit"),
        ("lstm/l0/cell:x", "'x' is no unit"),
        ("lstm/l0/cell:9-4", "runs backwards; write 4-9"),
        ("lstm/l0/cell:1:2", "is no unit"),
        ("lstm/l0/cell:-4", "'-4' is no unit"),
        ("lstm/l0/cell:１", "is no unit"),
        ("lstm/l0/cell@doc", "'doc' is no place"),
        ("lstm/l0/cell@doc3:9-4", "runs backwards; write 4-9"),
        ("lstm/l0/cell@doc3:4:5", "is no place"),
        ("lstm/l0/cell@3,", "'' is no place"),
        ("lstm/l0/cell:99999999999999999999", "is no unit"),
    ],
)
def test_what_is_no_selection(text, said):
    with pytest.raises(SelectionError) as caught:
        Selection.parse(text)
    assert said in str(caught.value)


def test_values_that_make_no_selection():
    for make in (
        lambda: Units(()),
        lambda: Units(((5, 4),)),
        lambda: Units.of([-1]),
        lambda: Place(),
        lambda: Place(1, 4),
        lambda: Place(None, 5, 4),
        lambda: Place(-1),
        lambda: Selection(""),
        lambda: Selection("a/b:3"),
        lambda: Selection("a/b@doc1"),
        lambda: Selection("a/b", None, ()),
    ):
        with pytest.raises(SelectionError):
            make()


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    from interp.storage import open_recording

    sites = [*default_sites(), site("lstm/l1/cell", 512)]
    path = small(sites=sites).record(tmp_path_factory.mktemp("selection") / "run.h5")
    with open_recording(path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lstm/l1/cell:700", "unit 700 of lstm/l1/cell does not exist: that site has 512 units "),
        ("lstm/l1/cell:3,500-600", "unit 512 of lstm/l1/cell does not exist: that site has 512"),
        ("lstm/l1/cell:0-999999999999", "unit 512 of lstm/l1/cell does not exist"),
        ("lstm/l1/cel:3", "No site named 'lstm/l1/cel'; nearest: lstm/l1/cell"),
        ("lstm/l1/cell@doc4", "Document 4 of stream 'text' does not exist: it has 4 documents"),
        ("lstm/l1/cell@doc1:2-4", "Document 1 ('dir/doc 1.py') has no position 4: it has 4 (0-3)"),
        ("lstm/l1/cell@26", "Stream 'text' has no position 26: it has 26 (0-25)"),
        ("pool/output@doc1:0-2", "one row per document"),
        ("pool/output@3", "one row per document"),
    ],
)
def test_what_the_recording_does_not_have(recording, text, said):
    with pytest.raises(InterpError) as caught:
        recording.to_frame(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("selection", [None, 5, ["lstm/l1/cell:3"]])
def test_what_is_neither_text_nor_selection(recording, selection):
    with pytest.raises(SelectionError, match=r"A selection is text; got (None|an int|a list)\. "):
        recording.to_frame(selection)


def test_a_unit_named_twice_is_one_column(recording):
    columns = recording.to_frame("lstm/l1/cell:3,1-4,3@doc0").columns
    assert list(columns[-4:]) == [f"lstm/l1/cell:{unit}" for unit in (3, 1, 2, 4)]
    assert "lstm/l1/cell" not in columns[-5]


def test_one_of_something_is_no_plural(tmp_path):
    from interp.storage import open_recording

    path = small([1], sites=[site("lstm/l0/cell", 1)]).record(tmp_path / "run.h5")
    with open_recording(path) as recording:
        for text, said in (
            ("lstm/l0/cell@doc1", r"it has 1 document \(0\)"),
            ("lstm/l0/cell@7", r"it has 1 \(0\)"),
            ("lstm/l0/cell:1", r"that site has 1 unit \(0\)"),
        ):
            with pytest.raises(SelectionError, match=said):
                recording.to_frame(text)
        assert "1 position, 1 document" in repr(recording)


def test_rows_and_units(recording):
    found = Selection.parse("lstm/l0/hidden:5,2-3@doc1,20-21,doc3:1-2")
    assert found.rows(recording) == [(9, 13), (20, 22), (15, 17)]
    np.testing.assert_array_equal(found.unit_indices(recording), [5, 2, 3])
    assert Selection("lstm/l0/hidden").rows(recording) == [(0, 26)]
    assert len(Selection("lstm/l0/hidden").unit_indices(recording)) == 37
    assert Selection("pool/output").rows(recording) == [(0, 4)]
    assert Selection.parse("pool/output@doc2,doc0").rows(recording) == [(2, 3), (0, 1)]
    with pytest.raises(SiteError):
        Selection("x/output").unit_indices(recording)


def test_heads():
    attention = SiteDescription("a/attention", "a", "attention", 12, "float16", n_heads=12)
    fake = SimpleNamespace(sites={}, attention_sites={"a/attention": attention})
    np.testing.assert_array_equal(Selection.parse("a/attention:5").unit_indices(fake), [5])
    with pytest.raises(SelectionError, match=r"head 12 of a/attention .* 12 heads \(0-11\)"):
        Selection.parse("a/attention:12").unit_indices(fake)
