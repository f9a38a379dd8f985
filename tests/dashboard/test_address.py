"""The page's state is its address: whatever is chosen comes back in a new tab.

Values are tried by the kinds of the address's keys, so a key that a view adds is tried too.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect

from dashboard.sources.synthetic import synthetic_source
from tests.dashboard.conftest import served, until

N_UNITS = 320
FRAMES_OWN = (
    "run view site unit doc at pos range scale stretch theme panel zoom sort units marks track find"
    " only docfind docsort listsort listfilter"
).split()
STATE = "interp.urlState.decode(interp.selection.toAddress())"
# What another key or the recording decides: these are tried by name, not drawn.
OWN = {
    "run": st.sampled_from(["made-up", "second"]),
    "site": st.sampled_from(["lstm/l0/cell", "lstm/l1/forget_gate", "lstm/l1/hidden"]),
    "unit": st.sampled_from([0, 1, N_UNITS - 1]) | st.integers(0, N_UNITS - 1),
    "doc": st.integers(0, 5),
    "track": st.sampled_from(["", "loss", "string"]),
    "only": st.sampled_from(["", "0"]),
    "listsort": st.sampled_from(["", "mean:asc", "r string:desc", "unit:desc"]),
    "listfilter": st.sampled_from(
        ["", '{"mean":{"filterType":"number","type":"greaterThan","filter":0}}']
    ),
}


def values_of(spec: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for a kind of key, with zero, false, empty and 300 units among it."""
    return {
        "whole": st.sampled_from([0, 1]) | st.integers(0, 20_000),
        "real": st.sampled_from([0.0, 1e-7, 0.25, 3e20]),
        "text": st.sampled_from(["", "0", "self", "a b&c=d%", "“ü”\U0001f600", "</script>"]),
        "flag": st.booleans(),
        "range": st.tuples(st.integers(0, 50), st.integers(51, 400)).map(list),
        "units": st.sampled_from([[], [0], list(range(0, 600, 2))[:160], list(range(300))]),
        "choice": st.sampled_from(spec.get("values") or [""]),
    }[spec["kind"]]


@pytest.fixture(scope="module")
def recordings():
    sources = [synthetic_source(N_UNITS, name="made-up"), synthetic_source(N_UNITS, 1, "second")]
    with served(sources) as url:
        yield url


@pytest.fixture(scope="module")
def browser_page(browser):
    """One tab for all examples; each opens its address anew."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert not problems, problems


@pytest.fixture(scope="module")
def keys(recordings, browser_page) -> dict[str, dict[str, Any]]:
    browser_page.goto(recordings)
    until(browser_page, "window.interp !== undefined && interp.started")
    return browser_page.evaluate(
        """Object.fromEntries(Object.entries(interp.urlState.KEYS).map(([key, spec]) =>
            [key, {kind: spec.kind, values: spec.values, initial: spec.initial}]))"""
    )


def settled(page) -> dict[str, Any]:
    """Wait until the page has loaded what it shows and has written it down; return its state."""
    page.wait_for_selector(".coloured-text", state="attached")
    until(page, "interp.selection.get().about !== null && interp.selection.get().unit !== null")
    written = "JSON.stringify(interp.urlState.decode(location.search))"
    until(page, f"{written} === JSON.stringify({STATE})", seconds=60)
    return page.evaluate(STATE)


def opens_as(page, url: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Open an address in a new tab's state and check that all that it asks for is there."""
    search = page.evaluate("state => interp.urlState.encode(state)", asked)
    page.goto("about:blank")
    page.goto(f"{url}/{search}")
    found = settled(page)
    for key, value in asked.items():
        if key == "at" and value is not None:
            # The line that holds the position stands at the top: its first position is the state.
            assert value - 200 < found[key] <= value, search
        elif value is not None:
            assert found[key] == value, (key, search)
    return found


