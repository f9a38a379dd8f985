"""The attention page in a browser: what is drawn is what was recorded, and everything is linked."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from dashboard.sources.attention import AttentionMemorySource
from tests.dashboard.attention_source import (
    LAYERS,
    WORDS,
    attention_source,
    even,
    image_source,
    maps,
)
from tests.dashboard.conftest import painted, served, until

#: The centre of a matrix's cell as the page draws it, its colour, and the canvas's place.
CELL = """([query, key]) => {
  const canvas = document.querySelector('.matrix canvas');
  const { originX, originY, wide, high } = document.querySelector('.matrix').controller;
  const box = canvas.getBoundingClientRect();
  const x = originX + (key + 0.5) * wide, y = originY + (query + 0.5) * high;
  const scale = canvas.width / box.width;
  const at = [Math.floor(x * scale), Math.floor(y * scale)];
  const data = canvas.getContext('2d').getImageData(...at, 1, 1).data;
  return { colour: [...data].slice(0, 3), x: box.left + x, y: box.top + y };
}"""
STATE = "key => interp.selection.get()[key]"


@pytest.fixture(scope="module")
def address():
    with served([attention_source(), image_source()]) as url:
        yield url


@pytest.fixture
def open_heads(address, open_page):
    def open_(query: str = "", look: str = "matrix", wait: str = "", **options):
        page = open_page(
            f"{address}/?view=attention&look={look}&tokens=64&{query}", wait=False, **options
        )
        page.wait_for_selector(wait or f".look-{look}")
        until(
            page,
            "() => interp.selection.get().place && interp.selection.get().headGrid",
        )
        return page

    return open_


def colour(weight: float) -> np.ndarray:
    return np.rint(255 + weight * (np.array([10, 110, 92]) - 255))


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize("ramp", ["root", "linear"])
def test_the_matrix_shows_the_weights(open_heads, layer, head, ramp):
    asked = "&ramp=linear" if ramp == "linear" else ""  # it opens with their root, as thumbnails
    page = open_heads(f"asite={LAYERS[layer]}&head={head}&theme=light{asked}")
    painted(page, ".matrix", f"{LAYERS[layer]}:{head}|8x8")
    expected = maps(8)[layer][head] ** (0.5 if ramp == "root" else 1)
    for query in range(8):
        for key in range(8):
            found = page.evaluate(CELL, [query, key])["colour"]
            assert np.abs(found - colour(expected[query, key])).max() <= 2, (query, key)
    page.get_by_role("button", name="stretched" if ramp == "root" else "linear").click()
    until(page, f"interp.selection.get().ramp !== '{ramp}'")


def test_pointing_reads_a_weight_and_a_click_pins_query_and_key(open_heads):
    page = open_heads(f"asite={LAYERS[0]}&head=0")
    painted(page, ".matrix", "8x8")
    cell = page.evaluate(CELL, [3, 2])
    page.mouse.move(cell["x"], cell["y"])
    assert page.locator(".readout [data-weight]").get_attribute("data-weight") == "0.75"
    assert page.locator(".attention .readout-token").all_inner_texts() == ["·on", "·sat"]
    page.mouse.click(cell["x"], cell["y"])
    until(page, "() => location.search.includes('pos=3') && location.search.includes('key=2')")
    expect(page.locator(".matrix-pin")).to_have_count(2)
    page.locator(".matrix").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate(STATE, "pos") == 4
    page.keyboard.press("a")  # the same position is pinned in the text
    page.wait_for_selector(".coloured-text .cursor-pin")
    assert page.locator(".readout-token").first.inner_text() == "·the"


def test_the_matrix_of_short_tokens_fills_the_pane(open_heads):
    page = open_heads("doc=1&head=0")
    painted(page, ".matrix", "3x3")
    assert page.evaluate("document.querySelector('.matrix').controller.wide") == 40
    page.evaluate("interp.selection.set({doc: 2, tokens: 128})")
    painted(page, ".matrix", "128x128")
    matrix, canvas = (page.locator(name).bounding_box() for name in (".matrix", ".matrix canvas"))
    assert matrix["height"] - canvas["height"] < 128 + 2 * 8  # less than one more pixel a cell
    assert matrix["y"] <= canvas["y"] and canvas["height"] <= matrix["height"]


@pytest.mark.parametrize(("look", "least"), [("matrix", 80), ("lines", 3_000)])
def test_a_pinned_query_is_brought_into_sight(open_heads, look, least):
    # Position 211 is number 200 of the long document.
    page = open_heads("doc=2&tokens=256&head=0&pos=211", look, height=400)
    painted(page, f".{look}", ":0|")
    until(page, f"() => document.querySelector('.{look}').scrollTop > {least}")
    page.evaluate("interp.selection.set({pos: null})")  # letting go moves nothing
    page.wait_for_timeout(100)
    assert page.evaluate(f"document.querySelector('.{look}').scrollTop") > least


def test_the_target_of_a_wide_graph_is_brought_into_sight(open_heads):
    page = open_heads("doc=2&pos=71", "graph", width=600)  # the 61st token of 64
    until(page, "() => document.querySelector('.graph').scrollLeft > 100")


def test_every_head_of_a_small_model_is_seen_on_a_narrow_page(open_heads):
    page = open_heads(f"asite={LAYERS[1]}&head=1", width=600)
    painted(page, ".head-grid", "numbers")
    grid = page.locator(".head-grid")
    assert grid.evaluate("grid => grid.scrollHeight <= grid.clientHeight")
    # What a weight is stands below the weights, not at the end of the page.
    page.evaluate("interp.selection.set({look: 'lines', doc: 2, tokens: 128})")
    painted(page, ".lines", ":1|")
    pane, readout = (
        page.locator(name).bounding_box() for name in (".pane-head", ".pane-head .readout")
    )
    assert pane["height"] <= 900 and readout["y"] + readout["height"] <= pane["y"] + pane["height"]


def test_forms_that_have_nothing_to_show_look_so(open_heads):
    page = open_heads()
    empty = page.locator(".pane-head .tab.is-empty")
    expect(empty).to_have_text(["Image"])


def test_a_thumbnail_previews_and_a_click_locks(open_heads):
    page = open_heads(f"asite={LAYERS[0]}&head=0")
    painted(page, ".head-grid", "numbers")
    box = page.locator(".head-grid canvas").bounding_box()
    size = page.evaluate("document.querySelector('.head-grid').controller.layout.cell")
    x, y = box["x"] + 26 + size + 4 + size / 2, box["y"] + 16 + size + 4 + size / 2
    page.mouse.move(x, y)
    painted(page, ".matrix", f"{LAYERS[1]}:1|")
    assert page.evaluate(STATE, "asite") == LAYERS[0]
    page.mouse.move(5, 5)
    painted(page, ".matrix", f"{LAYERS[0]}:0|")
    page.mouse.click(x, y)
    until(page, "() => interp.selection.get().head === 1")
    assert page.evaluate(STATE, "asite") == LAYERS[1]
    until(page, "() => location.search.includes('head=1')")  # written when the hand rests
    page.go_back()
    until(page, "() => interp.selection.get().head === 0")
    page.locator(".head-grid").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(STATE, "head") == 1


def test_heads_are_sorted_by_a_metric(open_heads):
    page = open_heads()
    painted(page, ".head-grid", "numbers")
    page.locator(".pane-heads select").nth(1).select_option("previous")
    painted(page, ".head-grid", "|previous|")
    order = page.evaluate(
        "document.querySelector('.head-grid').controller.layout.places.map(p => p.head.previous)"
    )
    assert order == sorted(order, reverse=True) and order[0] == pytest.approx(0.75)


#: Of each head in the grid the value of a metric, and its bar: share of the width, and colour.
BARS = """(metric) => {
  const root = document.querySelector('.head-grid'), canvas = root.querySelector('canvas');
  const scale = canvas.width / canvas.getBoundingClientRect().width;
  const { cell, places } = root.controller.layout, wide = Math.floor(cell * scale);
  const context = canvas.getContext('2d');
  return places.map((place) => {
    const at = [26 + place.column * (cell + 4), root.controller.top(place.row) + cell + 3];
    const row = context.getImageData(...at.map((v) => Math.round(v * scale)), wide, 1).data;
    let n = 0;
    while (n < wide && row[4 * n + 3] === 255) n++;
    return { value: place.head[metric], width: n / wide, colour: row[0] + row[1] + row[2] };
  });
}"""


def test_bars_under_the_heads_tell_a_metric_by_width_and_colour(open_heads):
    page = open_heads()
    painted(page, ".head-grid", "|none|numbers")
    page.get_by_label("Bars").select_option("previous")
    painted(page, ".head-grid", "|previous|numbers")
    bars = sorted(page.evaluate(BARS, "previous"), key=lambda bar: bar["value"])
    assert bars[-1]["value"] == pytest.approx(0.75) and bars[0]["value"] < 0.3
    assert [bar["width"] for bar in bars] == pytest.approx([bar["value"] for bar in bars], abs=0.05)
    seen = [bar for bar in bars if bar["width"]]
    assert len(seen) > 2 and seen[0]["colour"] > seen[-1]["colour"] + 60  # darker, on white
    assert [bar["colour"] for bar in seen] == sorted((bar["colour"] for bar in seen), reverse=True)


def test_lines_say_how_many_they_are_and_how_much_they_explain(open_heads):
    page = open_heads(f"asite={LAYERS[1]}&head=0&mass=0.5", "lines")
    painted(page, ".lines", f"{LAYERS[1]}:0|")
    # Even attention over t keys: half of the mass needs ceil(t / 2) of them.
    needed = [-(-t // 2) for t in range(1, 9)]
    mass = np.mean([n / t for n, t in zip(needed, range(1, 9), strict=True)])
    badge = page.locator("[data-edges]").inner_text()
    assert badge == f"{sum(needed)} of 36 edges, {round(100 * mass)} % of mass"


def test_another_head_with_as_many_lines_says_its_own_mass(open_page):
    near = np.tri(8, dtype=np.float32) * np.exp(-np.abs(np.subtract.outer(range(8), range(8))))
    heads = np.stack([even(8), near / near.sum(1, keepdims=True)])
    source = AttentionMemorySource([("text", "abcdefgh")], {"attn/attention": [heads]})
    with served(source) as url:
        page = open_page(f"{url}/?view=attention&look=lines&head=0&mass=0", wait=False)
        for head in range(2):
            page.evaluate("head => interp.selection.set({ head })", head)
            mass = round(100 * float(heads[head].max(1).mean()))
            expect(page.locator("[data-edges]")).to_have_text(f"8 of 36 edges, {mass} % of mass")


def test_a_double_click_isolates_a_head_and_again_shows_all(open_heads):
    page = open_heads(f"asite={LAYERS[0]}&head=0", "lines")
    painted(page, ".lines", ":0|")
    chips = page.locator(".head-chip")
    chips.nth(1).click()
    until(page, "() => (interp.selection.get().heads || []).length === 2")
    chips.nth(1).dblclick()
    until(page, "() => String(interp.selection.get().heads) === '1'")
    painted(page, ".lines", f"{LAYERS[0]}:1|")
    chips.nth(1).dblclick()
    until(page, "() => String(interp.selection.get().heads) === '0,1'")


def test_special_tokens_can_be_hidden(open_heads):
    page = open_heads(f"asite={LAYERS[0]}&head=1&mass=1", "lines")
    painted(page, ".lines", "|8")
    page.get_by_text("hide first and special tokens").click()
    painted(page, ".lines", "|0")  # this head looks at nothing else


def test_many_tokens_are_pruned_or_give_way_to_the_matrix_and_it_says_so(open_heads):
    page = open_heads("doc=2&tokens=128", "lines")
    page.wait_for_selector("text=128 tokens: lines are pruned")
    page.evaluate("interp.selection.set({tokens: 512})")
    page.wait_for_selector("text=Lines between 300 tokens would tell nothing")
    page.get_by_role("button", name="Show the matrix").click()
    painted(page, ".matrix", "300x300")


def rolled_out(layers, target: int) -> list[np.ndarray]:
    """Share of the target's attention rollout that passes through each edge, the layers' own."""
    above, through = np.eye(8)[target], []
    for weights in reversed(layers):
        step = (weights + np.eye(8)) / (weights.sum(1, keepdims=True) + 1)
        through.insert(0, above[:, None] * step * (1 - np.eye(8)))
        above = above @ step
    return through


#: How the heads of a layer become one map.
JOINS = {
    "mean": lambda heads: heads.mean(0),
    "max": lambda heads: heads.max(0),
    "head": lambda heads: heads[1],
    "rollout": lambda heads: heads.mean(0),
}


def reaching(target: int, threshold: float, join: str = "mean") -> int:
    """Edges that reach the target through both layers, worked out apart."""
    layers = [JOINS[join](found) for found in maps(8)]
    if join == "rollout":
        layers = rolled_out(layers, target)
    reached, n = {target}, 0
    for weights in reversed(layers):
        below = set(reached)
        for query in reached:
            keys = np.flatnonzero(weights[query] >= threshold)
            n += len(keys)
            below |= set(keys.tolist())
        reached = below
    return n


@pytest.mark.parametrize(("pos", "cut"), [(7, 0.1), (3, 0.3), (0, 0.5)])
def test_the_graph_shows_what_reaches_the_target(open_heads, pos, cut):
    page = open_heads(f"pos={pos}&cut={cut}", "graph", wait=".look-graph [data-edges]")
    assert page.locator(".look-graph [data-edges]").get_attribute("data-edges") == str(
        reaching(pos, cut)
    )
    assert "attention, not contribution" in page.locator(".look-graph").inner_text()


@pytest.mark.parametrize("join", ["max", "head", "rollout"])
def test_the_graph_follows_the_heads_as_it_is_asked_to(open_heads, join):
    page = open_heads("pos=7&cut=0.1&head=1", "graph", wait=".look-graph [data-edges]")
    page.locator(".look-graph select").select_option(join)
    expected = reaching(7, 0.1, join)
    assert expected != reaching(7, 0.1)
    page.wait_for_selector(f".look-graph [data-edges='{expected}']")


def test_an_edge_of_the_graph_opens_its_head(open_heads):
    page = open_heads("pos=7&cut=0.45", "graph", wait=".look-graph [data-edges]")
    # The upper layer's mean puts half of the weight three positions back: head 1 does.
    at = page.evaluate(
        """() => { const c = document.querySelector('.graph').controller;
          const e = c.shown.edges.find((e) => e.level === 1);
          const box = c.canvas.getBoundingClientRect();
          return [box.left + (c.x(e.key) + c.x(e.query)) / 2, box.top + (c.y(1) + c.y(2)) / 2]; }"""
    )
    page.mouse.click(*at)
    painted(page, ".matrix", f"{LAYERS[1]}:1|")
    assert [page.evaluate(STATE, key) for key in ("pos", "key")] == [7, 4]


def test_the_steps_of_a_score_are_on_real_numbers(open_heads):
    page = open_heads(f"asite={LAYERS[1]}&head=0&pos=3&key=1", "query", wait=".steps")
    found = page.evaluate("Number(document.querySelector('[data-score]').dataset.score)")
    key = np.random.default_rng(1).normal(size=(2, 1, 4)).astype(np.float32)[0, 0]
    assert found == pytest.approx(float(key.sum()) / 2, abs=1e-5)
    expect(page.locator(".steps-table tbody tr")).to_have_count(4)
    # The same token may stand at several places.
    expect(page.locator(".steps-table tr.is-chosen td").nth(1)).to_have_text("1")
    assert "equals the recorded weights" in page.locator(".steps").inner_text()


def test_without_queries_and_keys_it_says_how_to_record_them(open_heads):
    page = open_heads(f"asite={LAYERS[0]}&head=0&pos=3", "query", wait=".empty-note")
    assert "--sites '**/attention,**/query,**/key'" in page.locator(".empty-note").inner_text()


def test_steps_walk_through_the_text_with_predictions(open_heads):
    page = open_heads(f"asite={LAYERS[0]}&head=0&pos=2", "steps", wait=".step-slider")
    page.wait_for_selector(".step-guesses .guess")
    assert page.locator(".step-guesses .guess").first.inner_text() == "·cat 60 %"
    tokens = page.locator(".flow-token")
    assert tokens.nth(1).get_attribute("title") == "·cat: 0.7500"
    page.get_by_role("button", name="step ›").click()
    until(page, "() => interp.selection.get().pos === 3")
    assert tokens.nth(2).get_attribute("title") == "·sat: 0.7500"


def test_hostile_tokens_are_shown_literally(open_heads):
    page = open_heads(f"asite={LAYERS[0]}&head=0", "steps", wait=".step-slider")
    words = page.locator(".flow-token").all_inner_texts()
    assert len(words) == len(WORDS) and words[6] == "<b>"
    assert "\u202e" not in words[7] and "\x00" not in words[7]
    expect(page.locator(".document-name i")).to_have_count(0)
    assert (
        page.evaluate("document.querySelectorAll('.attention b b, .attention script').length") == 0
    )


@pytest.mark.parametrize(
    ("look", "theme"),
    [
        ("matrix", "light"),
        ("lines", "dark"),
        ("graph", "light"),
        ("query", "dark"),
        ("steps", "dark"),
    ],
)
def test_no_serious_violation_and_few_nodes(open_heads, look, theme):
    page = open_heads(f"asite={LAYERS[1]}&head=0&pos=3&theme={theme}", look)
    painted(page, ".head-grid", "numbers")
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    assert page.evaluate("document.querySelectorAll('*').length") < 2_000


def test_another_recording_is_not_blamed_for_the_sites_of_the_one_before(address, open_page):
    page = open_page(address)
    assert page.evaluate(STATE, "site")
    page.evaluate("interp.session.chooseRecording('digits')")
    page.wait_for_selector(".head-grid[data-painted]")
    page.wait_for_timeout(300)  # a message about the old site came with its histogram
    assert "".join(page.get_by_role("alert").all_inner_texts()) == ""


def test_a_recording_of_heads_alone_opens_here(address, open_page):
    page = open_page(f"{address}/?run=digits", wait=False)
    page.wait_for_selector(".head-grid[data-painted]")
    until(page, "location.search.includes('view=attention')")


def test_a_recording_without_attention_says_what_to_do(open_page):
    from dashboard.sources.synthetic import synthetic_source

    with served(synthetic_source(n_units=4)) as url:
        page = open_page(f"{url}/?view=attention", wait=False)
        page.wait_for_selector(".attention .empty-note")
        assert "--sites '**/attention'" in page.locator(".empty-note").first.inner_text()
