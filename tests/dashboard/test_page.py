"""The page as a whole: keys, one selection, addresses, hostile text, accessibility."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dashboard.sources import MemorySource
from dashboard.sources.synthetic import synthetic_source
from tests.dashboard.conftest import served, until

STATE = "interp.selection.get()"


def state(page, key):
    return page.evaluate(f"{STATE}.{key}")


def wait_state(page, key, value):
    until(
        page,
        "([key, value]) => JSON.stringify(interp.selection.get()[key]) === value",
        argument=[key, json.dumps(value, separators=(",", ":"))],
    )


def shown_unit(page, unit):
    page.wait_for_selector(f".coloured-text[data-unit='{unit}']")


def test_text_is_coloured_by_the_unit_of_the_address(open_page, address):
    page = open_page(f"{address}/?site=lstm/l1/cell&unit=3")
    text = page.locator(".coloured-text")
    assert text.get_attribute("data-unit") == "3"
    assert text.get_attribute("data-site") == "lstm/l1/cell"
    assert '"""Text wrapping and filling.' in page.locator(".text-pre").first.inner_text()
    assert page.evaluate("document.querySelectorAll('*').length") <= 5_000


def test_the_next_unit_of_a_walk_is_asked_for_before_its_key_and_once(open_page, address):
    page = open_page(f"{address}/?site=lstm/l1/cell&unit=3")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for unit in (4, 5, 6):
        page.keyboard.press("]")
        shown_unit(page, unit)
    page.wait_for_selector(".strip[data-unit='6']")
    page.wait_for_timeout(300)
    values = [url for url in asked if "/values?" in url]
    assert any("unit=7&" in url for url in values)
    assert len(values) == len(set(values))
    page.evaluate("interp.selection.chooseUnit(20)")
    page.wait_for_selector(".strip[data-unit='20']")
    page.wait_for_timeout(300)
    assert not any("unit=21&" in url or "unit=19&" in url for url in asked)


def test_values_that_did_not_come_early_come_when_they_are_wanted(open_page, address):
    page = open_page(f"{address}/?site=lstm/l1/cell&unit=3")
    page.wait_for_selector(".strip[data-unit='3']")
    page.wait_for_timeout(200)
    page.route("**/values?*unit=5&*", lambda route: route.abort())
    page.keyboard.press("]")
    shown_unit(page, 4)
    page.wait_for_timeout(200)
    assert state(page, "errors") == []
    page.unroute_all()
    page.keyboard.press("]")
    shown_unit(page, 5)


def test_a_text_that_cannot_be_sent_early_says_so_in_the_page(new_context, address):
    page = new_context().new_page()
    page.route("**/text?*", lambda route: route.fulfill(status=500, json={"error": "No text."}))
    page.goto(address)
    page.locator(".error").get_by_text("No text.").wait_for()


def test_keys(open_page, address):
    page = open_page(f"{address}/?site=lstm/l1/hidden&unit=3")
    page.keyboard.press("]")
    shown_unit(page, 4)
    page.keyboard.press("[")
    page.keyboard.press("[")
    shown_unit(page, 2)
    for key in "jjj":
        page.keyboard.press(key)
    until(page, "document.querySelector('.coloured-text').scrollTop === 60")
    page.keyboard.press("k")
    until(page, "document.querySelector('.coloured-text').scrollTop === 40")
    page.keyboard.press("s")
    wait_state(page, "panel", "heat")
    page.keyboard.press("t")
    wait_state(page, "theme", "dark")
    page.keyboard.press("?")
    page.locator("dialog").get_by_text("previous, next unit").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    page.keyboard.press("g")
    page.locator("dialog input").fill("5000")
    page.keyboard.press("Enter")
    wait_state(page, "pos", 5000)
    until(page, "(([a, b]) => a <= 5000 && 5000 < b)(interp.selection.get().inSight)")
    page.keyboard.press("ArrowRight")
    wait_state(page, "pos", 5001)
    page.keyboard.press("Escape")
    wait_state(page, "pos", None)
    page.keyboard.press("J")
    until(page, "document.querySelector('.documents select').value !== '0'")


