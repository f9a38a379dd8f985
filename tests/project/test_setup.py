"""The set-up script says in one message what a machine lacks, and does nothing twice."""

import os
import shutil
import stat
import subprocess
import sys

import pytest

from tests.project.source import ROOT

TOOLS = "sh cat cksum sed awk df uname head rm dirname env make".split()


@pytest.fixture
def machine(tmp_path):
    """A copy of the project's set-up on a machine that has only what a test puts there."""
    project, tools = tmp_path / "project", tmp_path / "bin"
    for folder in (project, tools):
        folder.mkdir()
    shutil.copytree(ROOT / ".ci", project / ".ci")
    for name in ("Makefile", "setup.py", "constraints.txt"):
        shutil.copy(ROOT / name, project)
    for tool in TOOLS:
        (tools / tool).symlink_to(shutil.which(tool))
    return Machine(project, tools)


class Machine:
    def __init__(self, project, tools):
        self.project, self.tools = project, tools

    def add_tool(self, name, script):
        path = self.tools / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)

    def set_up(self, mode="runtime", **environment):
        done = subprocess.run(
            [str(self.project / ".ci" / "setup.sh"), mode],
            env={"PATH": str(self.tools), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def logs(self, name):
        path = self.project / name
        return path.read_text() if path.exists() else ""


def _python(version, script="exit 0"):
    """A stand-in for Python: answers what set-up asks about the version, else runs script."""
    suitable = 0 if version in ("3.11", "3.12", "3.13") else 1
    return (
        f'case "$*" in *version_info*) exit {suitable};; --version) echo Python {version}.1; exit;;'
        f" esac\n{script}"
    )


def test_no_python_at_all(machine):
    status, _, message = machine.set_up()
    assert status == 1
    assert "Python 3.11, 3.12 or 3.13 is needed; found no python3" in message
    assert "python3-venv" in message and "make PYTHON=" in message


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.14"])
def test_a_python_that_is_too_old_or_too_new(machine, version):
    machine.add_tool("python3", _python(version))
    status, _, message = machine.set_up()
    assert status == 1
    assert f"is needed; found Python {version}.1" in message


def test_the_named_python_is_not_suitable(machine):
    machine.add_tool("python3.10", _python("3.10"))
    status, _, message = machine.set_up(PYTHON="python3.10")
    assert status == 1
    assert "PYTHON=python3.10 is not a working Python" in message and "3.10.1" in message
    assert machine.set_up(PYTHON="/no/such/python")[0] == 1


def test_python_without_venv(machine):
    machine.add_tool("python3", _python("3.12", "exit 1"))
    status, _, message = machine.set_up()
    assert status == 1
    assert "Python 3.12.1 has no venv module" in message and "python3-venv" in message


def test_too_little_disk_space(machine):
    machine.add_tool("python3", _python("3.12"))
    machine.add_tool("df", "echo header; echo disk 9999999 9999999 300000 97% /")
    status, _, message = machine.set_up()
    assert status == 1
    assert "need about 3000 MB" in message and "292 MB are free" in message
    assert not (machine.project / ".venv").exists()


FAKE_VENV = """
case "$*" in
  '-m venv .venv')
     mkdir -p .venv/bin; cp "$0" .venv/bin/python;;
  *'-m pip install'*)
     echo "$*" >> pip.log; [ -z "$PIP_FAILS" ];;
esac
"""


@pytest.fixture
def machine_with_python(machine):
    for tool in ("mkdir", "cp", "grep"):
        (machine.tools / tool).symlink_to(shutil.which(tool))
    machine.add_tool("python3", _python("3.12", FAKE_VENV))
    return machine


def test_set_up_runs_once_and_again_when_a_pin_changes(machine_with_python):
    machine = machine_with_python
    assert machine.set_up(MIN_DISK_MB="0")[0] == 0
    assert "--no-build-isolation -e ." in machine.logs("pip.log")
    first = machine.logs("pip.log")

    status, output, _ = machine.set_up(MIN_DISK_MB="0")
    assert (status, output, machine.logs("pip.log")) == (0, "", first)

    with (machine.project / "constraints.txt").open("a") as pins:
        pins.write("six==1.16.0\n")
    assert machine.set_up(MIN_DISK_MB="0")[0] == 0
    assert len(machine.logs("pip.log")) == 2 * len(first)


def test_the_demo_uses_what_the_tests_have_set_up(machine_with_python):
    machine = machine_with_python
    assert machine.set_up("dev", MIN_DISK_MB="0")[0] == 0
    log = machine.logs("pip.log")
    assert "-e .[dev,hf,concepts,images]" in log
    assert machine.set_up("runtime", MIN_DISK_MB="0")[0] == 0
    assert machine.logs("pip.log") == log


def test_the_torch_build_can_be_chosen(machine_with_python):
    machine = machine_with_python
    chosen = {"TORCH_SPEC": "torch==2.12.0+cpu", "TORCH_INDEX_URL": "https://example.org/cpu"}
    assert machine.set_up(MIN_DISK_MB="0", **chosen)[0] == 0
    assert "--extra-index-url https://example.org/cpu" in machine.logs("pip.log")
    pins = (machine.project / ".venv" / "constraints.txt").read_text()
    assert "\ntorch==2.12.0+cpu\n" in pins and "torch==2.13" not in pins


def test_a_failing_installation_is_said_and_tried_again(machine_with_python):
    machine = machine_with_python
    status, _, message = machine.set_up(MIN_DISK_MB="0", PIP_FAILS="yes")
    assert status == 1
    assert "pip could not install the packages" in message and "MB are free" in message
    assert machine.set_up(MIN_DISK_MB="0")[0] == 0


@pytest.mark.parametrize("name", ["run", "setup.sh"])
def test_scripts_are_executable_and_plain_sh(name):
    path = ROOT / ".ci" / name
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", str(path)], check=True)


def test_make_lists_its_targets():
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True)
    for target in ("demo", "test", "lint", "types", "bench", "clean"):
        assert f"make {target}" in done.stdout


def test_no_browser_is_a_failure_with_all_reasons(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "browser.py")],
        env={**os.environ, "BROWSER_PATH": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert str(tmp_path / "none") in done.stderr and "Install Chromium" in done.stderr
