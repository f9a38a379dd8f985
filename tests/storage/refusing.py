"""What a refusal has to look like."""

from __future__ import annotations

import pytest

from interp.errors import InterpError


def message(error: type[InterpError], action) -> str:
    with pytest.raises(error) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text
