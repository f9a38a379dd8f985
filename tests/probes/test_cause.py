"""Ablation and steering on a net whose causes are known, since it was written by hand."""

import json
import math

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import interp
from interp.cli.main import app
from interp.errors import InterpError, ModelError, RecordingError, SiteError
from interp.intervention import Clamp, Clamped
from interp.models.loading import load
from probes.cause import ablate, steer
from probes.cause.activity import measure_activity, values_to_hold
from probes.cause.effects import Sums
from probes.cause.losses import Variant, compute_losses
from probes.cause.places import places_of
from probes.cause.steering import _shifts, next_tokens
from probes.documents import Rows, draw_documents
from probes.results import read_results
from probes.tracks import Track
from tests.probes import brackets
from tests.probes.planted import write_recording

CELL = "lstm/l0/cell"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return brackets.record(tmp_path_factory.mktemp("cause") / "run.h5")


@pytest.fixture(scope="module")
def recording(path):
    with interp.open(path) as found:
        yield found


@pytest.fixture(scope="module")
def found(recording):
    units = [f"{CELL}:{brackets.USED}", f"{CELL}:{brackets.COPY}"]
    return ablate(recording, units, "open")


def test_a_unit_that_is_read_costs_and_its_equal_that_is_not_costs_nothing(found):
    """Both tell the concept perfectly; only the clamp says which of them is used."""
    used, copy = found
    end = used.effects["end"]
    assert end.effect > 1 and end.effect > end.random.highest and end.effect > end.matched.highest
    assert end.random.p_value == pytest.approx(1 / 31) and end.ratio > 20
    assert end.random.excess_interval[0] > 0.5
    assert abs(copy.effects["end"].effect) < 1e-6
    # The copy varies as much, so it is the first of the matched ones.
    assert copy.unit in end.matched.units and used.unit not in end.random.units
    assert len(end.random.units) == len(end.matched.units) == 30


def test_the_change_of_loss_is_the_one_that_follows_from_the_weights(recording, found):
    """At its mean the unit is half open everywhere: the loss at an end follows by hand."""
    used, adapter = found[0], brackets.build()
    held = used.value[0]
    stream = recording.stream()
    losses = {"without": [], "with": []}
    with torch.no_grad():
        for document in used_documents(recording):
            text = stream.documents[document].text
            ids = torch.from_numpy(adapter.encode(text)[0]).long()[None]
            for name, clamps in (("without", []), ("with", [Clamp(CELL, (0,), held)])):
                with Clamped(adapter.module, clamps):
                    logits = adapter.module(ids)[0][0, :-1]
                loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
                losses[name] += loss[torch.tensor([c == ")" for c in text[1:]])].tolist()
    expected = np.mean(losses["with"]) - np.mean(losses["without"])
    assert used.effects["end"].effect == pytest.approx(expected, abs=1e-4)
    assert used.effects["end"].loss == pytest.approx(np.mean(losses["without"]), abs=1e-4)
    assert used.effects["end"].n_positions == len(losses["with"])


def used_documents(recording):
    from probes.documents import split_documents

    return split_documents(recording.stream().n_documents, 0)[1].tolist()


def test_places_of_predictions():
    inside = np.array([0, 1, 1, 0, 1, 1, 0, 0], bool)
    starts = np.array([0, 4, 8])
    found = places_of(inside, None, starts, "next")
    assert np.flatnonzero(found["end"]).tolist() == [2, 5]
    assert np.flatnonzero(found["inside"]).tolist() == [1, 4]
    assert np.flatnonzero(found["start"]).tolist() == [0]
    assert np.flatnonzero(found["outside"]).tolist() == [6]
    assert np.flatnonzero(found["elsewhere"]).tolist() == [0, 1, 4, 6]  # not the last of a document
    same = places_of(inside, None, starts, "same")
    assert np.flatnonzero(same["end"]).tolist() == [3, 6]
    assert np.flatnonzero(same["start"]).tolist() == [1, 4]
    valid = np.array([1, 1, 0, 1, 1, 1, 1, 1], bool)
    assert np.flatnonzero(places_of(inside, valid, starts, "next")["end"]).tolist() == [5]


