"""What the card of the bundled LSTM says of its units; and it is so on other pieces of text."""

import pytest

import interp
import probes
from interp.models import zoo
from probes.cause import ablate
from tests.known_answers.conftest import code_pieces


@pytest.mark.parametrize("name", ["code-lstm", "code-lstm-small"])
def test_the_card_states_what_clamping_costs(name):
    card = zoo.card(name)
    readable = (zoo.folder(name) / "MODEL_CARD.md").read_text()
    for row in card["causes"]:
        end = row["effects"]["end"]
        assert row["parameters"]["weights_hash"] == card["weights_hash"]
        assert f"`{row['unit']}`" in readable and f"{end['effect']:+.3f}" in readable
        assert row["parameters"]["n_random"] == row["parameters"]["n_matched"] == 30
    best = max(card["causes"], key=lambda row: row["effects"]["end"]["effect"])
    assert best["effects"]["end"]["effect"] > best["effects"]["end"]["random"]["highest"]


def _most_used() -> dict:
    rows = [row for row in zoo.card("code-lstm")["causes"] if row["concept"] == "quoted_string"]
    return max(rows, key=lambda row: row["effects"]["end"]["effect"])


def test_one_unit_of_the_large_net_tells_strings_and_one_conditions():
    rows = {row["concept"]: row for row in zoo.card("code-lstm")["units"]}
    string, condition = rows["quoted_string"], rows["if_condition"]
    assert string["auroc"] >= 0.97 and string["interval"][0] >= 0.93 and condition["auroc"] >= 0.95
    assert string["n_documents"] + 1 >= 28 and string["auroc"] > string["null_95"] + 0.2


def test_the_large_nets_string_unit_is_used_and_only_at_closing_marks():
    causal = _most_used()
    end, elsewhere = causal["effects"]["end"], causal["effects"]["elsewhere"]
    assert end["effect"] >= 0.5 and abs(elsewhere["effect"]) <= 0.05
    assert end["effect"] > max(end["random"]["highest"], end["matched"]["highest"])
    assert causal["rank"] <= 5


def test_the_unit_of_the_card_tells_and_costs_on_other_text_too(tmp_path):
    pieces = {name: text[:1200] for name, text in list(code_pieces().items())[:14]}
    unit = _most_used()["unit"]
    site = unit.rpartition(":")[0]
    interp.record("zoo:code-lstm", pieces, tmp_path / "run.h5", sites=[site], top_k=0)
    with interp.open(tmp_path / "run.h5") as recording:
        best = probes.rank(recording, "quoted_string", site, n_best=1, n_swaps=0)[0].best
        found = ablate(recording, unit, "quoted_string", documents="all", n_random=5,
                       n_matched=0)[0]  # fmt: skip
    assert best.unit == unit and best.auroc >= 0.97
    assert found.effects["end"].effect > max(0.3, found.effects["end"].random.highest)
    assert abs(found.effects["elsewhere"].effect) < 0.05
