"""Tasks: what they draw is what they say, and each command trains and leaves a model."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from interp.cli.main import app
from interp.errors import CorpusError, ModelError
from interp.models import zoo
from interp.models.families import build
from interp.training.dictionary import Entry, find_dictionary, read_dictionary
from interp.training.dyck import DEEPEST, depths, nested
from interp.training.fitting import FitConfig, cosine_rate, fit
from interp.training.flip_flop import pulses_and_bits
from interp.training.induction import PERIOD, repeated_blocks, tiled_blocks
from interp.training.pronunciation import edits
from interp.training.tasks import TASKS, task, train_task

WORDS = ["knight N AY1 T", "knights N AY1 T S # plural", "tomato T AH0 M EY1 T OW2",
         "tomato(2) T AH0 M AA1 T OW2", "a AH0", "don't D OW1 N T"]  # fmt: skip


@pytest.fixture
def dictionary(tmp_path):
    made = [f"w{a}{b}{c} W {a.upper()}H T" for a in "ai" for b in "bdkmt" for c in "aeioukmn"]
    path = tmp_path / "cmudict.dict"
    path.write_text("\n".join([*WORDS, *made]) + "\n")
    return path


@pytest.mark.parametrize("name", TASKS)
def test_every_command_trains_and_leaves_a_model(name, tmp_path, dictionary):
    folder = tmp_path / "made"
    words = ["train", name, "-o", str(folder), "--steps", "3", "--report-every", "2"]
    words += ["--dictionary", str(dictionary)] if name.startswith("g2p") else []
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    card = json.loads((folder / "card.json").read_text())
    assert card["training"]["n_steps"] == 3 and card["name"] == "made"
    assert set(card["measures"]) == set(zoo.card(name)["measures"])
    zoo.load_folder(folder)
    log = [json.loads(line) for line in (folder / "log.jsonl").open()]
    assert [row["step"] for row in log] == [2, 3]
    with pytest.raises(ModelError, match="--overwrite"):
        train_task(folder, task(name), "", n_steps=1)


def test_training_twice_gives_the_same_weights(tmp_path):
    cards = [
        train_task(tmp_path / str(i), task("dyck"), "", n_steps=4, seed=seed)
        for i, seed in enumerate((1, 1, 2))
    ]
    hashes = [card["weights_hash"] for card in cards]
    assert hashes[0] == hashes[1] != hashes[2]


def test_an_unknown_kind_is_answered_with_the_nearest():
    with pytest.raises(ModelError, match="nearest: g2p-gru"):
        build({"kind": "g2p-grus"})


def test_the_rate_warms_up_and_falls_to_zero(tmp_path):
    assert cosine_rate(1.0, 10, 4, 110) == 0.5 and cosine_rate(1.0, 10, 60, 110) == 0.5
    assert cosine_rate(1.0, 10, 109, 110) < 1e-3
    line = torch.nn.Linear(1, 1)
    config = FitConfig(200, learning_rate=0.1, n_warm_up=10)
    log = fit(line, lambda rng, n: (line(torch.ones(n, 1)) - 3).square().mean(), config, tmp_path,
              report_every=20)  # fmt: skip
    assert log[-1]["loss"] < 1e-2 and not line.training


@given(st.integers(0, 10_000))
def test_words_of_brackets_are_balanced(seed):
    word = nested(np.random.default_rng(seed))
    assert depths(word).max() <= DEEPEST and depths(word)[-1] == 0
    while (shorter := word.replace("()", "").replace("[]", "")) != word:
        word = shorter
    assert word == ""


def test_bits_are_the_last_pulses():
    pulses, bits = pulses_and_bits(np.random.default_rng(0), 4, 50)
    held = torch.zeros(4, 3)
    for step in range(50):
        held = torch.where(pulses[:, step] != 0, pulses[:, step], held)
        assert torch.equal(bits[:, step], held)


def test_what_can_be_foreseen_is_a_repetition():
    ids, foreseen = repeated_blocks(np.random.default_rng(0), 20)
    for row, where in zip(ids, foreseen, strict=True):
        (steps,) = np.nonzero(where)
        block = row[steps[0] - 1 : steps[-1] + 1]
        windows = np.lib.stride_tricks.sliding_window_view(row, len(block))
        assert (windows == block).all(1).sum() >= 2
    ids, foreseen = tiled_blocks(np.random.default_rng(0), 20)
    for row, where in zip(ids, foreseen, strict=True):
        period = int(where.argmax())
        assert period == PERIOD and len(set(row[:period])) == period
        assert (row[period:] == row[:-period]).all()


@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_edits_against_a_table(one, other):
    table = np.zeros((len(one) + 1, len(other) + 1), int)
    table[:, 0], table[0] = np.arange(len(one) + 1), np.arange(len(other) + 1)
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            table[i, j] = min(
                table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b)
            )
    assert edits(list(one), list(other)) == table[-1, -1]


def test_the_dictionary_is_read_as_it_is_written(dictionary, tmp_path):
    entries = read_dictionary(dictionary)
    assert entries[:3] == [
        Entry("knight", "N AY T"), Entry("knights", "N AY T S"), Entry("tomato", "T AH M EY T OW")
    ]  # fmt: skip
    assert not {"a", "don't", "tomato(2)"} & {entry.word for entry in entries}
    assert find_dictionary(dictionary) == dictionary
    with pytest.raises(CorpusError, match="--dictionary"):
        find_dictionary(tmp_path / "none.dict")
    (tmp_path / "other.txt").write_text("some prose\n")
    with pytest.raises(CorpusError, match="not the CMU"):
        read_dictionary(tmp_path / "other.txt")
