"""The tree names no machine, and holds nothing that was not meant to be in it."""

import re
import subprocess

import pytest

from tests.project.source import ROOT

# Home folders and scratch folders of one machine, written so as not to name themselves.
MACHINE = re.compile("/" + r"(root|work|home/\w+|Users/\w+)/")
LARGEST_BYTES = 9_000_000


@pytest.fixture(scope="module")
def tracked():
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a clone of the repository")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


def test_no_path_of_one_machine(tracked):
    wrong = []
    for path in tracked:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found = [line for line in text.splitlines() if MACHINE.search(line)]
        wrong += [f"{path.relative_to(ROOT)}: {line.strip()[:120]}" for line in found]
    assert not wrong, "\n".join(wrong)


def test_no_file_is_large(tracked):
    large = {str(path.relative_to(ROOT)): path.stat().st_size for path in tracked}
    assert {name: size for name, size in large.items() if size > LARGEST_BYTES} == {}


def test_the_top_level_is_what_tools_need(tracked):
    top = {path.relative_to(ROOT).parts[0] for path in tracked}
    assert top <= {
        *("interp", "dashboard", "probes", "benchmarks", "tests", "docs", ".ci"),
        *("setup.py", "pyproject.toml", "constraints.txt", "Makefile", ".gitignore"),
        *("README.md", "CHANGELOG.md", "LICENSE"),
    }
