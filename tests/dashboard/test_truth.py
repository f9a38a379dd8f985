"""What is on the screen is what was recorded, read from the canvases themselves."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from dashboard.sources import MemorySource
from tests.dashboard.conftest import served, until

TOOLS = (Path(__file__).parent / "browser_tools.js").read_text()
WHITE, BLUE, ORANGE, TEAL = (255,) * 3, (92, 155, 213), (240, 140, 60), (64, 176, 154)


def expected_colour(value: float, limit: float, one_sided: bool = False) -> np.ndarray:
    """Return the light theme's colour of a value, computed here on its own."""
    place = np.clip(value / limit, 0 if one_sided else -1, 1)
    end = TEAL if one_sided else BLUE if place < 0 else ORANGE
    return np.array(WHITE) + abs(place) * (np.array(end) - WHITE)


def near(found, wanted) -> bool:
    return found is not None and bool(np.all(np.abs(np.array(found) - wanted) <= 2))


@pytest.fixture(scope="module")
def exact_source():
    """Values of float32 that float16 cannot hold, a gate, and a text of plain lines."""
    rng = np.random.default_rng(5)
    text = "".join("abcdefgh jklmno\n" for _ in range(40))
    n = len(text)
    hidden = rng.uniform(-1, 1, (n, 8)).astype(np.float32)
    hidden[3, 2] = np.nan
    gate = rng.random((n, 8)).astype(np.float16)
    gate[:, 5] = 0.97
    return MemorySource(
        [("plain.txt", text)],
        {"lstm/l0/hidden": hidden, "lstm/l0/forget_gate": gate},
        loss=rng.random(n).astype(np.float32) * 4,
        name="exact",
    )


@pytest.fixture(scope="module")
def exact_address(exact_source):
    with served(exact_source) as url:
        yield url


@pytest.mark.parametrize(
    "site, query, one_sided",
    [
        ("lstm/l0/hidden", "unit=2&scale=0.8", False),
        ("lstm/l0/forget_gate", "unit=1", True),
    ],
)
def test_text_shows_the_recorded_values(
    open_page, exact_source, exact_address, site, query, one_sided
):
    page = open_page(f"{exact_address}/?site={site}&{query}&theme=light")
    page.evaluate(TOOLS)
    found = page.evaluate("tools.textColours(300)")
    unit = int(re.search(r"unit=(\d)", query)[1])
    values = exact_source.unit(site, unit, 0, 300)
    limit = 1.0 if one_sided else 0.8
    checked = 0
    for colour, value in zip(found, values, strict=True):
        if colour is None:
            continue  # a newline has no glyph to find
        wanted = (203, 203, 210) if np.isnan(value) else expected_colour(value, limit, one_sided)
        assert near(colour, wanted), (colour, value)
        checked += 1
    assert checked > 270


def test_a_fitted_scale_is_the_stated_one(open_page, exact_source, exact_address):
    page = open_page(f"{exact_address}/?site=lstm/l0/hidden&unit=4&theme=light")
    page.evaluate(TOOLS)
    limit = page.evaluate("interp.selection.get().limit")
    values = np.abs(exact_source.unit("lstm/l0/hidden", 4, 0, 640))
    assert 0.99 <= (values <= limit).mean() <= 1.0
    stated = page.locator(".legend").get_attribute("aria-label")
    assert stated == f"Colour scale from minus {limit:.2f} to {limit:.2f}"
    found = page.evaluate("tools.textColours(14)")
    for colour, value in zip(found, exact_source.unit("lstm/l0/hidden", 4, 0, 14), strict=True):
        assert near(colour, expected_colour(value, limit))


def test_values_beyond_the_scale_are_marked(open_page, exact_source, exact_address):
    page = open_page(f"{exact_address}/?site=lstm/l0/hidden&unit=2&scale=0.5&theme=light")
    page.evaluate(TOOLS)
    tops = page.evaluate(
        """tools.clusters(15).map(({box, block}) => tools.pixel(
            block.querySelector('.text-canvas'), box.left + box.width / 2,
            block.getBoundingClientRect().top + 1))"""
    )
    values = exact_source.unit("lstm/l0/hidden", 2, 0, 15)
    for top, value in zip(tops, values, strict=True):
        if not np.isnan(value):
            assert near(top, (150, 20, 70)) == (abs(value) > 0.5)


def test_categories_are_drawn_under_the_text(open_page):
    text = "".join("abcdefgh jklmno\n" for _ in range(4))
    codes = np.arange(len(text)) % 11 - 1  # ten categories, and none
    source = MemorySource(
        [("plain.txt", text)],
        {"m/output": np.zeros((len(text), 1), np.float16)},
        annotations={"kind": codes},
        categories={"kind": [f"kind {i}" for i in range(10)]},
        name="kinds",
    )
    below = """tools.clusters(30).map(({text, box, block}) => text === '\\n' ? null : tools.pixel(
        block.querySelector('.text-canvas'), box.left + box.width / 2,
        block.getBoundingClientRect().top + 20 * Math.floor((box.top -
        block.getBoundingClientRect().top) / 20) + 18))"""
    with served(source) as url:
        page = open_page(f"{url}/?track=kind&theme=light")
        page.evaluate(TOOLS)
        legend = page.get_by_role("group", name="Legend of the underline: kind")
        legend.get_by_role("button", name="kind 6").wait_for()
        legend.get_by_label("Show one of the other categories").wait_for()
        until(page, f"(() => {{ const f = {below}; return f.some(Boolean); }})()")
        colours = page.evaluate("interp.trackScale.CATEGORY_COLOURS.light")
        ranks = page.evaluate("interp.selection.get().categories.order")
        slots = {code: rank for rank, code in enumerate(ranks)}
        for colour, code in zip(page.evaluate(below), codes, strict=False):
            if colour is None:
                continue
            grey, own = (203, 203, 210), slots.get(int(code), 99)
            assert near(colour, WHITE if code < 0 else colours[own] if own < 7 else grey), code
        # One that has no colour of its own can be singled out, and a link says so.
        legend.get_by_label("Show one of the other categories").select_option("kind 9")
        until(page, "location.search.includes('only=kind')")
        first = page.evaluate(f"(() => {{ const f = {below}; return [f[10], f[1]]; }})()")
        assert near(first[0], colours[0]) and near(first[1], (203, 203, 210))