def test_search(open_page, address):
    page = open_page(f"{address}/")
    page.keyboard.press("/")
    page.keyboard.type("TextWrapper")
    page.get_by_text("1 of ", exact=False).first.wait_for()
    page.wait_for_selector(".cursor-match")
    page.keyboard.press("Enter")
    until(page, "interp.selection.get().pos !== null")
    position = state(page, "pos")
    page.keyboard.press("Enter")
    until(page, f"interp.selection.get().pos > {position}")
    page.keyboard.type(" nowhere")
    page.get_by_text("no match").wait_for()


def test_one_selection_through_all_views(open_page, address):
    page = open_page(f"{address}/?site=lstm/l1/hidden&unit=3&panel=heat")
    page.wait_for_selector("#heat-map[data-rows='24']")
    # Hovering the heat map previews a unit and a position everywhere.
    box = page.locator("#heat-map canvas").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 20)
    until(page, "interp.selection.get().hoverUnit !== null")
    preview = state(page, "hoverUnit")
    assert preview != 3
    shown_unit(page, preview)
    page.wait_for_selector(".cursor-hover")
    page.get_by_role("heading", name=f"Unit {preview}").wait_for()
    page.mouse.move(5, 5)
    shown_unit(page, 3)
    # A click locks.
    page.mouse.click(box["x"] + 200, box["y"] + 20)
    wait_state(page, "unit", preview)
    assert state(page, "pos") is not None
    page.wait_for_selector(".cursor-pin")
    page.mouse.move(5, 5)
    # The list follows, and chooses in turn.
    page.wait_for_selector(f".ag-row.is-chosen[row-id='{preview}']")
    row = page.locator(".ag-row[row-id='7'] [col-id='mean']")
    row.scroll_into_view_if_needed()
    row.click()
    shown_unit(page, 7)
    wait_state(page, "unit", 7)
    # Esc lets go.
    page.keyboard.press("Escape")
    wait_state(page, "pos", None)
    assert page.locator(".cursor-pin").count() == 0


def test_a_drag_over_the_strips_selects_a_range(open_page, address):
    page = open_page(f"{address}/?zoom=100")
    page.wait_for_selector("#states[data-steps]")
    box = page.locator(".strip-canvas").first.bounding_box()
    y = box["y"] + 10
    page.mouse.move(box["x"] + 100, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, y, steps=4)
    page.mouse.move(box["x"] + 300, y, steps=4)
    page.mouse.up()
    until(page, "interp.selection.get().range !== null")
    start, stop = state(page, "range")
    assert 15 <= stop - start <= 40
    page.wait_for_selector(".strip-cursor.strip-range")
    page.wait_for_selector(".cursor-range")
    until(page, "window.location.search.includes('range=')")


def test_ticked_units_are_the_heat_map(open_page, address):
    page = open_page(f"{address}/?panel=heat&site=lstm/l1/hidden")
    page.wait_for_selector("#heat-map[data-rows='24']")
    for unit in (1, 3):
        page.locator(f".ag-row[row-id='{unit}'] .ag-selection-checkbox input").click()
    page.wait_for_selector("#heat-map[data-rows='2']")
    assert state(page, "units") == [1, 3]
    page.get_by_text("2 units picked").click()
    page.wait_for_selector("#heat-map[data-rows='24']")


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


def test_a_stopped_server_is_said_in_the_page(open_page, source):
    with served(source) as url:
        page = open_page(f"{url}/")
    page.keyboard.press("]")
    page.get_by_role("alert").get_by_text("does not answer").wait_for()


HOSTILE = [
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "nul \x00 escape \x1b[31m delete \x7f",
    "override \u202e desrever \u202c and \u2066isolate\u2069 \ufeff",
    "שלום مرحبا",
    "&amp; {{x}} ${1} %s \\u0041",
    "t" * 200,
]


