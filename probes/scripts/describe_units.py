"""Write into a model card which units tell the concepts of Python source.

    python -m probes.scripts.describe_units interp/models/zoo/code-lstm

records the model over the held-out standard library, ranks every hidden unit (and cell) for each
concept, and writes the best one of each into ``card.json`` and ``MODEL_CARD.md``. The same
figures come from

    interp record zoo:code-lstm stdlib:test -o run.h5 --sites '**/hidden,**/cell'
    interp rank run.h5 --concept string
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import interp
from interp.annotations.recordings import annotate_recording
from interp.models.zoo import load_folder
from interp.training.card import write_card
from probes.ranking import rank

CONCEPTS = ["string", "quoted_string", "triple_quoted_string", "comment", "if_condition"]


def describe_units(folder: Path, concepts: list[str], corpus: str = "stdlib:test") -> list[dict]:
    """Return the best unit for each concept, and write them into the card in `folder`."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "run.h5"
        sites = ["**/hidden", "**/cell"] if "lstm" in folder.name else ["**/hidden"]
        interp.record(load_folder(folder), corpus, path, sites=sites, top_k=0)
        annotate_recording(path, concepts)
        with interp.open(path) as recording:
            found = rank(recording, concepts, curve=(1, 32), n_best=1)
    rows = []
    for ranking in found:
        row = ranking.best.to_dict()
        row |= {"null_95": ranking.null_95, "auroc_of_best_32": ranking.curve[-1].score}
        rows.append(row)
    card = json.loads((folder / "card.json").read_text())
    card["units"] = rows
    card["units_command"] = f"python -m probes.scripts.describe_units {folder.name}"
    write_card(folder, card)
    return rows


def main() -> None:
    """Read the arguments and print one line per concept."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="a folder that `interp train` wrote")
    parser.add_argument("--concept", action="append", help="default: those of the bundled models")
    arguments = parser.parse_args()
    for row in describe_units(arguments.folder, arguments.concept or CONCEPTS):
        low, high = row["interval"]
        print(f"{row['concept']:>22}  {row['unit']:<20} {'on' if row['sign'] > 0 else 'off':<4}"
              f"AUROC {row['auroc']:.3f} [{low:.3f}, {high:.3f}]  AP {row['average_precision']:.3f}"
              f"  null {row['null_95']:.3f}  best 32: {row['auroc_of_best_32']:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