def test_losses_of_many_variants_equal_runs_of_their_own():
    """Windows, ragged documents and shared batches change nothing."""
    loaded = load("py:tests.probes.brackets:build")
    texts = list(brackets.texts(3, 150).values())
    ids = [loaded.adapter.encode(t[: 60 + 70 * i])[0].astype(np.int64) for i, t in enumerate(texts)]
    targets = [np.append(d[1:], -1) for d in ids]
    pool = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    nothing = np.zeros(2)
    variants = [Variant(CELL, (0,), np.array([0.3])), Variant("lstm/l0/hidden", (4, 9), nothing),
                Variant(CELL, (2, 3), nothing, pool)]  # fmt: skip
    together = compute_losses(loaded, ids, targets, variants, seed=5)
    for number, variant in enumerate([None, *variants]):
        for document, losses in enumerate(together):
            clamps = []
            if variant is not None:
                drawn = variant.drawn(len(ids[document]), (5, document))
                value = torch.as_tensor(variant.value if drawn is None else drawn)
                clamps = [Clamp(variant.site, variant.units, value)]
            batch = torch.from_numpy(ids[document])[None]
            with torch.inference_mode(), Clamped(loaded.module, clamps):
                logits = loaded.module(batch)[0][0]
            expected = torch.nn.functional.cross_entropy(
                logits[:-1], batch[0, 1:], reduction="none"
            )
            np.testing.assert_allclose(losses[number, :-1], expected.numpy(), atol=2e-5)
            assert math.isnan(losses[number, -1])


def test_resampled_effects_are_weighted_means_over_documents():
    rng = np.random.default_rng(0)
    losses = [rng.random((3, n)).astype(np.float32) for n in (5, 8, 3)]
    members = [rng.random(found.shape[1]) < 0.7 for found in losses]
    sums = Sums.of(losses, members)
    resampled = sums.resampled(4, seed=2)
    for b, weights in enumerate(draw_documents(3, 4, seed=2)):
        drawn = np.repeat(np.arange(3), weights.astype(int))
        changes = np.concatenate(
            [losses[d][1:, members[d]] - losses[d][0, members[d]] for d in drawn], 1
        )
        np.testing.assert_allclose(resampled[:, b], changes.mean(1), rtol=1e-6)


@pytest.mark.parametrize(
    ("mode", "value", "held"),
    [("zero", None, 0.0), ("value", -1.0, -1.0), ("inside", None, 1.0), ("outside", None, 0.0)],
)
def test_what_units_are_held_at(recording, mode, value, held):
    found = ablate(recording, f"{CELL}:0", "open", mode=mode, value=value, n_random=2, n_matched=0,
                   n_positions=800)[0]  # fmt: skip
    assert found.value[0] == pytest.approx(held, abs=0.01)
    assert found.effects["end"].matched is None
    # Held open the net expects ")" always, held shut never.
    assert (found.effects["end"].effect > 1) == (mode != "inside")
    assert (found.effects["outside"].effect > 0.1) == (mode == "inside")


def test_resampling_is_the_same_again_with_the_same_seed(recording):
    runs = [ablate(recording, f"{CELL}:0,1", "open", mode="resample", n_random=3, n_matched=3,
                   n_positions=1000, seed=seed)[0] for seed in (1, 1, 2)]  # fmt: skip
    assert runs[0].to_dict() == runs[1].to_dict() != runs[2].to_dict()
    assert runs[0].value == [] and runs[0].effects["end"].effect > 0.5
    assert all("," in unit for unit in runs[0].effects["end"].random.units)


def test_steering_opens_the_bracket(recording):
    found = steer(recording, f"{CELL}:0", "open", n_positions=1000, n_random=5)
    shift = found.tokens[0]
    assert shift.token == ")" and shift.ends == 1.0 and found.places == "outside"
    assert shift.before < 0.01 and shift.after > 0.1 and shift.interval[0] > 0.1
    assert shift.random_highest < 0.01
    back = steer(recording, f"{CELL}:0", "open", to="outside", n_positions=1000, n_random=0)
    assert back.places == "inside" and back.tokens[0].after < back.tokens[0].before


def test_next_tokens_of_a_text():
    loaded = load("py:tests.probes.brackets:build")
    plain = dict(next_tokens(loaded, "ab"))
    steered = dict(next_tokens(loaded, "ab", [Clamp(CELL, (0,), 1.0)]))
    assert plain[")"] < 0.01 < 0.1 < steered[")"]
    assert sum(plain.values()) == pytest.approx(1)
    with pytest.raises(InterpError, match="text is empty"):
        next_tokens(loaded, "")


def test_the_command_finds_the_causal_unit_and_keeps_it(path):
    command = ["ablate", str(path), "--concept", "open", "--top", "3", "--sites", CELL, "--random",
               "5", "--matched", "5", "--read", "1500"]  # fmt: skip
    table = CliRunner().invoke(app, command, catch_exceptions=False)
    assert table.exit_code == 0 and f"{CELL}:0 (AUROC 1.000)" in table.output
    rows = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    cost = {row["unit"]: row["effects"]["end"]["effect"] for row in rows}
    assert max(cost, key=cost.get) == f"{CELL}:0"
    with interp.open(path) as recording:
        kept = read_results(recording, "ablate")
    assert {row["name"] for row in kept} >= {f"open {unit}" for unit in cost}
    command = ["ablate", str(path), f"{CELL}:0", "--concept", "open", "--steer", "inside",
               "--read", "500", "--random", "2", "--text", "ab"]  # fmt: skip
    steered = CliRunner().invoke(app, command)
    assert steered.exit_code == 0 and "Behind 'ab':" in steered.output
    before, after = steered.output.split("Behind")[1].split("after")
    assert "')'" in after[:20] and "')'" not in before.split("before")[1][:20]


