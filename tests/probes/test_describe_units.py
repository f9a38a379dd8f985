"""What a model card says of units: both readings of a quoted string, told apart in words."""

import json
import shutil
import sys

import numpy as np
import pytest

import interp
from interp.annotations.python_source import annotate_python
from interp.models import zoo
from interp.training.card import render
from probes.scripts import describe_units as script
from tests.probes.planted import write_recording

FILES = [
    f'"""About {"x" * (i % 7)}."""\nif name{i} == "{"y" * (3 + i % 4)}":\n    f("b{i}")  # no\n'
    for i in range(24)
]


def test_the_content_of_quoted_strings_is_a_reading_of_its_own(tmp_path):
    state = np.concatenate([annotate_python(t)["quoted_string"] for t in FILES])
    docstring = np.concatenate([annotate_python(t)["triple_quoted_string"] for t in FILES])
    content = np.concatenate(
        [annotate_python(t, delimiters="apart")["quoted_string"] for t in FILES]
    )
    values = np.random.default_rng(0).normal(size=(len(state), 3)) * 0.01
    values[:, 0] += state & (np.arange(len(state)) % 9 > 0)  # nearly the state
    values[:, 1] += (content == 1) | docstring  # the content, and docstrings
    starts = np.cumsum([0, *map(len, FILES)])
    path = write_recording(tmp_path / "run.h5", values.astype("f4"), starts, FILES)
    with interp.open(path) as recording:
        rows = script.describe_units(recording, ["comment", "quoted_string"])
    assert [row["concept"] for row in rows] == ["comment", "quoted_string", "quoted_string"]
    _, first, second = rows
    assert first["unit"].endswith(":0") and first["auroc"] < 1 and first["left_out"] == {}
    assert second["unit"].endswith(":1") and second["auroc"] == 1
    # Two strings a file, and a docstring with three marks on either side.
    n_docstring = sum(text.index('"""', 3) + 3 for text in FILES)
    assert second["left_out"] == {"marks": 4 * 24, "triple_quoted_string": n_docstring}
    card = zoo.card("code-lstm") | {"units": rows, "causes": []}
    readable = render(card)
    assert "| quoted_string | `lstm/l0/cell:0` | on |" in readable
    assert "| quoted_string, content only | `lstm/l0/cell:1` | on | 1.000 |" in readable
    assert f"leaves out 96 that are marks and {n_docstring:,} in a triple_quoted_" in readable
    assert "readings" not in render(card | {"units": rows[:2]})


def test_the_script_writes_the_card(tmp_path, monkeypatch, capsys):
    folder, corpus = tmp_path / "small-lstm", tmp_path / "corpus"
    shutil.copytree(zoo.FOLDER / "code-lstm-small", folder)
    corpus.mkdir()
    for i, text in enumerate(FILES[:8]):
        (corpus / f"file{i}.py").write_text(text)
    arguments = [str(folder), "--corpus", str(corpus), "--concept", "quoted_string"]
    monkeypatch.setattr(sys, "argv", ["describe_units", *arguments])
    script.main()
    card = json.loads((folder / "card.json").read_text())
    assert [bool(row["left_out"]) for row in card["units"]] == [False, True]
    assert "quoted_string, content only" in (folder / "MODEL_CARD.md").read_text()
    printed = capsys.readouterr().out
    assert "quoted_string*" in printed and "* its marks and docstrings are not scored" in printed


@pytest.mark.parametrize("name", ["code-lstm", "code-gru", "code-rnn"])
def test_cards_that_were_written_before_still_render(name):
    assert "## What is known about its units" in render(zoo.card(name))
