"""Texts that are hard to show: hostile ones, wide letters, tokens that share a character, none."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from dashboard.sources import MemorySource
from tests.dashboard.conftest import served, until, wait_state

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
    values = np.random.default_rng(0).standard_normal((900, 6)).astype(np.float32)
    source = MemorySource(
        [(f"series {i}", "") for i in range(3)],
        {"rnn/l0/hidden": values},
        has_text=False,
        n_positions=[20, 580, 300],
        name="series",
    )
    with served(source) as url:
        page = open_page(f"{url}/", wait=False)
        page.get_by_text("positions without text", exact=False).wait_for()
        page.wait_for_selector("#states[data-steps]")
        # There is nothing to read: no headings over one another, and room for what there is.
        expect(page.locator(".text-heading").first).to_be_hidden()
        panes = [page.locator(name).bounding_box() for name in (".pane-text", ".pane-panel")]
        assert panes[0]["height"] < 200 < 500 < panes[1]["height"]
        # Another document is another run of steps, counted along the axis.
        page.get_by_role("button", name="Next document").click()
        wait_state(page, "inSight", [20, 520])
        expect(page.get_by_role("combobox", name="Document")).to_have_value("1")
        expect(page.locator(".text-note")).to_be_in_viewport(ratio=1)
        page.evaluate("interp.selection.set({zoom: 50})")
        expect(page.locator(".strip-axis .tick").first).to_be_visible()
        page.evaluate("interp.selection.set({pos: 25})")
        expect(page.locator(".pane-text [data-value]")).to_have_attribute(
            "data-value", str(float(values[25, 0]))
        )
