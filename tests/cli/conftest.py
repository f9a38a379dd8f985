"""A working directory, and a command line to run in it."""

from __future__ import annotations

import sys

import pytest
import torch

from interp.cli.main import main
from tests.cli.commands import FACTORY


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with model factories and a corpus; one torch thread."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.delitem(sys.modules, "factories", raising=False)
    (tmp_path / "factories.py").write_text(FACTORY)
    (tmp_path / "corpus.txt").write_text("def f(x):\n    return 'quoted' + x\n" * 8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    sys.modules.pop("factories", None)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line in this process; return status, standard output, standard error."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["interp", *map(str, words)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command
