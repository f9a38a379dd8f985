"""Saturation and timescales: hand-set nets, processes of known memory, brute force, refusals."""

import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
import torch

import interp
from interp.errors import InterpError
from probes.dynamics import autocorrelation, measure_saturation, measure_timescales
from probes.dynamics.lagged import crossing_time
from probes.dynamics.saturation import Counters
from tests.probes.planted import write_recording

GATE, CELL = "lstm/l0/forget_gate", "lstm/l0/cell"
STARTS = np.array([0, 30, 31, 200, 1_000])


def _written(path, values, starts=STARTS, **options):
    write_recording(path, values, starts, **options)
    return interp.open(path)


def _gates(n, n_units=5, dtype="float16", seed=0):
    return np.random.default_rng(seed).beta(0.3, 0.3, (n, n_units)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("skip", [0, 25])
def test_saturation_equals_a_count_over_the_positions_that_count(tmp_path, dtype, skip):
    values = _gates(1_000, dtype=dtype)
    with _written(tmp_path / "run.h5", {GATE: values}) as recording:
        gate = measure_saturation(recording, skip=skip)[GATE]
    inside = np.concatenate([np.arange(a + skip, b) for a, b in pairwise(STARTS)])
    wanted = values[inside].astype(np.float64)
    np.testing.assert_array_equal(gate.left, (wanted < 0.1).mean(axis=0))
    np.testing.assert_array_equal(gate.right, (wanted > 0.9).mean(axis=0))
    np.testing.assert_allclose(gate.mean, wanted.mean(axis=0), rtol=1e-12)


def test_counters_do_not_depend_on_the_pieces_they_are_fed():
    values = _gates(500, dtype="float64")
    whole, parts = Counters(5), Counters(5)
    whole.add(values)
    for part in np.split(values, [1, 7, 7, 300]):
        parts.add(part)
    for name in ("left", "right"):
        one, other = (getattr(c.of(GATE, "forget_gate"), name) for c in (whole, parts))
        np.testing.assert_array_equal(one, other)


def test_known_gates_are_points_of_the_scatter(tmp_path):
    n = 1_000
    values = np.full((n, 5), 0.5, np.float32)
    values[:, 0] = 0.99  # an integrator: always right
    values[:, 1] = 0.01
    values[:250, 2], values[250:, 2] = 0.05, 0.95
    values[:, 3] = np.where(np.arange(n) % 2, 0.1, 0.9)  # equal to a threshold: not beyond it
    values[7, 4] = np.nan
    with _written(tmp_path / "run.h5", {GATE: values}) as recording:
        found = measure_saturation(recording)
    gate = found[GATE]
    assert gate.right[:3].tolist() == [1, 0, 0.75] and gate.left[:3].tolist() == [0, 1, 0.25]
    # float32's 0.1 lies above 0.1, its 0.9 below 0.9.
    assert gate.left[3] == gate.right[3] == 0
    assert np.isnan(gate.left[4]) and "1 of 5 units" in found.warnings[0]
    assert (gate.n_always_right, gate.n_always_left) == (1, 1)
    assert (found.n_documents, found.n_positions) == (4, n)


def _constant_net(kind, bias, n_units=3):
    """Return a net whose carry gate is sigmoid(bias) whatever it reads."""
    net = getattr(torch.nn, kind.upper())(2, n_units, batch_first=True).double()
    with torch.no_grad():
        for part in net.parameters():
            part.zero_()
        gate = slice(n_units, 2 * n_units)  # torch's order: i f g o, and r z n
        net.bias_ih_l0[gate] = torch.tensor(bias, dtype=torch.float64)
        net.weight_ih_l0[-n_units:] = 1.0  # something must change for the state to vary
        if kind == "lstm":
            net.weight_ih_l0[2 * n_units : 3 * n_units] = 1.0
    return net.eval()


@pytest.mark.parametrize(("kind", "gate"), [("lstm", "forget_gate"), ("gru", "update_gate")])
def test_a_forget_bias_gives_its_timescale_exactly(tmp_path, kind, gate):
    bias = [0.0, math.log(9), 4.0]  # the second: a gate of .9
    batches = [torch.randn(2, 300, 2, dtype=torch.float64)]
    path = tmp_path / "run.h5"
    state = "cell" if kind == "lstm" else "hidden"
    interp.record(
        _constant_net(kind, bias), batches, path,
        sites=[f"{kind}/l0/{gate}", f"{kind}/l0/{state}"], dtype="float64",
    )  # fmt: skip
    with interp.open(path) as recording:
        found = measure_timescales(recording, max_lag=100)[f"{kind}/l0"]
    np.testing.assert_allclose(
        found.tau, [-1 / math.log(1 / (1 + math.exp(-b))) for b in bias], rtol=1e-12
    )
    assert found.tau[1] == pytest.approx(9.4912, abs=1e-4)
    assert found.spearman == pytest.approx(1.0)


def test_the_timescale_is_of_the_mean_log_and_not_of_the_log_of_the_mean(tmp_path):
    gates = np.tile([[0.5], [0.99]], (500, 3)).astype(np.float64)
    with _written(tmp_path / "run.h5", {GATE: gates, CELL: _gates(1_000, 3)}) as recording:
        found = measure_timescales(recording, max_lag=20).layers[0]
    expected = -2 / (math.log(0.5) + math.log(0.99))
    np.testing.assert_allclose(found.tau, expected, rtol=1e-9)


def _brute_force(values, starts, max_lag, skip):
    values = values.astype(np.float64)
    documents = [values[a + skip : b] for a, b in pairwise(starts) if b - a > skip]
    mean = np.concatenate(documents).mean(axis=0)
    sums, n = np.zeros((max_lag + 1, values.shape[1])), np.zeros(max_lag + 1)
    for document in documents:
        x = document - mean
        for lag in range(min(max_lag, len(x) - 1) + 1):
            sums[lag] += (x[lag:] * x[: len(x) - lag]).sum(axis=0)
            n[lag] += len(x) - lag
    with np.errstate(invalid="ignore"):
        covariance = sums / n[:, None]
    return covariance / covariance[0], n


@pytest.mark.parametrize("skip", [0, 10])
@pytest.mark.parametrize("block", [64, 8192])
def test_autocorrelation_equals_brute_force_and_crosses_no_document(
    tmp_path, monkeypatch, skip, block
):
    monkeypatch.setattr("probes.dynamics.rows.pieces.__defaults__", (block,))
    monkeypatch.setattr("probes.dynamics.lagged._UNITS", 2)
    values = np.cumsum(np.random.default_rng(0).normal(size=(1_000, 3)), axis=0).astype("float32")
    with _written(tmp_path / "run.h5", {CELL: values}) as recording:
        found, n_pairs = autocorrelation(recording, CELL, max_lag=150, skip=skip)
    expected, n = _brute_force(values, STARTS, 150, skip)
    np.testing.assert_array_equal(n_pairs, n)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_the_memory_of_a_first_order_process_is_found(tmp_path):
    phi = np.array([0.0, 0.5, 0.9, 0.98])
    rng, n = np.random.default_rng(1), 60_000
    noise = rng.normal(size=(n, 4))
    cells = np.zeros((n, 4))
    for t in range(1, n):
        cells[t] = phi * cells[t - 1] + noise[t]
    gates = np.tile(np.maximum(phi, 0.01), (n, 1)).astype(np.float32)
    arrays = {GATE: gates, CELL: cells.astype(np.float32)}
    with _written(tmp_path / "run.h5", arrays, starts=[0, n // 2, n]) as recording:
        found = measure_timescales(recording, max_lag=300).layers[0]
    np.testing.assert_allclose(found.autocorrelation_time[1:], -1 / np.log(phi[1:]), rtol=0.12)
    np.testing.assert_allclose(found.tau[1:], -1 / np.log(phi[1:]), rtol=1e-5)
    assert found.spearman == pytest.approx(1.0)
    expected = scipy.stats.spearmanr(found.tau, found.autocorrelation_time)[0]
    assert found.spearman == pytest.approx(expected)


def test_memory_does_not_grow_with_the_recording(tmp_path, monkeypatch):
    monkeypatch.setattr("probes.dynamics.rows.BLOCK_ROWS", 256)
    monkeypatch.setattr("probes.dynamics.rows.pieces.__defaults__", (256,))
    peaks = []
    for n in (4_000, 40_000):
        starts = np.unique(np.random.default_rng(0).integers(0, n, n // 300))
        starts = np.concatenate([[0], starts[starts > 0], [n]])
        arrays = {GATE: _gates(n, 32), CELL: _gates(n, 32)}
        with _written(tmp_path / f"{n}.h5", arrays, starts) as recording:
            measure_saturation(recording)
            tracemalloc.start()
            measure_saturation(recording, skip=5)
            measure_timescales(recording, skip=5, max_lag=100)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_crossing_is_interpolated_censored_and_undefined():
    curve = np.array([[1, 1, np.nan], [0.5, 0.9, np.nan], [0.3, 0.8, np.nan], [0.1, 0.1, np.nan]])
    times = crossing_time(curve, np.array([100, 80, 60, 4]))  # too few pairs at the last lag
    assert times[0] == pytest.approx(1 + (0.5 - 1 / math.e) / 0.2)
    assert np.isinf(times[1]) and np.isnan(times[2])


def test_what_storage_cannot_resolve_is_said(tmp_path):
    gates = np.full((1_000, 3), 0.9999, np.float16)  # rounds to 1
    gates[:, 1] = 0.5
    with _written(tmp_path / "run.h5", {GATE: gates, CELL: _gates(1_000, 3)}) as recording:
        found = measure_timescales(recording, max_lag=20)
    assert np.isinf(found.layers[0].tau[0]) and found.layers[0].share_at_one[0] == 1
    assert "float32" in found.warnings[0]
    assert found.to_dict()["layers"][0]["tau"][0] is None


@pytest.mark.parametrize(
    ("gate", "state"),
    [
        ("decoder/forget_gate", "decoder/cell"),
        ("a.b/l1_reverse/update_gate", "a.b/l1_reverse/hidden"),
    ],
)
def test_cells_reverse_directions_and_constant_states_have_timescales(tmp_path, gate, state):
    arrays = {gate: _gates(1_000), state: np.ones((1_000, 5), np.float32)}
    with _written(tmp_path / "run.h5", arrays) as recording:
        found = measure_timescales(recording)
    (layer,) = found.layers
    assert layer.layer == gate.rpartition("/")[0] and layer.state == state
    assert np.isfinite(layer.tau).all() and np.isnan(layer.autocorrelation_time).all()
    assert np.isnan(layer.spearman) and "5 units" in found.warnings[0]
    assert found.to_dict()["layers"][0]["quantiles"]["autocorrelation_time"] == [None] * 6


@pytest.mark.parametrize(
    ("arrays", "call", "message"),
    [
        ({CELL: 0}, measure_saturation, "has no gates.*lstm/l0/cell.*--sites"),
        ({"lstm/l0/cell_gate": 0}, measure_saturation, "has no gates"),
        ({CELL: 0}, measure_timescales, "has no carry gates"),
        ({GATE: 0}, measure_timescales, "recorded without lstm/l0/cell"),
        ({GATE: 0}, lambda r: measure_saturation(r, "gru/*"), "gru/*.*matches no site"),
        ({GATE: 0}, lambda r: measure_saturation(r, skip=900), "longest document has 800"),
        ({GATE: 0}, lambda r: measure_saturation(r, left=0.9, right=0.1), "0 < left < right < 1"),
        ({GATE: 0}, lambda r: measure_saturation(r, skip=-1), "not -1"),
    ],
)
def test_refusals_say_what_to_do(tmp_path, arrays, call, message):
    written = {name: _gates(1_000) for name in arrays}
    with (
        _written(tmp_path / "run.h5", written) as recording,
        pytest.raises(InterpError, match=message),
    ):
        call(recording)


def test_an_incomplete_recording_is_refused(tmp_path):
    with (
        _written(tmp_path / "run.h5", {GATE: _gates(1_000)}, complete=False) as recording,
        pytest.raises(InterpError, match="incomplete.*resume"),
    ):
        measure_saturation(recording)


def test_units_that_move_little_have_an_autocorrelation_and_constant_ones_none(tmp_path):
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.normal(size=(4_000, 1)), axis=0)
    slow -= slow.mean()
    values = np.concatenate([slow, 1e-9 * slow, np.full((4_000, 1), 0.1)], axis=1)
    path = write_recording(tmp_path / "run.h5", values.astype(np.float32), [0, 4_000])
    with interp.open(path) as recording:
        found, n_pairs = autocorrelation(recording, "lstm/l0/cell", max_lag=50)
    assert np.allclose(found[:, 1], found[:, 0], atol=1e-5)
    assert np.isnan(found[:, 2]).all() and np.isnan(crossing_time(found, n_pairs)[2])
