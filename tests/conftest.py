"""What all tests share: one thread per worker, a derandomized hypothesis, a browser, no network.

Fixtures for tests to use: `page` (pytest-playwright's, in the browser that `make test` found, with
every request off this machine refused and counted as a failure) and `node` (path of Node.js).
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Before torch, NumPy or numba are imported, here and in every process that a test starts.
for _variable in (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
):
    os.environ[_variable] = "1"
# A terminal's width and colours must not decide what a command prints.
os.environ.update(COLUMNS="100", NO_COLOR="1", TERM="dumb", HF_HUB_OFFLINE="1")

# A run that a shell started in the background ignores Ctrl-C, and so would every process that a
# test starts and then interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# The machine is shared and may be slow: no example is judged by the clock.
_calm = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", derandomize=True, **_calm)
settings.register_profile("developer", **_calm)
settings.load_profile("ci" if IN_CI else "developer")


def missing_tool(message: str) -> None:
    """Fail in continuous integration, skip on a developer's machine."""
    if IN_CI:
        pytest.fail(message)
    pytest.skip(message)


# --- no network ---------------------------------------------------------------------------------


def _is_local(host: str) -> bool:
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").split("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuse every connection of this process that would leave the machine."""
    real_connect = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and not _is_local(str(address[0])):
            raise AssertionError(f"a test tried to connect to {address[0]}:{address[1]}")
        return real_connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        yield


# --- the browser --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Return the browser that `.ci/browser.py` found; without one, browser tests fail."""
    note = Path(sys.prefix) / "browser"
    named = os.environ.get("BROWSER_PATH") or (note.read_text().strip() if note.exists() else "")
    if not named:
        named = shutil.which("chromium") or shutil.which("google-chrome") or ""
    if not Path(named).is_file():
        pytest.fail("there is no browser for the tests: run `make test`, or set BROWSER_PATH")
    return named


@pytest.fixture(scope="session")
def browser_type_launch_args(
    browser_type_launch_args: dict[str, Any], browser_path: str
) -> dict[str, Any]:
    """Launch that browser, quiet towards the network."""
    return {
        **browser_type_launch_args,
        "executable_path": browser_path,
        "args": [*browser_type_launch_args.get("args", []), *BROWSER_ARGUMENTS],
        "timeout": 60_000,
    }


@pytest.fixture
def foreign_requests() -> list[str]:
    """Return the addresses off this machine that pages of this test asked for (all refused)."""
    return []


@pytest.fixture
def new_context(new_context: Any, foreign_requests: list[str]) -> Iterator[Any]:
    """Refuse requests off this machine; a test in which a page makes one fails at its end."""

    def is_foreign(url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and not _is_local(parts.hostname or "")

    def refuse(route: Any) -> None:
        foreign_requests.append(route.request.url)
        route.abort()

    def guarded(**options: Any) -> Any:
        context = new_context(**options)
        context.route(is_foreign, refuse)
        return context

    yield guarded
    assert not foreign_requests, f"asked off this machine: {foreign_requests}"


@pytest.fixture(scope="session")
def node() -> str:
    """Return the path of Node.js, which the JavaScript unit tests run in."""
    # Set-up puts one into the environment where the machine has none.
    own = str(Path(sys.prefix) / "bin")
    path = shutil.which("node", path=os.pathsep.join([own, os.environ.get("PATH", "")]))
    if path is None:
        missing_tool("Node.js is not installed; it runs the JavaScript unit tests")
    return str(path)
