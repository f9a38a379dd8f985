"""Heads of several streams, and of images: windows, words and pictures are their own."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.dashboard.attention_source import (
    FarSource,
    image_source,
    pair_source,
    resolution_source,
)
from tests.dashboard.conftest import painted, served, until

STATE = "key => interp.selection.get()[key]"
WORDS = (
    """() => ['place', 'keyPlace'].map((key) => interp.selection.get()[key].tokens.slice(0, 2))"""
)
SELF, CROSS = "decoder.self/attention", "decoder.cross/attention"

#: Colours at the centres of some patches of a picture, n patches a side.
COLOURS = """([index, n, patches]) => {
  const canvas = document.querySelectorAll('.patches canvas')[index], step = canvas.width / n;
  const at = (k) => [((k % n) + 0.5) * step, (Math.floor(k / n) + 0.5) * step].map(Math.floor);
  const context = canvas.getContext('2d');
  return patches.map((k) => [...context.getImageData(...at(k), 1, 1).data].slice(0, 3));
}"""
#: Where the centre of a patch is on the screen.
CENTRE = """([index, n, patch]) => {
  const box = document.querySelectorAll('.patches canvas')[index].getBoundingClientRect();
  const [x, y] = [(patch % n) + 0.5, Math.floor(patch / n) + 0.5];
  return [box.left + x * box.width / n, box.top + y * box.height / n];
}"""


@pytest.fixture(scope="module")
def address():
    with served([pair_source(), image_source(), resolution_source(), FarSource()]) as url:
        yield url


@pytest.fixture
def open_at(address, open_page):
    def open_(query: str, wait: str = ".head-grid[data-painted]"):
        page = open_page(f"{address}/?view=attention&{query}", wait=False)
        page.wait_for_selector(wait)
        return page

    return open_


def alerts(page) -> str:
    return "".join(page.get_by_role("alert").all_inner_texts())


def thumbnail(page, row: int) -> None:
    """Point at the first head of a row of the grid."""
    box = page.locator(".head-grid canvas").bounding_box()
    view = "document.querySelector('.head-grid').controller"
    x, y = page.evaluate(f"[26 + {view}.layout.cell / 2, {view}.top({row}) + 9]")
    page.mouse.move(box["x"] + x, box["y"] + y)


def test_a_preview_shows_the_words_of_its_own_streams(open_at):
    page = open_at("run=pairs&asite=encoder/attention&pos=4")
    painted(page, ".matrix", "encoder/attention:0|2x2")
    assert page.evaluate(WORDS) == [["d", "e"], ["d", "e"]]
    expect(page.locator(".matrix-pin")).to_have_count(1)
    thumbnail(page, 1)
    painted(page, ".matrix", f"{SELF}:0|40x40")
    assert page.evaluate(WORDS) == [["U0", "U1"], ["U0", "U1"]]
    expect(page.locator(".matrix-pin")).to_have_count(0)  # the pin is one of the encoder's stream
    thumbnail(page, 2)
    painted(page, ".matrix", f"{CROSS}:0|40x2")
    assert page.evaluate(WORDS) == [["U0", "U1"], ["d", "e"]]


def test_choosing_a_head_of_another_stream_keeps_the_document(open_at):
    page = open_at("run=pairs&asite=encoder/attention&pos=4")
    painted(page, ".matrix", "encoder/attention:0|2x2")
    page.locator(".head-grid").focus()
    page.keyboard.press("ArrowDown")
    painted(page, ".matrix", f"{SELF}:0|40x40")
    assert [page.evaluate(STATE, key) for key in ("pos", "doc")] == [None, 1]
    assert alerts(page) == ""


def test_layers_are_counted_apart_for_each_pair_of_streams(open_at):
    page = open_at("run=far&asite=decoder.1.cross/attention")
    heading = page.locator(".head-card h2")
    expect(heading).to_have_text("Layer 1, head 0target looks at source")
    page.locator(".head-grid").focus()
    page.keyboard.press("ArrowUp")
    expect(heading).to_have_text("Layer 1, head 0target looks at itself")
    expect(page.locator(".head-site")).to_have_text("decoder.1.self")


def test_the_window_may_lie_beyond_the_end_of_the_shorter_stream(open_at):
    page = open_at(f"run=pairs&asite={SELF}&tokens=16&from=60")
    painted(page, ".head-grid", "numbers")
    assert page.locator(".window-name").inner_text() == "60–75 of 80"
    page.get_by_role("button", name="Later").click()
    painted(page, ".head-grid", "numbers")
    assert alerts(page) == ""


def keys_in_sight(page):
    return page.locator(".window-name").last


def test_keys_far_into_a_long_source_are_seen(open_at):
    page = open_at("run=far&asite=decoder.0.cross/attention&tokens=64&pos=7")
    painted(page, ".matrix", "decoder.0.cross/attention:0|20x64")
    expect(keys_in_sight(page)).to_have_text("278–341 of 400")
    page.locator(".matrix").focus()
    for _ in range(30):  # the first key of the window is pinned, then those after it
        page.keyboard.press("ArrowRight")
    readout = page.locator(".attention .readout")
    expect(readout).to_contain_text("s307")
    expect(readout.locator("[data-weight]")).to_have_text("1.0000")
    # The strongest key moves forward at every step, wherever the window of keys lies.
    expect(page.locator("[data-rising]")).to_contain_text("19 of 19")
    page.get_by_role("button", name="Earlier in the source").click()
    expect(keys_in_sight(page)).to_have_text("246–309 of 400")
    page.get_by_role("button", name="Earlier in the source").click()
    expect(keys_in_sight(page)).to_have_text("214–277 of 400")
    expect(page.locator("[data-rising]")).to_contain_text("19 of 19")
    until(page, "() => location.search.includes('keyfrom=214')")
    page.get_by_role("button", name="strongest key at 307").click()
    expect(readout.locator("[data-weight]")).to_have_text("1.0000")
    assert page.evaluate(STATE, "keyfrom") is None
    assert alerts(page) == ""


def test_the_address_says_which_keys_are_shown(open_at):
    page = open_at("run=far&asite=decoder.0.cross/attention&tokens=64&keyfrom=100")
    expect(keys_in_sight(page)).to_have_text("100–163 of 400")
    page = open_at("run=far&asite=decoder.0.cross/attention&tokens=64&pos=7&key=20")
    expect(keys_in_sight(page)).to_have_text("0–63 of 400")
    expect(page.locator(".matrix-pin")).to_have_count(2)
    page = open_at("run=far&asite=decoder.0.cross/attention&tokens=64&keyfrom=900")
    expect(page.get_by_role("alert")).to_contain_text("The window cannot begin at 900")
    expect(keys_in_sight(page)).to_have_text("278–341 of 400")


def test_another_head_looks_elsewhere_and_lets_go_of_nothing_else(open_at):
    page = open_at("run=far&asite=decoder.0.cross/attention&tokens=64&pos=7")
    expect(keys_in_sight(page)).to_have_text("278–341 of 400")
    page.locator(".head-grid").focus()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    painted(page, ".matrix", "decoder.1.cross/attention:0|20x64")
    expect(keys_in_sight(page)).to_have_text("0–63 of 400")
    assert page.evaluate(STATE, "pos") == 7
    page.get_by_role("button", name="Next document").click()
    painted(page, ".matrix", "decoder.1.cross/attention:0|3x5")
    expect(page.locator(".window-name")).to_have_count(0)
    assert alerts(page) == ""


@pytest.mark.parametrize("look", ["lines", "graph", "steps", "query"])
def test_every_form_shows_a_pair(open_at, look):
    page = open_at(f"run=pairs&asite={CROSS}&look={look}&doc=1")
    painted(page, ".head-grid", "numbers")
    page.wait_for_timeout(200)
    assert alerts(page) == ""


def test_the_graph_of_a_pair_follows_the_queries_own_stream(open_at):
    page = open_at(f"run=pairs&asite={CROSS}&look=graph&doc=1", ".look-graph [data-edges]")
    assert page.evaluate("document.querySelector('.graph').controller.place.tokens[0]") == "U0"


def test_a_site_of_another_stream_keeps_the_document(address, open_page):
    page = open_page(f"{address}/?run=pairs&site=source/output&pos=4")
    page.evaluate("interp.selection.set({site: 'target/output'})")
    assert [page.evaluate(STATE, key) for key in ("pos", "doc")] == [None, 1]
    page.wait_for_selector(".coloured-text[data-site='target/output']")
    assert alerts(page) == ""


def test_between_text_and_heads_of_another_stream_the_document_stays(address, open_page):
    page = open_page(f"{address}/?run=pairs&site=source/output&asite={SELF}&view=attention&pos=85")
    painted(page, ".matrix", f"{SELF}:0|40x40")
    page.keyboard.press("a")
    page.wait_for_selector(".coloured-text[data-site='source/output']")
    assert [page.evaluate(STATE, key) for key in ("pos", "doc")] == [None, 1]
    page.evaluate("interp.selection.set({pos: 4})")
    page.keyboard.press("a")
    painted(page, ".matrix", f"{SELF}:0|40x40")
    assert [page.evaluate(STATE, key) for key in ("pos", "doc")] == [None, 1]
    assert alerts(page) == ""


def test_a_position_of_the_text_opens_heads_that_read_it(address, open_page):
    page = open_page(f"{address}/?run=pairs&site=target/output&pos=85")
    page.keyboard.press("a")
    painted(page, ".matrix", f"{SELF}:0|40x40")
    assert page.evaluate(STATE, "pos") == 85
    expect(page.locator(".matrix-pin")).to_have_count(1)


def test_arrow_keys_walk_along_the_stream_of_the_chosen_head(open_at):
    page = open_at(f"run=pairs&asite={SELF}&pos=85")
    painted(page, ".matrix", f"{SELF}:0|40x40")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(STATE, "pos") == 86


def test_an_image_opens_with_its_patches(open_at):
    page = open_at("run=digits", ".patches[data-painted]")
    assert page.locator(".patches h3").all_inner_texts() == ["Query: [class]", "Where it looks"]
    # The class token looks most at the last patch, and the page says how much.
    assert page.locator("[data-most]").inner_text().startswith(f"{16 / 136:.3f}")
    grey = [110, 110, 110]
    first, last = page.evaluate(COLOURS, [1, 4, [0, 15]])
    assert last[1] - last[0] > 80 > 20 > first[1] - first[0] >= 0
    page.evaluate("interp.selection.set({pos: 6})")
    painted(page, ".patches", "0|6|1.0000")
    painted(page, ".patches canvas", "query|0|6")
    looked, other = page.evaluate(COLOURS, [1, 4, [5, 9]])
    assert looked[1] - looked[0] > 80 and other == grey
    assert page.evaluate(COLOURS, [0, 4, [5, 9]]) == [[200] * 3] * 2  # the image as it is


def test_a_patch_is_pointed_at_and_chosen_and_documents_follow_each_other(open_at):
    page = open_at("run=digits", ".patches[data-painted]")
    page.mouse.move(*page.evaluate(CENTRE, [0, 4, 9]))
    painted(page, ".patches", "0|10|")
    assert page.evaluate(STATE, "pos") is None
    page.mouse.click(*page.evaluate(CENTRE, [0, 4, 9]))
    until(page, "() => location.search.includes('pos=10')")
    page.mouse.move(*page.evaluate(CENTRE, [1, 4, 9]))
    assert page.locator(".readout [data-weight]").get_attribute("data-weight") == "1"
    assert page.locator(".attention .readout-token").all_inner_texts() == ["3,2", "3,2"]
    page.mouse.move(5, 5)
    page.get_by_role("button", name="[class]").click()
    painted(page, ".patches", "0|0|")
    page.keyboard.press("J")
    painted(page, ".patches", "1|0|")
    until(page, "() => interp.selection.get().headGrid")
    assert page.evaluate(COLOURS, [0, 4, [6]]) == [[100] * 3]
    assert alerts(page) == ""


def test_patches_are_those_of_the_heads_own_resolution(open_at):
    page = open_at("run=grids", ".patches[data-painted]")
    painted(page, ".patches", "0|10|")  # without a class token, the patch in the middle
    page.locator(".head-grid").focus()
    page.keyboard.press("ArrowDown")
    painted(page, ".patches", "0|3|")
    painted(page, ".patches canvas", "query|0|3")
    looked, other = page.evaluate(COLOURS, [1, 2, [3, 0]])
    assert looked[1] - looked[0] > 80 and other == [110] * 3
    assert alerts(page) == ""


def test_a_form_chosen_for_a_text_is_let_go_of_for_an_image(open_at):
    page = open_at(f"run=pairs&asite={SELF}&look=lines", ".lines[data-painted]")
    page.evaluate("interp.session.chooseRecording('digits')")
    page.wait_for_selector(".patches[data-painted]")


def test_what_lies_beyond_the_end_is_said_there_too(open_at):
    asked = "pos=999&key=999&from=500&tokens=5000&order=all+nothing"
    page = open_at(f"run=pairs&asite={CROSS}&{asked}")
    said = page.get_by_role("alert")
    for text in (
        "Position 999 does not exist: the stream “target” has positions 0 to 119.",
        "Position 999 does not exist: the stream “source” has positions 0 to 4.",
        "A window holds at most 1,024 positions, not 5,000.",
        "This recording has no measure of heads “nothing”.",
    ):
        said.get_by_text(text).wait_for()
    assert [page.evaluate(STATE, key) for key in ("pos", "key", "order")] == [None, None, "model"]


def test_a_window_that_begins_beyond_its_document_is_said(open_at):
    page = open_at(f"run=pairs&asite={SELF}&doc=1&tokens=16&from=500")
    said = "The window cannot begin at 500: document 1 has positions 0 to 39."
    page.get_by_role("alert").get_by_text(said).wait_for()
    until(page, "() => interp.selection.get().place.start === 0")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_violation_on_an_image(open_at, theme):
    from axe_playwright_python.sync_playwright import Axe

    page = open_at(f"run=digits&theme={theme}", ".patches[data-painted]")
    painted(page, ".head-grid", "numbers")
    found = Axe().run(page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
