"""Write into a model card which units tell the concepts of Python source, and what they do.

    python -m probes.scripts.describe_units interp/models/zoo/code-lstm

records the model over the held-out standard library, ranks every hidden unit (and cell) for each
concept, and writes the best one of each into ``card.json`` and ``MODEL_CARD.md``; of quoted
strings also the best one where neither their marks nor docstrings are scored. With ``--cause`` it
also clamps units of these concepts in the model. The same figures come from

    interp record zoo:code-lstm stdlib:test -o run.h5 --sites '**/hidden' --sites '**/cell'
    interp rank run.h5 --concept string
    interp annotate run.h5 quoted_string --delimiters apart --name quoted_content
    interp rank run.h5 --concept quoted_content --without triple_quoted_string
    interp ablate run.h5 --concept quoted_string --top 12 --documents selection --random 0 \
        --matched 0 --read 16384
    interp ablate run.h5 UNIT --concept quoted_string --read 40960
    interp ablate run.h5 UNIT --concept if_condition --read 122880
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import interp
from interp.annotations.recordings import annotate_recording, label_concepts
from interp.models.zoo import load_folder
from interp.training.card import write_card
from probes.cause.ablation import ablate
from probes.cause.findings import Ablation
from probes.findings import Ranking
from probes.labels import NO_LABEL
from probes.ranking import rank

#: Concepts of which a second reading is given, and the other concept that it leaves out.
READ_APART = {"quoted_string": "triple_quoted_string"}
CONCEPTS = ["string", "quoted_string", "triple_quoted_string", "comment", "if_condition"]
#: Units by AUROC that are clamped to find the one that matters most, and positions read for that.
N_TRIED, N_READ_TO_CHOOSE = 12, 16_384
#: Positions read for the figures; more where a concept ends rarely.
N_READ, N_READ_OF = 40_960, {"if_condition": 122_880}


def record_held_out(folder: Path, path: Path, corpus: str) -> Path:
    """Record hidden states (and cells) of the model in `folder`, with the concepts annotated."""
    sites = ["**/hidden", "**/cell"] if "lstm" in folder.name else ["**/hidden"]
    interp.record(load_folder(folder), corpus, path, sites=sites, top_k=0)
    annotate_recording(path, CONCEPTS)
    return path


def describe_units(recording: Any, concepts: list[str]) -> list[dict[str, Any]]:
    """Return the best unit for each concept, and for the second reading of those that have one.

    Parameters
    ----------
    recording : Recording
    concepts : list of str

    Returns
    -------
    list of dict
        As :class:`probes.findings.UnitScore`, with ``null_95``, ``auroc_of_best_32``, and in
        ``left_out`` the positions that were not scored, by reason: the marks of the concept, and
        what another one holds. It is empty where all were.
    """
    options: dict[str, Any] = {"curve": (1, 32), "n_best": 1}
    found = {ranking.concept: [ranking] for ranking in rank(recording, concepts, **options)}
    for concept, other in READ_APART.items():
        if concept in found:
            content = label_concepts(recording, [concept], delimiters="apart")[0].values
            found[concept] += rank(
                recording, {concept: content}, without=[other], skip_missing=True, **options
            )
    return [_unit_row(ranking) for rankings in found.values() for ranking in rankings]


def _unit_row(ranking: Ranking) -> dict[str, Any]:
    left_out = {
        "marks" if reason == NO_LABEL else reason: n for reason, n in ranking.left_out.items()
    }
    return ranking.best.to_dict() | {
        "null_95": ranking.null_95,
        "auroc_of_best_32": ranking.curve[-1].score,
        "left_out": left_out if ranking.parameters["without"] else {},
    }


def describe_causes(
    recording: Any, folder: Path, concepts: list[str], n_read: int | None = None
) -> list[dict[str, Any]]:
    """Return what clamping costs, for the unit that tells each concept best and the one that costs.

    The unit that costs most is chosen among the `N_TRIED` best by AUROC on the selection
    documents; the figures are of the test documents.
    """
    adapter = load_folder(folder)
    rows = []
    for concept in concepts:
        ranking = rank(recording, concept, n_best=N_TRIED, n_swaps=0, n_resamples=200)[0]
        scores = {score.unit: score for score in ranking.scores}
        tried = ablate(
            recording, list(scores), concept, model=adapter, documents="selection",
            n_positions=N_READ_TO_CHOOSE, n_random=0, n_matched=0,
        )  # fmt: skip
        costs = {found.unit: found.effects["end"].effect for found in tried}
        costliest = max(costs, key=lambda unit: costs[unit])
        chosen = list(dict.fromkeys([ranking.best.unit, costliest]))
        n_positions = n_read or N_READ_OF.get(concept, N_READ)
        for found in ablate(recording, chosen, concept, model=adapter, n_positions=n_positions):
            rank_of = list(scores).index(found.unit) + 1
            found.auroc = scores[found.unit].auroc
            rows.append(_row(found) | {"rank": rank_of, "sign": scores[found.unit].sign})
    return rows


def _row(found: Ablation) -> dict[str, Any]:
    row = found.to_dict()
    for effect in row["effects"].values():
        for kind in ("random", "matched"):
            effect[kind] = {
                key: value for key, value in effect[kind].items() if key not in ("units", "effects")
            }
    return row


def main() -> None:
    """Read the arguments, write the card, and print one line per concept."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="a folder that `interp train` wrote")
    parser.add_argument("--concept", action="append", help="default: those of the bundled models")
    parser.add_argument("--cause", action="append", help="also clamp units of this concept")
    parser.add_argument("--only-causes", action="store_true", help="leave the ranking as it is")
    parser.add_argument("--corpus", default="stdlib:test")
    parser.add_argument("--read", type=int, help="positions read with a clamp")
    parser.add_argument("--recording", type=Path, help="of the model, complete, with the concepts")
    arguments = parser.parse_args()
    folder = arguments.folder
    card = json.loads((folder / "card.json").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        path = arguments.recording or record_held_out(
            folder, Path(scratch) / "run.h5", arguments.corpus
        )
        with interp.open(path) as recording:
            if not arguments.only_causes:
                card["units"] = describe_units(recording, arguments.concept or CONCEPTS)
            if arguments.cause:
                card["causes"] = describe_causes(recording, folder, arguments.cause, arguments.read)
    causes = "".join(f" --cause {concept}" for concept in arguments.cause or [])
    card["units_command"] = f"python -m probes.scripts.describe_units {folder.name}{causes}"
    write_card(folder, card)
    _print(card)


def _print(card: dict[str, Any]) -> None:
    for row in card["units"]:
        low, high = row["interval"]
        name = row["concept"] + ("*" if row.get("left_out") else "")
        print(f"{name:>22}  {row['unit']:<20} {'on' if row['sign'] > 0 else 'off':<4}"
              f"AUROC {row['auroc']:.3f} [{low:.3f}, {high:.3f}]  AP {row['average_precision']:.3f}"
              f"  null {row['null_95']:.3f}  best 32: {row['auroc_of_best_32']:.3f}")  # fmt: skip
    if any(row.get("left_out") for row in card["units"]):
        print(f"{'':>22}  * its marks and docstrings are not scored")
    for row in card.get("causes", []):
        end, elsewhere = row["effects"]["end"], row["effects"]["elsewhere"]
        low, high = end["interval"]
        print(f"{row['concept']:>22}  {row['unit']:<20} rank {row['rank']:<3} clamped: "
              f"{end['effect']:+.3f} [{low:+.3f}, {high:+.3f}] nats at {end['n_positions']} ends "
              f"(random {end['random']['highest']:+.3f}, matched {end['matched']['highest']:+.3f})"
              f", {elsewhere['effect']:+.3f} elsewhere")  # fmt: skip


if __name__ == "__main__":
    main()
