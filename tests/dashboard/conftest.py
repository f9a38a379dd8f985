"""A served dashboard and a headless browser for the tests of this folder."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("dash")

from dashboard import create_app
from dashboard.sources.synthetic import synthetic_source

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM = os.environ.get("INTERP_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@contextmanager
def served(source) -> Iterator[str]:
    """Serve sources on a free port; yields the address."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, create_app(source).server, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def source():
    """The made-up source, 24 units on two layers."""
    return synthetic_source(n_units=24)


@pytest.fixture(scope="session")
def address(source) -> Iterator[str]:
    with served(source) as url:
        yield url


@pytest.fixture(scope="session")
def browser():
    """One Chromium for the whole session."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Page:
    """A browser page that remembers what must not happen: errors and foreign requests."""

    def __init__(self, page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("console", self._console)
        page.on("request", self._request)

    def _console(self, message) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text}")

    def _request(self, request) -> None:
        if not request.url.startswith(("http://127.0.0.1", "blob:", "data:")):
            self.problems.append(f"request: {request.url}")


@pytest.fixture
def open_page(browser):
    """Open an address and wait until the text is coloured; problems fail the test at its end."""
    opened: list[tuple[Page, object]] = []

    def open_(url: str, *, width: int = 1440, height: int = 900, wait: bool = True, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        page = context.new_page()
        page.set_default_timeout(15_000)
        opened.append((Page(page), context))
        page.goto(url)
        if wait:
            page.wait_for_selector(".coloured-text[data-unit]", state="attached")
        return page

    yield open_
    for watched, context in opened:
        context.close()
        assert not watched.problems, watched.problems
