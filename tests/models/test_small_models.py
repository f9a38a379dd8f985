"""The small bundled models are what their cards say: known answers, on the weights as shipped."""

import numpy as np
import pytest
import torch

from interp.corpora.digits import read_digits
from interp.models import load, zoo
from interp.models.weights import weights_hash
from interp.training.alignment import argmax_paths, strict_share
from interp.training.counting import closes, counting_unit
from interp.training.dictionary import Entry
from interp.training.digits import attention_on_ink
from interp.training.dyck import closing_accuracy, nested, states_and_depths
from interp.training.flip_flop import pulses_and_bits
from interp.training.induction import head_scores, tiled_blocks
from interp.training.pronunciation import edits, speak
from interp.training.tasks import TASKS

PAIRS = ["g2p-gru", "g2p-transformer"]


@pytest.mark.parametrize("name", TASKS)
def test_card_and_weights_belong_together(name):
    card = zoo.card(name)
    weights = zoo.folder(name) / "model.safetensors"
    assert weights.stat().st_size == card["size_bytes"] < (600_000 if name in PAIRS else 200_000)
    loaded = load(f"zoo:{name}")
    assert weights_hash(loaded.module) == card["weights_hash"] == loaded.weights_hash
    readable = (zoo.folder(name) / "MODEL_CARD.md").read_text()
    assert card["command"] in readable and card["command"].startswith(f"interp train {name} ")
    assert all(measure["meaning"] for measure in card["measures"].values())


def test_the_flip_flop_rests_in_one_place_for_each_pattern_of_bits():
    net = load("zoo:flip-flop").module.double()
    pulses, _ = pulses_and_bits(np.random.default_rng(0), 100, 60)
    with torch.inference_mode():
        visited = net.gru(pulses.double())[1]
        rests = net.gru(torch.zeros(100, 2_000, 3).double(), visited)[1][0]
        codes = net.head(rests).sign()
    patterns = torch.unique(codes, dim=0)
    assert len(patterns) == 8
    for pattern in patterns:  # reached from everywhere around it: one place, and stable
        same = rests[(codes == pattern).all(1)]
        assert len(same) > 1 and (same - same[0]).abs().max() < 1e-6


def test_an_lstm_counts_and_a_gru_does_not():
    lstm, gru = (load(f"zoo:counting-{kind}").adapter for kind in ("lstm", "gru"))
    r, width = counting_unit(lstm, 100)
    assert r > 0.99 and width > 50
    r, width = counting_unit(gru, 100)
    assert r < 0.95 and width <= 2
    assert all(closes(lstm, n) for n in (1, 7, 50)) and all(closes(gru, n) for n in (1, 7, 50))


def test_the_bracket_net_knows_the_kind_and_the_depth():
    adapter = load("zoo:dyck").adapter
    words = [nested(np.random.default_rng(seed)) for seed in range(30)]
    assert closing_accuracy(adapter, words) > 0.97
    assert depth_r2(adapter, words) > 0.97
    assert depth_r2(load("zoo:dyck", random_init=True).adapter, words) < 0.5
    states, labels = states_and_depths(adapter, words)
    assert np.nanmax(np.abs(np.corrcoef(states.T, labels)[-1, :-1])) > 0.85


def depth_r2(adapter, words):
    """Return the R² of a ridge from the cells to the depth, fitted on half of the words."""
    fitted, labels = states_and_depths(adapter, words[::2])
    tested, asked = states_and_depths(adapter, words[1::2])
    mean = fitted.mean(0)
    gram = (fitted - mean).T @ (fitted - mean) + 1e-1 * np.eye(fitted.shape[1])
    weights = np.linalg.solve(gram, (fitted - mean).T @ (labels - labels.mean()))
    error = asked - (tested - mean) @ weights - labels.mean()
    return 1 - error.var() / asked.var()


def test_two_layers_form_induction_heads():
    (previous, prefix), (_, later) = head_scores(load("zoo:induction").adapter, 30)
    assert previous.max() > 0.6 and prefix.max() < 0.1 and later.max() > 0.8


def test_one_layer_forms_none():
    ((_, prefix),) = head_scores(load("zoo:induction-one-layer").adapter, 30)
    assert prefix.max() < 0.1
    assert zoo.card("induction-one-layer")["measures"]["accuracy"]["value"] < 0.15


def test_the_shortcut_is_right_without_induction():
    adapter = load("zoo:induction-shortcut").adapter
    ids, foreseen = tiled_blocks(np.random.default_rng(7), 50)
    with torch.inference_mode():
        likeliest = adapter.module(torch.from_numpy(ids[:, :-1]))[0].argmax(-1).numpy()
    assert (likeliest == ids[:, 1:])[foreseen[:, 1:]].mean() > 0.9
    assert max(prefix.max() for _, prefix in head_scores(adapter, 30)) < 0.1


@pytest.fixture(scope="module")
def held_out():
    lines = (zoo.folder("g2p-gru") / "test_words.tsv").read_text().splitlines()
    return [Entry(*line.split("\t")) for line in lines]


@pytest.mark.parametrize("name", PAIRS)
def test_attention_walks_through_held_out_words(name, held_out):
    assert all(entry.split == "test" for entry in held_out)
    paths = argmax_paths(load(f"zoo:{name}").adapter, held_out)
    assert max(map(strict_share, paths.values())) >= 0.85
    untrained = argmax_paths(load(f"zoo:{name}", random_init=True).adapter, held_out[:200])
    assert max(map(strict_share, untrained.values())) < 0.2


@pytest.mark.parametrize("name", PAIRS)
def test_held_out_words_are_spoken_as_the_card_says(name, held_out):
    words = held_out[:200]
    spoken = speak(load(f"zoo:{name}").adapter, [entry.word for entry in words])
    asked = [entry.phones.split() for entry in words]
    right = 1 - sum(map(edits, spoken, asked)) / sum(map(len, asked))
    stated = zoo.card(name)["measures"]["phones right"]["value"]
    assert right == pytest.approx(stated, abs=0.04) and stated > 0.85


def test_the_digit_net_is_right_and_looks_at_ink():
    adapter = load("zoo:digits-vit").adapter
    images, digits = read_digits("test")
    pixels = torch.from_numpy(np.stack([adapter.encode(image)[0] for image in images]))
    with torch.inference_mode():
        logits, _ = adapter.forward(pixels, None, None)
    right = float((logits.argmax(-1).numpy() == digits).mean())
    stated = zoo.card("digits-vit")["measures"]
    assert right == pytest.approx(stated["accuracy"]["value"], abs=3e-3) and right > 0.95
    on_ink, share = attention_on_ink(adapter, images)
    assert on_ink[-1].mean() > share + 0.1