@pytest.mark.timeout(900)
def test_every_state_comes_back_in_a_new_tab(recordings, browser_page, keys):
    drawn = {key: OWN[key] if key in OWN else values_of(spec) for key, spec in keys.items()}
    # `doc` says where to open when `at` does not; once the text is there, `at` says it.
    states = st.fixed_dictionaries(
        {key: drawn[key] for key in ("site", "unit")},
        optional={key: value for key, value in drawn.items() if key not in ("site", "unit", "doc")},
    )

    # A page takes seconds: what fails is told as it was drawn.
    @settings(
        max_examples=6,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(states)
    def check(asked):
        found = opens_as(browser_page, recordings, asked)
        again = opens_as(browser_page, recordings, found)
        assert again == found

    check()


@pytest.mark.timeout(900)
def test_every_control_writes_what_a_new_tab_reads(recordings, open_page, keys):
    page = open_page(f"{recordings}/?site=lstm/l1/hidden&unit=3")
    page.wait_for_selector(".ag-row")

    def wrote(key):
        """Wait until the address holds a key."""
        until(page, "key => new URLSearchParams(location.search).has(key)", key)

    def click(name):
        page.get_by_role("button", name=name, exact=True).first.click()

    page.get_by_label("Recording").select_option("second")
    until(page, "interp.selection.get().about.key === 'second'")
    page.get_by_label("Layer").select_option("lstm/l0")
    page.get_by_role("radio", name="cell", exact=True).click()
    page.get_by_label("Unit of").fill("0")
    page.get_by_label("Unit of").press("Enter")
    wrote("unit")
    page.get_by_label("Second track").select_option("string")
    for name in ("·↵", "fitted", "linear", "Dark theme", "Search"):
        click(name)
    page.get_by_label("Search the text").fill("def ")
    page.get_by_label("Steps in sight").fill("5")
    wrote("zoom")
    page.get_by_role("tab", name="Heat map").click()
    page.get_by_label("Sort").select_option("index")
    page.evaluate("interp.selection.set({pos: 0, range: [0, 7]})")
    grid = "dash_ag_grid.getApi('unit-list')"
    until(page, f"{grid} && {grid}.getDisplayedRowCount() === {N_UNITS}")
    page.wait_for_timeout(500)
    page.locator(".ag-header-cell[col-id='spread']").click()
    wrote("listsort")
    model = {"mean": {"filterType": "number", "type": "greaterThan", "filter": 0}}
    page.evaluate(f"model => {grid}.setFilterModel(model)", model)
    wrote("listfilter")
    page.evaluate("interp.selection.set({units: Array.from({length: 300}, (_, i) => i)})")
    wrote("units")
    click("Overview")
    page.get_by_label("Filter documents").fill("te")
    page.get_by_role("button", name="loss, nats").click()
    wrote("docsort")
    found = settled(page)
    assert found["units"] == list(range(300)) and found["unit"] == 0 and found["pos"] == 0
    assert found["marks"] is True and found["scale"] > 0 and found["stretch"] == "root"
    assert found["docfind"] == "te" and found["docsort"] == "loss"
    chosen = {key for key, spec in keys.items() if found[key] != spec["initial"]}
    assert chosen >= set(FRAMES_OWN) - {"doc", "at", "only"}, "a control that nothing tries"

    again = open_page(page.url)
    assert settled(again) == found
    # What is on screen is what the address says, not only what the state holds.
    again.get_by_role("button", name="textwrap.py").wait_for()
    expect(again.get_by_role("button", name="shlex.py")).to_have_count(0)
    again.get_by_role("button", name="Explore", exact=True).click()
    again.wait_for_selector(".ag-header-cell[col-id='spread'][aria-sort='descending']")
    until(again, f"{grid}.getDisplayedRowCount() < {N_UNITS}")
    assert again.evaluate(f"{grid}.getSelectedRows().length") == 300
    assert again.evaluate("document.documentElement.dataset.theme") == "dark"
    again.wait_for_selector("#heat-map[data-rows='300']")
