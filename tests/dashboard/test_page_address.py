"""A page and its address: what can be chosen is in it, and what does not exist is said."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from dashboard.sources.synthetic import synthetic_source
from tests.dashboard.conftest import served, shown_unit, state, until, wait_state

ADDRESSES = [
    "?run=synthetic-2&site=lstm/l0/cell&unit=0&pos=0&marks=1&track=string&theme=dark",
    "?site=lstm/l0/forget_gate&unit=23&doc=0&scale=0.25&stretch=root&panel=heat&sort=correlation",
    "?site=lstm/l1/hidden&unit=2&units=0-19,21&panel=heat&sort=index&zoom=77&range=3-40&theme=light",
    "?view=overview&site=lstm/l0/cell&unit=1&find=&at=4000",
]


@pytest.fixture(scope="module")
def two_address(source):
    with served([source, synthetic_source(n_units=24, seed=1)]) as url:
        yield url


@pytest.mark.parametrize("search", ADDRESSES)
def test_an_address_opens_the_same_page_in_a_new_tab(open_page, two_address, search):
    page = open_page(f"{two_address}/{search}")
    page.wait_for_timeout(600)
    wanted = page.evaluate("search => interp.urlState.decode(search)", search)
    found = page.evaluate("interp.urlState.decode(interp.selection.toAddress())")
    for key, value in wanted.items():
        if value is not None:
            assert found[key] == value, key
    until(
        page,
        "JSON.stringify(interp.urlState.decode(location.search))"
        " === JSON.stringify(interp.urlState.decode(interp.selection.toAddress()))",
    )
    again = open_page(page.url)
    again.wait_for_timeout(600)
    assert again.evaluate("interp.urlState.decode(interp.selection.toAddress())") == found


def test_three_hundred_units_survive_an_address(open_page):
    with served(synthetic_source(n_units=320)) as url:
        units = list(range(0, 300, 2)) + list(range(150, 300))
        units = sorted(set(units))
        text = ",".join(map(str, units))
        page = open_page(f"{url}/?panel=heat&site=lstm/l0/cell&units={text}")
        page.wait_for_selector(f"#heat-map[data-rows='{len(units)}']")
        assert state(page, "units") == units


def test_back_undoes_a_choice(open_page, address):
    page = open_page(f"{address}/?site=lstm/l1/hidden&unit=3")
    page.locator(".strip[data-site='lstm/l1/cell'] .strip-label").click()
    until(page, "location.search.includes('site=lstm/l1/cell')")
    page.get_by_role("button", name="Overview").click()
    until(page, "location.search.includes('view=overview')")
    page.go_back()
    until(page, "interp.selection.get().view === 'explore'")
    page.go_back()
    wait_state(page, "site", "lstm/l1/hidden")
    shown_unit(page, 3)


def test_what_does_not_exist_is_said_in_the_page(open_page, address):
    page = open_page(f"{address}/?run=nope&site=lstm/l9/cell&unit=99")
    for text in ("no recording named", "no site", "units 0 to 23"):
        page.get_by_role("alert").get_by_text(text, exact=False).first.wait_for()
    page.get_by_label("Dismiss").first.click()


def test_what_lies_beyond_the_end_is_said_and_let_go_of(open_page, address):
    page = open_page(f"{address}/?pos=99999999&doc=77&range=5-9999999&track=nope")
    said = page.get_by_role("alert")
    for text in (
        "Position 99,999,999 does not exist: the stream “text” has positions 0 to ",
        "Document 77 does not exist: the stream “text” has documents 0 to 5.",
        "This recording has no annotation “nope”.",
    ):
        said.get_by_text(text, exact=False).first.wait_for()
    assert [state(page, key) for key in ("pos", "doc", "range", "track")] == [None] * 4


def test_the_last_of_everything_is_no_mistake(open_page, address, source):
    stream = next(iter(source.streams.values()))
    last = stream.n_positions - 1
    page = open_page(f"{address}/?pos={last}&doc=5&range={last}-{last + 1}&track=string")
    page.wait_for_timeout(300)
    assert page.locator(".error").count() == 0
    assert state(page, "pos") == last


def test_the_list_tells_an_answer_on_its_way_from_an_empty_one(open_page, address):
    unmatched = '{"unit":{"filterType":"number","type":"greaterThan","filter":99}}'
    # Inside the grid: beside it is its announcer for screen readers, which is a sentence behind.
    grid = open_page(f"{address}/?listfilter={unmatched}").get_by_role("grid")
    expect(grid.get_by_text("No unit matches the filter.")).to_be_visible()
    expect(grid.get_by_text("Statistics are on their way")).to_have_count(0)
