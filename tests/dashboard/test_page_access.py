"""The page for everybody: no serious violation, all by keyboard, nothing cut off."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "search", ["?marks=1&track=loss&pos=30&find=self", "?panel=heat&units=1-3", "?view=overview"]
)
def test_axe_finds_nothing_serious(open_page, address, theme, search):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(f"{address}/{search}&theme={theme}")
    if "overview" not in search:
        page.wait_for_selector(".ag-row")  # before its rows come, a table has no cells to name
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
