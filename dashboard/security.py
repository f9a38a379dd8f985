"""What keeps a page elsewhere from reading a recording through the user's browser."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, abort, request

LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")


def content_security_policy(script_hashes: Sequence[str]) -> str:
    """Return a policy under which only this server's files and the hashed scripts run."""
    return "; ".join(
        [
            "default-src 'self'",
            f"script-src 'self' {' '.join(script_hashes)}".rstrip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'none'",
            "base-uri 'none'",
            "object-src 'none'",
        ]
    )


def harden(server: Flask, policy: str, hosts: Sequence[str] = LOCAL_HOSTS) -> None:
    """Refuse foreign hosts (DNS rebinding) and foreign origins, and send protective headers."""
    server.config["TRUSTED_HOSTS"] = list(hosts)
    server.config["MAX_CONTENT_LENGTH"] = 4 * 2**20

    @server.before_request
    def refuse_strangers() -> None:
        _ = request.host  # Flask checks it against the trusted hosts when it is first asked for.
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            abort(403)
        # Following a link here is fine, reading from another page is not.
        if (
            request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
            and request.headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            abort(403)

    @server.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return response
