"""The page as a whole, in a browser."""

from __future__ import annotations


def test_text_is_coloured_by_a_unit(open_page, address):
    page = open_page(f"{address}/?site=lstm/l1/cell&unit=3")
    assert page.locator(".coloured-text").get_attribute("data-unit") == "3"
    assert page.locator(".coloured-text").get_attribute("data-site") == "lstm/l1/cell"
    assert '"""Text wrapping and filling.' in page.locator(".text-pre").first.inner_text()
    colours = page.evaluate(
        """() => {
            const canvas = document.querySelector('.text-canvas');
            const data = canvas.getContext('2d').getImageData(0, 0, 20, 1).data;
            return new Set(Array.from({length: 20}, (_, i) => data.slice(4 * i, 4 * i + 3).join())).size;
        }"""
    )
    assert colours > 5
