"""The views of the page, in the order in which they stand."""

from __future__ import annotations

from types import ModuleType

from dashboard.views import text

VIEWS: list[ModuleType] = [text]
