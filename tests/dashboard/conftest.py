"""A served dashboard, and pages of it in the browser that the tests' root provides."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dashboard import create_app
from dashboard.sources.synthetic import synthetic_source


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


def until(page, expression: str, argument=None, seconds: float = 60) -> None:
    """Wait until an expression holds in a page.

    Playwright's own `wait_for_function` evaluates a string inside the page, which the page's
    content security policy rightly refuses.
    """
    stop = time.monotonic() + seconds
    while not page.evaluate(expression, argument):
        if time.monotonic() > stop:
            raise AssertionError(f"{expression} did not come true within {seconds} s")
        page.wait_for_timeout(30)


def state(page, key: str):
    """Return one key of the selection."""
    return page.evaluate("key => interp.selection.get()[key]", key)


def wait_state(page, key: str, value) -> None:
    """Wait until a key of the selection has a value."""
    asked = [key, json.dumps(value, separators=(",", ":"))]
    until(page, "([key, value]) => JSON.stringify(interp.selection.get()[key]) === value", asked)


def shown_unit(page, unit: int) -> None:
    """Wait until the text is coloured by a unit."""
    page.wait_for_selector(f".coloured-text[data-unit='{unit}']")


def painted(page, selector: str, part: str) -> None:
    """Wait until an element says that it has painted what is asked for."""
    asked = [selector, part]
    until(page, "([s, t]) => (document.querySelector(s)?.dataset.painted || '').includes(t)", asked)


@pytest.fixture(scope="session")
def source():
    """The made-up source, 24 units on two layers."""
    return synthetic_source(n_units=24)


@pytest.fixture(scope="session")
def address(source) -> Iterator[str]:
    with served(source) as url:
        yield url


@pytest.fixture
def open_page(new_context):
    """Open an address and wait until the text is coloured; errors in a page fail the test."""
    problems: list[str] = []

    def note(message) -> None:
        # A request that the server refuses is also logged here, and has tests of its own.
        if message.type == "error" and "Failed to load resource" not in message.text:
            problems.append(f"console: {message.text}")

    def open_(url: str, *, width: int = 1440, height: int = 900, wait: bool = True, **options):
        context = new_context(viewport={"width": width, "height": height}, **options)
        page = context.new_page()
        page.set_default_timeout(60_000)  # the machine may be busy
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("console", note)
        page.goto(url)
        if wait:
            page.wait_for_selector(".coloured-text[data-unit]", state="attached")
        return page

    yield open_
    assert not problems, problems
