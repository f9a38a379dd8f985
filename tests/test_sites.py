"""Names of sites: spelling, taking apart, matching."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import SiteError
from interp.sites import SiteName, escape, match_sites

NAMES = [
    "lstm/output", "lstm/l0/hidden", "lstm/l0/cell", "lstm/l0_reverse/cell",
    "encoder.lstm/l0/cell", "decoder/output",
]  # fmt: skip
text = st.text(min_size=1, max_size=12)


@given(text, text, st.none() | st.integers(0, 9), st.booleans())
def test_a_name_survives_being_spelt_and_taken_apart(module, signal, layer, reverse):
    site = SiteName(module, signal, layer, reverse and layer is not None)
    assert SiteName.parse(str(site)) == site
    assert match_sites(str(site), [str(site)]) == [str(site)]


@given(text)
def test_escaped_text_has_no_character_that_means_something(name):
    assert not set(escape(name)) & set("/:#*[] ")


@given(st.lists(text.map(lambda t: f"{escape(t)}/output"), unique=True, min_size=1))
def test_a_star_matches_everything_in_order(names):
    assert match_sites("*", names) == match_sites("**", names) == names


@pytest.mark.parametrize(
    "patterns, expected",
    [
        ("lstm/*", NAMES[:4]),
        ("**/cell", NAMES[2:5]),
        ("*/cell", NAMES[2:5]),
        (["decoder/output", "lstm/l0/cell", "lstm/l0/*"], [*NAMES[1:3], NAMES[5]]),
        ("*lstm/l0/cell", [NAMES[2], NAMES[4]]),
    ],
)
def test_patterns(patterns, expected):
    assert match_sites(patterns, NAMES) == expected


@pytest.mark.parametrize("pattern", ["lstm/l0/cel", "lstm/l9/*", "LSTM/l0/cell", "ell"])
def test_what_matches_nothing_is_refused_with_the_nearest_names(pattern):
    with pytest.raises(SiteError) as refusal:
        match_sites(pattern, NAMES)
    assert repr(pattern) in str(refusal.value)
    assert "lstm/l0/cell" in str(refusal.value)


@pytest.mark.parametrize("patterns", [[], "", [""], [3]])
def test_no_pattern_at_all(patterns):
    with pytest.raises(SiteError):
        match_sites(patterns, NAMES)


@pytest.mark.parametrize("name", ["lstm", "a/b/c", "a/l0/b/c", "/x", "x/", ""])
def test_what_is_no_name(name):
    with pytest.raises(SiteError, match="module/signal"):
        SiteName.parse(name)
