"""What is shipped is what its card says."""

import json
import platform

import pytest

from interp.corpora.standard_library import read_part
from interp.models import load, zoo
from interp.models.weights import weights_hash
from interp.training.card import held_out_by_package
from interp.training.sampling import sample
from interp.training.tasks import TASKS

#: Bits per character on held-out files.
BARS = {"code-lstm": 1.5, "code-gru": 1.6, "code-rnn": 1.9, "code-lstm-small": 2.0}
TRANSFORMER = "code-transformer"
LOSSES = BARS | {TRANSFORMER: 1.5}


def test_all_models_are_shipped():
    assert zoo.names() == sorted({*LOSSES, *TASKS})


@pytest.mark.parametrize("name", BARS)
def test_card_and_weights_belong_together(name):
    card = zoo.card(name)
    weights = zoo.folder(name) / "model.safetensors"
    assert weights.stat().st_size == card["size_bytes"] <= 8e6
    loaded = load(f"zoo:{name}")
    assert weights_hash(loaded.module) == card["weights_hash"] == loaded.weights_hash
    assert card["held_out"]["all"]["bits_per_character"] <= BARS[name]
    assert {row["concept"] for row in card["units"]} >= {"string", "if_condition"}
    readable = (zoo.folder(name) / "MODEL_CARD.md").read_text()
    assert card["units"][0]["unit"] in readable and card["command"] in readable


@pytest.mark.parametrize("name", LOSSES)
def test_the_card_states_the_loss_that_the_weights_have(name):
    card = zoo.card(name)
    package = "unittest" if card["data"]["python"] == platform.python_version() else None
    files = [f for f in read_part("stdlib:test") if f.package == (package or "wsgiref")]
    measured = held_out_by_package(load(f"zoo:{name}").adapter, files)["all"]
    if package:
        stated = card["held_out"][package]["bits_per_character"]
        assert measured["bits_per_character"] == pytest.approx(stated, abs=2e-3)
    else:
        # Another Python has other text in the same files.
        assert measured["bits_per_character"] < LOSSES[name] + 0.6


def test_the_transformer_has_an_induction_head_and_says_which():
    from probes.heads.induction import detect_induction

    card = zoo.card(TRANSFORMER)
    weights = zoo.folder(TRANSFORMER) / "model.safetensors"
    loaded = load(f"zoo:{TRANSFORMER}")
    assert weights.stat().st_size == card["size_bytes"] <= 8e6
    assert weights_hash(loaded.module) == card["weights_hash"]
    stated = card["heads"]["heads"][0]
    assert stated["is_induction"] and stated["prefix_matching"]["value"] >= 0.5
    report = detect_induction(loaded.adapter, n_documents=12, n_resamples=50, seed=7)
    assert report.heads[0].head == stated["head"]
    assert report.heads[0].prefix_matching.value == pytest.approx(
        stated["prefix_matching"]["value"], abs=0.08
    )
    readable = (zoo.folder(TRANSFORMER) / "MODEL_CARD.md").read_text()
    assert stated["head"] in readable and card["started_from"]["command"] in readable


def test_what_the_lstm_writes_looks_like_python():
    text = sample(load("zoo:code-lstm").adapter, "import os\n\nclass ", 300, temperature=0.6)
    assert "def " in text and "self" in text


def test_cards_hold_no_path_of_a_machine():
    for name in zoo.names():
        text = json.dumps(zoo.card(name))
        assert "/root" not in text and "/home" not in text and "/tmp" not in text