def test_strips_show_the_recorded_values(open_page, exact_source, exact_address):
    page = open_page(
        f"{exact_address}/?site=lstm/l0/hidden&unit=6&scale=1&zoom=50&pos=60&theme=light"
    )
    page.wait_for_selector("#states[data-steps]")
    until(page, "document.getElementById('states').dataset.steps === '35-85'")
    page.wait_for_timeout(200)
    page.evaluate(TOOLS)
    for site, limit, one_sided in (
        ("lstm/l0/hidden", 1.0, False),
        ("lstm/l0/forget_gate", 1.0, True),
    ):
        values = exact_source.unit(site, 6, 35, 85)
        found = page.evaluate(f"tools.strip('{site}', 50)")
        for step, value in zip(found, values, strict=True):
            assert near(step["colour"], expected_colour(value, limit, one_sided))
            share = value / limit if one_sided else 0.5 + value / limit / 2
            assert abs(step["line"] - (1 - np.clip(share, 0, 1))) < 0.08


def test_the_heat_map_shows_the_recorded_values(open_page, exact_source, exact_address):
    page = open_page(
        f"{exact_address}/?site=lstm/l0/hidden&unit=0&panel=heat&sort=index&zoom=50&pos=60&scale=1&theme=light"
    )
    page.wait_for_selector("#heat-map[data-rows='8']")
    found = page.evaluate(
        """(() => {
            const canvas = document.querySelector('#heat-map canvas');
            const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            return {width: canvas.width, height: canvas.height, data: [...data.data]};
        })()"""
    )
    pixels = np.array(found["data"]).reshape(found["height"], found["width"], 4)[:, :, :3]
    values = exact_source.window("lstm/l0/hidden", 35, 85).T
    assert pixels.shape == (8, 50, 3)
    for row, column in np.ndindex(8, 50):
        assert np.abs(pixels[row, column] - expected_colour(values[row, column], 1)).max() <= 3


def test_hovering_tells_the_exact_value(open_page, exact_source, exact_address):
    page = open_page(f"{exact_address}/?site=lstm/l0/hidden&unit=6&theme=light")
    page.evaluate(TOOLS)
    box = page.evaluate("tools.clusters(40)[37].box.toJSON()")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    value = float(exact_source.unit("lstm/l0/hidden", 6, 37, 38)[0])
    assert value != float(np.float16(value))
    until(
        page,
        "wanted => Number(document.querySelector('.readout-value b')?.dataset.value) === wanted",
        argument=value,
    )
    assert page.locator(".readout-token").inner_text() == "f"
    marked = page.locator(".histogram[data-marked]")
    assert float(marked.get_attribute("data-marked")) == pytest.approx(value, rel=1e-3)


def test_a_gate_that_never_moves_is_said_to_be_open(open_page, exact_address):
    page = open_page(f"{exact_address}/?site=lstm/l0/hidden&unit=5")
    habit = page.locator(".strip[data-site='lstm/l0/forget_gate'] .strip-habit")
    habit.filter(has_text="nearly always open (100 % above 0.9)").wait_for()


MIXED = [
    "plain ascii = f(x)  # 'quoted'\n",
    "tab\there\tand\t\tthere\n",
    "漢字とかな mixed with ASCII 全角\n",
    "combining e\u0301 a\u0308\u0323 o\u0302 n\u0303 end\n",
    "emoji \U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 end\n",
    "flags \U0001f1e9\U0001f1ea and \u2764\ufe0f end\n",
    "é ü ß Ω Ж ─│┼ → ∑ end\n",
    "right to left: \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 and back\n",
]


def clusters(text: str) -> list[str]:
    """Return the letters with their marks, joined emoji and flags of the text above."""
    out = [""]
    for character in text:
        flag = 0x1F1E6 <= ord(character) <= 0x1F1FF
        half_flag = flag and len(out[-1]) == 1 and 0x1F1E6 <= ord(out[-1]) <= 0x1F1FF
        joins = unicodedata.combining(character) or character in "\u200d\ufe0f"
        if joins or half_flag or out[-1].endswith("\u200d"):
            out[-1] += character
        else:
            out.append(character)
    return out[1:]


@pytest.fixture(scope="module")
def mixed_address():
    text = "".join(MIXED)
    values = []
    for i, cluster in enumerate(clusters(text)):
        values += [-1.0 if i % 2 else 1.0] * len(cluster)
    source = MemorySource(
        [("mixed.txt", text)], {"m/output": np.array(values, np.float16)[:, None]}, name="mixed"
    )
    with served(source) as url:
        yield url


@pytest.mark.parametrize("zoom", [1, 1.25, 2])
def test_colours_stand_under_their_characters(open_page, mixed_address, zoom):
    page = open_page(
        f"{mixed_address}/?theme=light",
        device_scale_factor=zoom,
        width=int(1440 / zoom),
        height=int(900 / zoom),
    )
    page.evaluate(TOOLS)
    found = page.evaluate("([a, b]) => tools.misaligned(a, b)", [list(ORANGE), list(BLUE)])
    assert found["n"] > 150
    assert found["nWrong"] == 0, found
