"""T8: gates and timescales of the bundled LSTMs, on source that they were not trained on."""

import pytest

import interp
from interp.corpora.standard_library import read_part
from probes.dynamics import measure_saturation, measure_timescales


@pytest.fixture(scope="module", params=["zoo:code-lstm", "zoo:code-lstm-small"])
def recording(request, tmp_path_factory):
    files = [file for file in read_part("stdlib:test") if len(file.text) >= 2_000][:8]
    path = tmp_path_factory.mktemp("code-lstm") / "run.h5"
    texts = {file.name: file.text[:2_000] for file in files}
    sites = ["lstm/*/forget_gate", "lstm/*/cell"]
    interp.record(request.param, texts, path, sites=sites, top_k=0)
    with interp.open(path) as found:
        yield found


def test_some_forget_gates_are_nearly_always_open_and_none_nearly_always_shut(recording):
    found = measure_saturation(recording, skip=100)
    assert found.n_documents == 8
    for gate in found.gates:
        assert gate.n_always_right >= 5 and gate.n_always_left == 0


def test_what_the_gates_promise_is_how_slowly_the_cells_change(recording):
    for layer in measure_timescales(recording, skip=100).layers:
        assert layer.spearman > 0.6
