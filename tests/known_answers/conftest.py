"""One recording of the small code LSTM for the tests that ask it."""

import re

import pytest

import interp
from interp.corpora.standard_library import read_part

N_CHARACTERS = 3_000
CELL = "lstm/l0/cell"


def code_pieces():
    """Return a piece of each held-out file, from its first function or class on."""
    pieces = {}
    for file in read_part("stdlib:test"):
        found = re.search(r"^(?:def|class|async def) ", file.text, re.MULTILINE)
        piece = file.text[found.start() :][:N_CHARACTERS] if found else ""
        if len(piece) == N_CHARACTERS:
            pieces[file.name] = piece[: piece.rindex("\n") + 1]
    return pieces


@pytest.fixture(scope="session")
def code_recording(tmp_path_factory):
    """Return an open recording of the cells, with two concepts as annotations."""
    from interp.annotations.recordings import annotate_recording

    path = tmp_path_factory.mktemp("code") / "run.h5"
    interp.record("zoo:code-lstm-small", code_pieces(), path, sites=[CELL], top_k=0)
    annotate_recording(path, ["quoted_string", "if_condition"])
    with interp.open(path) as recording:
        yield recording
