"""Training: documents flow through lanes unharmed, and a small net does learn."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.capture import Recorder
from interp.corpora.standard_library import SourceFile, describe, split_files, standard_library
from interp.errors import CorpusError, ModelError
from interp.models.characters import CharacterModelConfig, build
from interp.models.zoo import load_folder
from interp.training.lanes import IGNORED, lanes, repeat_pieces, reset_lanes
from interp.training.loop import (
    TrainingConfig,
    bits_per_character,
    document_losses,
    learning_rate,
    train,
)
from interp.training.sampling import sample
from interp.training.signs import turn_units

TINY = {"kind": "gru", "n_layers": 1, "n_hidden": 16, "n_embedding": 8}


@settings(max_examples=20)
@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=5),
    st.integers(1, 3),
    st.integers(2, 9),
    st.integers(0, 99),
)
def test_lanes_hand_out_whole_documents_in_order(sizes, n_lanes, window, seed):
    """Gluing a lane's windows between two fresh starts gives a document, once and completely."""
    documents = [np.arange(n) + 1000 * (i + 1) for i, n in enumerate(sizes)]
    stream = lanes(documents, n_lanes, window, np.random.default_rng(seed))
    open_pieces: list[list[int] | None] = [None] * n_lanes
    for _ in range(60):
        inputs, targets, fresh = next(stream)
        for lane in range(n_lanes):
            real = targets[lane] != IGNORED
            n = int(real.sum())
            assert real[:n].all()
            assert (targets[lane, :n] - inputs[lane, :n] == 1).all()
            if fresh[lane]:
                if open_pieces[lane] is not None:
                    glued = open_pieces[lane]
                    assert glued == list(documents[glued[-1] // 1000 - 1])[-len(glued) :]
                    assert glued[-1] == documents[glued[-1] // 1000 - 1][-1]
                open_pieces[lane] = [int(inputs[lane, 0])]
            open_pieces[lane] += targets[lane, :n].tolist()


def test_state_is_zero_where_a_document_starts():
    state = (torch.ones(2, 3, 4), torch.ones(2, 3, 4, requires_grad=True) * 2)
    hidden, cell = reset_lanes(state, torch.tensor([False, True, False]))
    assert (hidden[:, 1] == 0).all() and (hidden[:, 0] == 1).all()
    assert (cell[:, 1] == 0).all() and not cell.requires_grad


def test_rate_warms_up_and_decays_to_zero():
    config = TrainingConfig(learning_rate=1.0, n_warm_up=10)
    assert math.isclose(learning_rate(config, 9, 110), 1.0)
    assert math.isclose(learning_rate(config, 60, 110), 0.5)
    assert learning_rate(config, 109, 110) < 1e-3


def test_losses_equal_one_pass_of_cross_entropy():
    adapter = build(TINY)
    document, _ = adapter.encode("def f(x):\n    return x\n" * 5)
    ids = torch.from_numpy(document).long()[None]
    with torch.inference_mode():
        logits, _ = adapter.module(ids[:, :-1])
    expected = -torch.log_softmax(logits[0], -1).gather(1, ids[0, 1:, None])[:, 0]
    np.testing.assert_allclose(
        document_losses(adapter, document, window=7), expected.numpy(), atol=1e-5
    )


def test_a_small_net_learns_a_repetition(tmp_path):
    torch.manual_seed(0)
    adapter = build(TINY)
    document, _ = adapter.encode("abcdefgh" * 200)
    config = TrainingConfig(8 * 16 * 150, 8, 16, 1e-2, n_warm_up=5)
    log = train(adapter, [document] * 4, [document], config, tmp_path, report_every=75)
    assert log[-1]["held_out_bits"] < 0.2
    assert bits_per_character(adapter, [document]) < 0.2
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").open()] == [75, 150]
    assert sample(adapter, "abc", 8, temperature=0) == "abcdefghabc"
    assert sample(adapter, "a", 20, seed=3) == sample(adapter, "a", 20, seed=3)


def test_training_twice_with_one_seed_gives_the_same_weights(tmp_path):
    from interp.models.weights import weights_hash

    hashes = set()
    for _ in range(2):
        torch.manual_seed(0)
        adapter = build(TINY)
        document, _ = adapter.encode("hello world\n" * 40)
        train(adapter, [document], [document], TrainingConfig(2_000, 4, 16), tmp_path)
        hashes.add(weights_hash(adapter.module))
    assert len(hashes) == 1


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "src"
    folder.mkdir()
    for i in range(40):
        (folder / f"m{i}.py").write_text(f"def f{i}(x):\n    return x + {i}\n" * 10)
    return folder


def test_layers_added_on_top_of_a_trained_one_keep_what_it_has_learned(tmp_path, source):
    from interp.models.weights import read_weights
    from interp.training.characters import train_character_model

    first, second = tmp_path / "first", tmp_path / "second"
    shape = {"source": source, "command": "interp train lstm"}
    still = TrainingConfig(64, 2, 16, learning_rate=0.0, seed=1)
    train_character_model(first, CharacterModelConfig("lstm", 1, 8, 4), still, **shape)
    other = TrainingConfig(64, 2, 16, learning_rate=0.0, seed=2)
    card = train_character_model(
        second, CharacterModelConfig("lstm", 2, 8, 4), other, start=first, **shape
    )
    before = read_weights(first / "model.safetensors")
    after = read_weights(second / "model.safetensors")
    for name in before:
        assert torch.equal(before[name], after[name]) != name.startswith("head."), name
    assert {name for name in after if name not in before} == {
        f"lstm.{kind}_l1" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    assert "| went on from | a 1-layer model of" in (second / "MODEL_CARD.md").read_text()
    assert card["started_from"]["n_layers"] == 1
    with pytest.raises(ModelError, match=r"not in the model: .*_l1"):
        train_character_model(
            tmp_path / "fewer", CharacterModelConfig("lstm", 1, 8, 4), other, start=second, **shape
        )


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_turned_units_are_the_same_model_with_the_rarer_side_positive(kind):
    torch.manual_seed(0)
    adapter = build({"kind": kind, "n_layers": 2, "n_hidden": 12, "n_embedding": 6})
    documents = [adapter.encode(f"if x == {k}: return 'abc'\n" * 20)[0] for k in range(3)]
    ids = torch.from_numpy(np.concatenate(documents)).long()[None, :300]

    def states():
        with torch.no_grad(), Recorder(adapter.module, f"{kind}/*/hidden") as recorder:
            logits, _ = adapter.module(ids)
        return logits, [recorder[site][0] for site in recorder.sites]

    logits, before = states()
    turned = turn_units(adapter, documents)
    same_logits, after = states()
    torch.testing.assert_close(same_logits, logits, rtol=0, atol=1e-6)
    assert all(0 < n < 12 for n in turned)
    for n, old, new in zip(turned, before, after, strict=True):
        opposite = torch.isclose(new, -old, atol=1e-6).all(0)
        assert opposite.sum() == n and torch.isclose(new, old, atol=1e-6).all(0)[~opposite].all()
        assert ((new - new.mean(0)) ** 3).mean(0)[opposite].mean() > 0
    assert turn_units(adapter, documents) == [0, 0]


def test_the_command_leaves_a_folder_that_can_be_loaded(tmp_path, source):
    from interp.training.characters import train_character_model

    folder = tmp_path / "tiny"
    card = train_character_model(
        folder,
        CharacterModelConfig("lstm", 1, 8, 4),
        TrainingConfig(4_000, 2, 16),
        "interp train lstm -o tiny",
        source=source,
    )
    assert load_folder(folder).module.config.n_hidden == 8
    assert card == json.loads((folder / "card.json").read_text())
    assert card["weights_hash"][:16] in (folder / "MODEL_CARD.md").read_text()
    assert not (folder / "snapshot.safetensors").exists()


def test_split_depends_on_the_path_alone():
    files = [SourceFile(f"p{i}/m.py", "x = 1\n") for i in range(400)]
    assert [f.split for f in files] == [SourceFile(f.name, "other").split for f in files]
    shares = {s: len(split_files(files, s)) / 400 for s in ("train", "validation", "test")}
    assert 0.78 < shares["train"] < 0.92 and 0.05 < shares["test"] < 0.16


def test_standard_library_leaves_tests_and_tables_out():
    files = standard_library()
    names = [file.name for file in files]
    assert "json/decoder.py" in names
    assert not any(name.startswith(("test/", "encodings/", "pydoc_data/")) for name in names)
    assert not any("/tests/" in name or "/idle_test/" in name for name in names)
    assert describe(files)["n_characters"] > 5_000_000


def test_parts_of_the_standard_library_are_a_corpus():
    from interp.corpora.reading import read_corpus

    corpus = read_corpus("stdlib:validation")
    names = [document.name for document in corpus.documents]
    assert names == [file.name for file in split_files(standard_library(), "validation")]
    with pytest.raises(CorpusError, match="nearest: test"):
        read_corpus("stdlib:tests")


@given(seed=st.integers(0, 50), window=st.integers(16, 40))
@settings(max_examples=40)
def test_a_repeated_piece_stands_right_behind_itself(seed, window):
    rng = np.random.default_rng(seed)
    document = np.arange(1, 4_000)
    plain = lanes([document], 6, window, np.random.default_rng(seed))
    changed = repeat_pieces(
        lanes([document], 6, window, np.random.default_rng(seed)), share=0.5, rng=rng
    )
    for _ in range(3):
        inputs, targets, _ = next(plain)
        new_inputs, new_targets, _ = next(changed)
        whole = (new_targets != IGNORED).all(1)
        assert (new_inputs[whole, 1:] == new_targets[whole, :-1]).all()
        for row in range(6):
            steps = np.diff(new_inputs[row].numpy())
            back = np.flatnonzero(steps != 1)
            if not (inputs[row] != new_inputs[row]).any():
                continue
            assert len(back) == 1 and steps[back[0]] < 0  # one jump back, else the text as it was
            length = 1 - int(steps[back[0]])
            assert window // 8 <= length <= window // 2


def test_a_model_with_a_longest_window_is_sampled_past_it():
    shape = {"kind": "transformer", "n_layers": 1, "n_heads": 2, "n_embedding": 8}
    torch.manual_seed(0)
    adapter = build({**shape, "context_length": 12})
    text = sample(adapter, "abcdefgh", 20, temperature=0)
    assert text.startswith("abcdefgh") and len(text) == 28
    ids = torch.from_numpy(adapter.encode(text[-13:-1])[0]).long()[None]
    with torch.inference_mode():
        assert adapter.vocabulary[int(adapter.module(ids)[0][0, -1].argmax())] == text[-1]
