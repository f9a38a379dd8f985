"""The page's scripts: unit tests in Node, and that all of them are shipped and listed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import dashboard
from dashboard.scripts import SCRIPTS, STYLES

COMPONENTS = Path(dashboard.__file__).parent / "components"


def test_scripts_pass_their_unit_tests(node):
    tests = sorted(str(path) for path in Path(__file__).parent.glob("js/*.test.js"))
    done = subprocess.run([node, "--test", *tests], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_every_script_and_style_is_listed():
    assert sorted(SCRIPTS) == sorted(path.name for path in COMPONENTS.glob("*.js"))
    assert sorted(STYLES) == sorted(path.name for path in COMPONENTS.glob("*.css"))


def test_scripts_are_plain_and_small():
    for name in SCRIPTS:
        source = (COMPONENTS / name).read_text()
        assert source.startswith("// @ts-check"), name
        assert "'use strict'" in source, name
        assert len(source.splitlines()) <= 460, name
        for word in ("innerHTML", "eval(", "document.write", "insertAdjacentHTML"):
            assert word not in source, f"{name} uses {word}"


def test_importing_the_package_imports_nothing_heavy():
    import sys

    program = (
        "import sys, dashboard; "
        "print([m for m in ('dash', 'h5py', 'torch', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
