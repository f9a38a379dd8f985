"""`interp sample`, `sites`, `train`: what cannot be is one clear message with status 2."""

from __future__ import annotations

import pytest

from tests.cli.commands import refused

TINY = "py:factories:tiny"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prompt", ""], "at least one character"),
        (["--seed", "-1"], "seed must be"),
        (["--seed", str(2**64)], "seed must be"),
        (["--weights", "nope.pt"], "no weights file"),
    ],
)
def test_samples_that_cannot_be_drawn(folder, run, words, said):
    assert said in refused(run("sample", TINY, *words))


def test_the_smallest_temperature_takes_the_most_likely_character(folder, run):
    words = ("sample", "zoo:code-rnn", "--characters", "8", "--temperature")
    status, greedy, _ = run(*words, "0")
    assert status == 0
    assert run(*words, "1e-300") == (0, greedy, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([TINY, "--text", ""], "at least one character"),
        (
            ["py:factories:strict", "--text", "?"],
            "encode '?': ValueError: '?' is not in list. Give",
        ),
        (["py:factories:mute"], "IndexError: list index out of range. Give a short text"),
        (["py:factories:bare", "--input-shape", "5"], "does not take an input of shape 5"),
        (["py:factories:bare", "--input-shape", "9" * 30], "cannot be read"),
        (["py:factories:bare", "--input-shape", "0x3"], "cannot be read"),
    ],
)
def test_sites_of_an_input_that_cannot_be(folder, run, words, said):
    message = refused(run("sites", *words))
    assert said in message


def test_sites_of_a_model_that_reads_its_own_tokens_alone(folder, run):
    status, text, _ = run("sites", "py:factories:strict")
    assert status == 0 and "embedding/output" in text


def test_sites_of_attention_say_what_a_recording_will_hold(folder, run):
    status, text, _ = run("sites", "py:factories:attentive", "--sites", "blocks.0.attention/*")
    rows = {line.split()[1].partition("/")[2]: line.split()[3:] for line in text.splitlines()[4:-1]}
    assert status == 0
    assert rows["attention"][:6] == ["2", "heads", "│", "query", "and", "key"]
    assert rows["query"][:3] == ["8", "│", "position"]  # two heads of four numbers


def test_a_folder_to_train_into_that_is_a_file(folder, run):
    assert "is no folder" in refused(run("train", "lstm", "-o", "corpus.txt"))
