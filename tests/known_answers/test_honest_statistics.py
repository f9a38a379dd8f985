"""T10: what goes wrong when documents are ignored, measured on a real net's states."""

import warnings

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

import probes
from probes.documents import Rows, split_documents, swap_tracks
from probes.intervals import bootstrap_auroc, percentile_interval
from tests.known_answers.conftest import CELL


@pytest.fixture(scope="module")
def states(code_recording):
    """Return cells, document starts, and labels by concept, of every other position."""
    starts = np.asarray(code_recording.stream().document_start)
    rows = Rows.of(starts, np.arange(len(starts) - 1))
    part = rows.part(rows.thinned(60_000))
    cells = np.asarray(code_recording[CELL][part.index], np.float32)
    labels = {
        concept: np.asarray(code_recording.annotations[concept][:], bool)[part.index]
        for concept in ("quoted_string", "if_condition")
    }
    return cells, part.starts, labels


def test_t10_a_split_by_token_flatters(states):
    cells, starts, labels = states[0], states[1], states[2]["quoted_string"]
    document = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    rng = np.random.default_rng(0)
    first, second = (np.isin(document, half) for half in split_documents(len(starts) - 1, 0))
    mixed = rng.permutation(len(labels))
    n_fit = 3_000

    def area(fit, test):
        probe = MLPClassifier((64,), max_iter=30, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            probe.fit(cells[fit], labels[fit])
        return float(probes.compute_auroc(probe.predict_proba(cells[test])[:, 1], labels[test])[0])

    fit = rng.choice(np.flatnonzero(first), n_fit, replace=False)
    assert area(mixed[:n_fit], mixed[n_fit:]) > area(fit, np.flatnonzero(second))


def test_t10_intervals_by_position_are_several_times_too_narrow(states):
    cells, starts, labels = states[0], states[1], states[2]["quoted_string"]
    areas = probes.compute_auroc(cells, labels)
    unit = int(np.abs(areas - 0.5).argmax())
    thin = np.arange(0, len(labels), 6)
    by_document, _ = bootstrap_auroc(cells[:, unit], labels, starts, 200)
    alone = np.arange(len(thin) + 1)
    by_position, _ = bootstrap_auroc(cells[thin, unit], labels[thin], alone, 200)
    width = np.ptp(percentile_interval(by_document, len(starts) - 1))
    # As many positions as documents have: the width falls with the root of their number.
    narrow = np.ptp(percentile_interval(by_position, len(thin))) / np.sqrt(6)
    assert width / narrow > 3


def test_t10_shuffled_labels_make_a_null_that_is_too_easy(states):
    """Shifts within a document keep how often a label comes there: wider or narrower than swaps."""
    cells, starts, labels = states[0], states[1], states[2]["if_condition"]
    ranks = cells.argsort(0).argsort(0).astype(np.float32) / len(cells)
    ranks -= ranks.mean(0)
    rng, n = np.random.default_rng(0), len(labels)
    shifts = rng.integers(300, 1_000, (100, len(starts) - 1))
    pieces = [labels[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]
    tracks = {
        "iid": np.stack([rng.permutation(labels) for _ in range(100)]),
        "shift": np.stack([
            np.concatenate([np.roll(piece, by) for piece, by in zip(pieces, row, strict=True)])
            for row in shifts
        ]),
        "swap": swap_tracks(starts, labels, np.arange(n), 100),
    }  # fmt: skip
    null = {}
    for name, drawn in tracks.items():
        inside = drawn.sum(1)[:, None]
        gap = (drawn.astype(np.float32) @ ranks) / inside * n / (n - inside)
        null[name] = float(np.quantile(np.abs(gap).max(1), 0.95)) + 0.5
    assert null["iid"] < min(null["shift"], null["swap"]), null


def test_t10_an_mlp_memorises_what_a_linear_probe_cannot(code_recording):
    shared = {"n_fit": 4_000, "n_test": 8_000, "n_resamples": 20, "description": False}
    mlp = MLPClassifier((128,), max_iter=60, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [
            probes.evaluate(code_recording, "quoted_string", CELL, probe=probe, **shared)
            for probe in (mlp, "logistic")
        ]
    accuracy = [report.control["balanced_accuracy"] for report in found]
    assert accuracy[0] > accuracy[1]
