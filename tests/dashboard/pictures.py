"""Pictures of every view, light and dark, wide and narrow, for looking at and for the README.

python -m tests.dashboard.pictures run.h5 FOLDER [--unit lstm/l0/cell:155] [--track string]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.browser import LAUNCH
from dashboard.serving import opening
from dashboard.sources import open_sources
from tests.dashboard.conftest import served

VIEWS = {"states": "zoom=160", "heat": "panel=heat&sort=correlation", "overview": "view=overview"}
SIZES = {"wide": (1440, 900), "narrow": (800, 1500)}


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--unit")
    parser.add_argument("--track")
    parser.add_argument("--more", default="", help="more of the address, such as pos=600")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    options.folder.mkdir(parents=True, exist_ok=True)
    query = opening(options.unit, options.track).removeprefix("?")
    source = open_sources([options.recording])[0]
    with served(source) as address, sync_playwright() as engine:
        browser = engine.chromium.launch(**LAUNCH)
        for view, own in VIEWS.items():
            for size, (width, height) in SIZES.items():
                for theme in ("light", "dark"):
                    page = browser.new_page(viewport={"width": width, "height": height})
                    asked = "&".join(filter(None, [query, own, options.more, f"theme={theme}"]))
                    page.goto(f"{address}/?{asked}")
                    page.wait_for_selector(".coloured-text[data-unit]", state="attached")
                    if view != "overview":
                        page.wait_for_selector(".ag-row", timeout=120_000)
                    page.wait_for_timeout(1500)
                    page.screenshot(path=options.folder / f"{view}_{theme}_{size}.png")
                    page.close()
        browser.close()


if __name__ == "__main__":
    main()
