"""A recording that was stopped: every page says so, and what is missing is no number."""

from __future__ import annotations

import pytest

from dashboard.sources import open_sources
from interp.storage import RecordingWriter
from tests.dashboard.conftest import served
from tests.storage.example import by_document, small
from tests.storage.maps import Maps, map_site


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The first of two documents is there."""
    path = tmp_path_factory.mktemp("stopped") / "stopped.h5"
    lengths = [9, 4]
    maps = Maps.random(map_site(n_heads=2), lengths, lengths)
    example = small((9, 4), segments={"text": by_document(lengths, 100)}, maps=(maps,))
    with RecordingWriter.create(path, example.plan()) as writer:
        example.write_segment(writer, 0)
        writer.commit(1)
    [found] = path.parent.glob("stopped.h5*")
    with served(open_sources([found])) as url:
        yield url


def test_it_is_said_beside_the_name(open_page, address):
    page = open_page(f"{address}/?site=lstm/l0/cell", wait=False)
    badge = page.get_by_text("incomplete", exact=True)
    badge.wait_for()
    assert "1 of 2 segments" in badge.get_attribute("title")
    assert "interp record --resume" in badge.get_attribute("title")


def test_heads_of_a_document_that_is_missing_have_no_numbers(open_page, address):
    page = open_page(f"{address}/?view=attention&doc=1", wait=False)
    page.wait_for_selector(".head-grid[data-painted*='numbers']")
    page.get_by_text("No row in sight has any weight.").wait_for()
    page.get_by_text("the recording was stopped before it came to this document").wait_for()
    assert page.locator(".error").count() == 0