def test_hostile_text_is_shown_and_nothing_runs(open_page):
    text = "\n".join(HOSTILE) + "\n"
    line = "x" * 990_000
    n = len(text) + len(line)
    values = np.random.default_rng(0).standard_normal((n, 2)).astype(np.float16)
    name = "</script><img src=x onerror=window.pwned=1>.txt"
    source = MemorySource(
        [(name, text), ("line.txt", line)],
        {"m/output": values},
        annotations={"<b>bold</b>": values[:, 0] > 0},
        provenance={"<script>window.pwned=1</script>": "<img onerror=window.pwned=1>"},
        name="<b>run</b>",
    )
    with served(source) as url:
        page = open_page(f"{url}/?find=%3Cscript%3E")
        shown = page.evaluate("document.querySelector('.text-pre').textContent")
        for piece in (HOSTILE[0], HOSTILE[1], "nul \u2400 escape \u241b[31m delete \u2421"):
            assert piece in shown
        assert "override \u25ca desrever" in shown
        assert page.locator(".text-heading").first.inner_text() == name
        # Selecting everything and copying gives the true text, stand-ins undone.
        copied = page.evaluate(
            """() => {
                const root = document.querySelector('.coloured-text');
                const range = document.createRange();
                const pre = root.querySelector('.text-pre').firstChild;
                range.setStart(pre, 0);
                range.setEnd(pre, pre.data.length);
                getSelection().removeAllRanges();
                getSelection().addRange(range);
                const data = new DataTransfer();
                const event = new ClipboardEvent('copy', {clipboardData: data, bubbles: true});
                root.dispatchEvent(event);
                return data.getData('text/plain');
            }"""
        )
        assert copied == text
        page.evaluate("interp.selection.set({doc: 1, at: null, pos: null})")
        until(page, "document.querySelector('.coloured-text').scrollTop > 100")
        assert page.evaluate("document.querySelectorAll('*').length") <= 5_000
        page.get_by_role("button", name="Overview").click()
        page.locator("#overview dt", has_text="<script>window.pwned=1</script>").wait_for()
        assert page.evaluate("window.pwned") is None
        assert page.locator("img").count() == 0


def test_ctrl_f_and_copying_go_on_from_row_to_row(open_page):
    # Rows of wide letters are broken where the layout guessed; the page's text must not show it.
    letters = "".join(chr(0xAC00 + i) for i in range(900))
    text = f"plain\n{letters}\nand then {letters[::-1]}\n"
    source = MemorySource([("wide", text)], {"m/output": np.zeros((len(text), 1), np.float16)})
    with served(source) as url:
        page = open_page(f"{url}/")
        find = "wanted => (getSelection().removeAllRanges(), window.find(wanted, true))"
        for start in range(0, 880, 20):
            assert page.evaluate(find, letters[start : start + 20]), start
        assert page.evaluate(find, "and then " + letters[:-200:-1])
        wraps = page.evaluate(
            """[...document.querySelectorAll('.text-wrap')].map((wrapped) => {
                const range = document.createRange();
                range.selectNodeContents(wrapped);
                return [...range.getClientRects()].length;
            })"""
        )
        assert wraps.count(1) >= len(wraps) - 2 > 10  # the others begin on the line before
        # A selection over several rows is copied as it is in the document.
        copied = page.evaluate(
            """() => {
                const wrapped = [...document.querySelectorAll('.text-wrap')];
                const range = document.createRange();
                range.setStart(wrapped[2].firstChild, 1);
                range.setEnd(wrapped[5].firstChild, 2);
                getSelection().removeAllRanges();
                getSelection().addRange(range);
                const data = new DataTransfer();
                const event = new ClipboardEvent('copy', {clipboardData: data, bubbles: true});
                document.querySelector('.coloured-text').dispatchEvent(event);
                return data.getData('text/plain');
            }"""
        )
        assert len(copied) > 60 and copied in letters


