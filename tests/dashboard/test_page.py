"""The page as a whole: keys, one selection through all views, what comes early."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import served, shown_unit, state, until, wait_state


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
    expect(page.locator(".cursor-pin")).to_have_count(0)


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


def test_a_stopped_server_is_said_in_the_page(open_page, source):
    with served(source) as url:
        page = open_page(f"{url}/")
        page.wait_for_selector(".ag-row")  # all code has come: only data is asked for from here
        page.wait_for_load_state("networkidle")
    page.keyboard.press("]")
    page.get_by_role("alert").get_by_text("does not answer").wait_for()


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


@pytest.mark.parametrize("width", [600, 1024, 1440])
def test_nothing_of_a_position_and_no_signal_is_cut_off(open_page, address, width):
    page = open_page(f"{address}/?site=lstm/l1/cell&unit=3&pos=40", width=width, height=768)
    expect(page.locator(".pane-text .guess").first).to_be_visible()
    expect(page.locator(".pane-text .readout-loss")).to_be_visible()
    cut = page.evaluate(
        """() => ['.pane-text .readout', '.toolbar .segments'].flatMap((name) => {
          const outer = document.querySelector(name).getBoundingClientRect();
          const parts = [...document.querySelectorAll(`${name} > *, ${name} .guess`)];
          return parts.filter((part) => {
            const box = part.getBoundingClientRect();
            return box.left < outer.left || box.right > outer.right
              || box.top < outer.top || box.bottom > outer.bottom;
          }).map((part) => part.innerText);
        })"""
    )
    assert cut == []
