"""Find or install the browser that the tests drive, and note its path in .venv/browser.

In this order, each with a time limit: an installed Chromium or Chrome that starts, the one that
Playwright has downloaded or can download, the system's package (apt-get as root, brew). Set
BROWSER_PATH to name one. Exit status 1 with all reasons when there is none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NOTE = Path(sys.prefix) / "browser"
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
).split()
NAMES = "chromium chromium-browser google-chrome google-chrome-stable chrome".split()
MAC_APPLICATIONS = [
    f"{folder}/{name}.app/Contents/MacOS/{name}"
    for folder in ("/Applications", str(Path.home() / "Applications"))
    for name in ("Chromium", "Google Chrome")
]
DOWNLOAD_S = 600  # 170 MB; a refused connection fails within seconds


def run(command: list[str], limit_s: float, **environment: str) -> str | None:
    """Run a command; return None when it went well, else the last line that says why."""
    try:
        done = subprocess.run(
            command,
            timeout=limit_s,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | environment,
        )
    except FileNotFoundError:
        return "not found"
    except subprocess.TimeoutExpired:
        return f"no answer within {limit_s:.0f} s"
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()] or lines
    return errors[0][:200] if errors else f"exit status {done.returncode}"


def starts(path: str) -> str | None:
    """Start the browser on a page of its own; a packaged stub fails here."""
    profile = Path(sys.prefix) / "browser-profile"
    try:
        page = ["--dump-dom", "data:text/html,<p>ready</p>"]
        return run([path, *ARGUMENTS, f"--user-data-dir={profile}", *page], 60)
    finally:
        shutil.rmtree(profile, ignore_errors=True)


def installed() -> Iterator[str]:
    """Yield paths of browsers that lie on this machine."""
    if named := os.environ.get("BROWSER_PATH"):
        yield named
        return
    yield from filter(None, map(shutil.which, NAMES))
    yield from (path for path in MAC_APPLICATIONS if Path(path).is_file())
    yield from playwrights_own()


def playwrights_own() -> Iterator[str]:
    """Yield the path of the browser that Playwright downloaded, if it did."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if Path(path).is_file():
        yield path


def attempts() -> Iterator[tuple[str, list[list[str]], float]]:
    """Yield ways to get a browser: name, commands, time limit of each command."""
    yield "playwright", [[sys.executable, "-m", "playwright", "install", "chromium"]], DOWNLOAD_S
    if shutil.which("apt-get"):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        yield (
            "apt-get",
            [
                [*sudo, "apt-get", "update"],
                [*sudo, "apt-get", "install", "-y", "--no-install-recommends", "chromium"],
            ],
            DOWNLOAD_S,
        )
    if shutil.which("brew"):
        yield "brew", [["brew", "install", "--cask", "chromium"]], DOWNLOAD_S


def choose() -> tuple[str | None, list[str]]:
    """Return the path of a browser that starts, and what went wrong on the way."""
    reasons: list[str] = []

    def first_that_starts() -> str | None:
        for path in dict.fromkeys(installed()):
            if (problem := starts(path)) is None:
                return path
            reasons.append(f"{path}: {problem}")
        return None

    if (path := first_that_starts()) or os.environ.get("BROWSER_PATH"):
        return path, reasons
    for name, commands, limit_s in attempts():
        print(f"set-up: no browser for the tests yet, trying {name}", flush=True)
        for command in commands:
            problem = run(
                command,
                limit_s,
                DEBIAN_FRONTEND="noninteractive",
                PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT="10000",
            )
            if problem:
                reasons.append(f"{name}: {problem}")
                break
        else:
            if path := first_that_starts():
                return path, reasons
    return None, reasons


def main() -> int:
    """Note the browser's path; say why not when there is none."""
    named = os.environ.get("BROWSER_PATH")
    if NOTE.exists():
        noted = NOTE.read_text().strip()
        if Path(noted).is_file() and named in (None, "", noted):
            return 0
    path, reasons = choose()
    if path is None:
        print("set-up: no browser for the tests could be found or installed:", file=sys.stderr)
        print(*(f"  {reason}" for reason in reasons), sep="\n", file=sys.stderr)
        print("Install Chromium or Chrome, or set BROWSER_PATH to one.", file=sys.stderr)
        return 1
    NOTE.write_text(path + "\n")
    print(f"set-up: the tests' browser is {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
