"""Heads put out in a recording's model: the bundled induction net, whose heads are known."""

import numpy as np
import pytest

import interp
from interp.errors import InterpError, SiteError
from interp.models.attention_only import SYMBOLS
from interp.training.induction import head_scores, repeated_blocks
from probes.cause import ablate


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("heads") / "run.h5"
    ids, foreseen = repeated_blocks(np.random.default_rng(7), 40)
    texts = {f"doc{i}.txt": "".join(SYMBOLS[s] for s in row[:64]) for i, row in enumerate(ids)}
    interp.record("zoo:induction", texts, path, sites=["layers.0.out/output"])
    with interp.open(path) as found:
        found.write_annotation("copy", foreseen[:, :64].reshape(-1), kind="binary")
        yield found


def test_induction_fails_without_the_heads_that_do_it(recording):
    """All heads of a layer at their mean: the copy is no longer foreseen, the noise not worse."""
    from interp.models import load

    (previous, _), (_, prefix) = head_scores(load("zoo:induction").adapter, 20)
    units = ["layers.0/attention:0-3", "layers.1/attention:0-3",
             f"layers.0/attention:{int(np.argmax(previous))}",
             f"layers.1/attention:{int(np.argmax(prefix))}"]  # fmt: skip
    first, second, one, other = ablate(
        recording, units, "copy", n_random=6, n_matched=6, n_positions=1300
    )
    for found in (first, second):
        assert found.effects["inside"].effect > 2
        # The net only ever learnt copies: without its heads it is less sure about the noise.
        assert found.effects["outside"].effect < 0.1
        assert found.effects["inside"].random is None  # no other four heads
    assert len(one.effects["inside"].random.units) == 6
    assert {unit.split(":")[0] for unit in one.effects["inside"].random.units} == {
        "layers.0/attention", "layers.1/attention"}  # fmt: skip
    assert max(one.effects["inside"].effect, other.effects["inside"].effect) > 0.02


def test_heads_have_no_single_value(recording):
    with pytest.raises(InterpError, match="zero or to its mean"):
        ablate(recording, "layers.0/attention:0", "copy", mode="inside")
    with pytest.raises(SiteError, match="nearest: layers"):
        ablate(recording, "layers.5/attention:0", "copy", n_positions=200)
    with pytest.raises(InterpError, match=r"head 4 of layers.0/attention .* 4 heads"):
        ablate(recording, "layers.0/attention:4", "copy", n_positions=200)