def test_refusals(recording, path):
    with pytest.raises(ModelError, match="is not the model of"):
        ablate(recording, f"{CELL}:0", "open", model="py:tests.probes.brackets:other")
    with pytest.raises(InterpError, match="No concept named 'opn'; nearest: open"):
        ablate(recording, f"{CELL}:0", "opn")
    with pytest.raises(InterpError, match=r"unit 36 of lstm/l0/cell"):
        ablate(recording, f"{CELL}:36", "open")
    with pytest.raises(SiteError, match="No site named 'lstm/l0/input_gate'.*recorded"):
        ablate(recording, "lstm/l0/input_gate:0", "open")
    with pytest.raises(InterpError, match="names no units"):
        ablate(recording, CELL, "open")
    with pytest.raises(InterpError, match="mode 'value'"):
        ablate(recording, f"{CELL}:0", "open", mode="value")
    with pytest.raises(InterpError, match="No way to clamp named 'meen'; nearest: mean"):
        ablate(recording, f"{CELL}:0", "open", mode="meen")
    with pytest.raises(InterpError, match="is a number"):
        ablate(recording, f"{CELL}:0", "line_position")
    for words, message in ((["ablate", str(path), "--concept", "open"], "Name units to clamp"),
                           (["ablate", str(path), f"{CELL}:0"], "Name a --concept")):  # fmt: skip
        refused = CliRunner().invoke(app, words)
        assert isinstance(refused.exception, InterpError) and message in str(refused.exception)


def test_a_model_given_as_an_object_has_to_be_named_again(tmp_path):
    path = brackets.record(tmp_path / "object.h5", 6, 60, model=brackets.build())
    with interp.open(path) as recording:
        with pytest.raises(ModelError, match="--model"):
            ablate(recording, f"{CELL}:0", "open")
        few = ablate(
            recording, f"{CELL}:0", "open", model=brackets.build(), n_random=1, n_matched=0
        )
    assert any("few" in warning for warning in few[0].warnings)


def test_a_unit_with_nan_has_no_mean(tmp_path):
    from tests.probes.planted import planted_values, slow_labels, write_recording

    labels = slow_labels(800)
    path = write_recording(tmp_path / "nan.h5", planted_values(labels), np.arange(0, 801, 100))
    with interp.open(path) as recording:
        recording.write_annotation("on", labels, kind="binary")
        with pytest.raises(ModelError, match="does not name"):
            ablate(recording, f"{CELL}:11", "on")
        with pytest.raises(InterpError, match=r"cell:11 holds NaN"):
            from probes.cause.units import UnitVariants
            from probes.documents import Rows
            from probes.tracks import load_tracks

            rows = Rows.of(recording.stream().document_start, np.arange(8))
            maker = UnitVariants(
                recording, load_tracks(recording, ["on"])[0], rows, "mean", None, 0
            )
            maker.question(interp.selection.Selection.parse(f"{CELL}:11"), 0, 0)


def test_an_incomplete_recording_is_refused(tmp_path):
    from tests.probes.planted import planted_values, slow_labels, write_recording

    path = write_recording(tmp_path / "part.h5", planted_values(slow_labels(800)),
                           np.arange(0, 801, 100), complete=False)  # fmt: skip
    with interp.open(path) as recording, pytest.raises(RecordingError, match="incomplete"):
        ablate(recording, f"{CELL}:0", "open")


def test_a_concept_that_never_comes_has_no_mean_to_hold_units_at(tmp_path):
    values = np.ones((6, 2), np.float32)
    path = write_recording(tmp_path / "run.h5", values, [0, 3, 6])
    track = Track("never", np.zeros(6, bool))
    with interp.open(path) as recording:
        activity = measure_activity(
            recording, "lstm/l0/cell", Rows.of(np.array([0, 3, 6]), np.arange(2)), track
        )
    with pytest.raises(InterpError, match="is inside the concept, so there is nothing to hold"):
        values_to_hold(activity, np.array([0]), "inside", None)
    assert values_to_hold(activity, np.array([0]), "outside", None) == 1


def test_controls_of_a_token_that_becomes_rarer_are_those_that_make_it_rarer():
    sums = np.zeros((1, 4, 2))  # one document; no clamp, the unit, two random units; two tokens
    sums[0, :, 0] = 0.8, 0.3, 0.35, 0.85
    sums[0, :, 1] = 0.2, 0.7, 0.65, 0.15
    found = _shifts(sums, np.ones(1), np.zeros(2), ["a", "b"], 2, 10, 0)
    highest = {shift.token: shift.random_highest for shift in found}
    assert highest == {"a": pytest.approx(-0.45), "b": pytest.approx(0.45)}
