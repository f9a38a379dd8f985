"""The two forms in which routes answer: JSON, and raw little-endian numbers."""

from __future__ import annotations

from typing import Any

from flask import Response

from dashboard.payloads import to_json


def json_answer(value: Any, status: int = 200) -> Response:
    """Return JSON; NaN and infinities become null."""
    return Response(to_json(value), status, mimetype="application/json")


def raw_answer(data: bytes) -> Response:
    """Return bytes, which the browser reads into typed arrays."""
    return Response(data, mimetype="application/octet-stream")
