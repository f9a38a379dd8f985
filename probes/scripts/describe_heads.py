"""Write into a model card which heads of a Transformer continue repeated text.

    python -m probes.scripts.describe_heads interp/models/zoo/code-transformer

The same figures come from

    interp heads zoo:code-transformer --induction
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from interp.models.zoo import load_folder
from interp.training.card import write_card
from probes.heads.induction import detect_induction

N_SHOWN = 4


def describe_heads(folder: Path) -> dict[str, Any]:
    """Return the heads with the most prefix matching, and the best previous-token head."""
    found = detect_induction(load_folder(folder)).to_dict()
    shown = found["heads"][:N_SHOWN]
    before = max(found["heads"], key=lambda row: row["previous"])
    return found | {
        "n_heads": len(found["heads"]),
        "heads": shown if before in shown else [*shown, before],
    }


def main(arguments: list[str] | None = None) -> None:
    """Fill the card of one folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    card = json.loads((folder / "card.json").read_text("utf-8"))
    card["heads"] = describe_heads(folder)
    write_card(folder, card)


if __name__ == "__main__":
    main()