def test_tokens_that_share_a_character(open_page):
    text = "né né!"
    spans = [np.array([[0, 1], [1, 2], [1, 2], [3, 5], [5, 6]])]
    values = np.array([[1], [1], [-1], [1], [-1]], np.float16)
    source = MemorySource([("a", text)], {"m/output": values}, spans=spans, name="tokens")
    with served(source) as url:
        page = open_page(f"{url}/?pos=3&theme=light&scale=1")
        colours = page.evaluate(
            """() => {
                const canvas = document.querySelector('.text-fine');
                const view = document.querySelector('.coloured-text').controller.view;
                const context = canvas.getContext('2d');
                return [0.5, 1.25, 1.75, 2.5, 3.5, 4.5, 5.5].map((column) =>
                    Math.floor(column * view.cell * view.ratio)).map((x) =>
                    [...context.getImageData(x, 12, 1, 1).data]);
            }"""
        )
        orange, blue, none = [240, 140, 60, 255], [92, 155, 213, 255], [0, 0, 0, 0]
        assert colours == [orange, orange, blue, none, orange, orange, blue]
        # A token of two characters is one cursor.
        box = page.locator(".cursor-pin").bounding_box()
        cell = page.evaluate("document.querySelector('.coloured-text').controller.view.cell")
        assert box["width"] == pytest.approx(2 * cell, abs=0.5)


def test_series_without_text_still_have_states(open_page):
    rng = np.random.default_rng(0)
    source = MemorySource(
        [("series", "")],
        {"rnn/l0/hidden": rng.standard_normal((900, 6)).astype(np.float32)},
        has_text=False,
        n_positions=[900],
        name="series",
    )
    with served(source) as url:
        page = open_page(f"{url}/", wait=False)
        page.get_by_text("positions without text", exact=False).wait_for()
        page.wait_for_selector("#states[data-steps]")


def test_leaving_the_overview_lays_the_text_out(open_page, address):
    page = open_page(f"{address}/?view=overview")
    page.get_by_text("lstm/l1/output_gate").wait_for()
    page.get_by_role("button", name="shlex.py").click()
    until(page, "document.querySelector('.coloured-text').scrollTop > 500")
    view = "document.querySelector('.coloured-text').controller.view"
    assert page.evaluate(f"{view}.columns") > 80
    assert (
        page.locator(".documents select").evaluate("select => select.selectedOptions[0].text")
        == "shlex.py"
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "search", ["?marks=1&track=loss&pos=30&find=self", "?panel=heat&units=1-3", "?view=overview"]
)
def test_axe_finds_nothing_serious(open_page, address, theme, search):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(f"{address}/{search}&theme={theme}")
    page.wait_for_timeout(900)
    found = Axe().run(page).response["violations"]
    serious = [
        (rule["id"], [node["html"][:160] for node in rule["nodes"][:3]])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
    assert not serious


def test_everything_is_reachable_by_keyboard(open_page, address):
    page = open_page(f"{address}/")
    page.wait_for_selector(".ag-row")
    seen = set()
    for _ in range(90):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate(
                """() => {
                    const found = document.activeElement;
                    const label = found.getAttribute('aria-label') || found.innerText || found.id;
                    return `${found.tagName} ${label}`.slice(0, 60).replace(/\\s+/g, ' ');
                }"""
            )
        )
    text = " | ".join(seen)
    for wanted in (
        "Overview",
        "SELECT",
        "Next document",
        "Search",
        "fitted",
        "linear",
        "Text coloured",
        "States",
        "Heat map",
        "Steps in sight",
        "forget gate",
        "Help",
    ):
        assert wanted in text, (wanted, text)


@pytest.mark.parametrize("width", [1440, 800])
def test_nothing_overflows_sideways(open_page, address, width):
    page = open_page(f"{address}/", width=width)
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
