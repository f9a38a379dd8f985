"""Find the unit that tells a concept of your own, given as a function of the text.

    python -m probes.scripts.find_unit run.h5

Change `labels`: it says for every character of a document whether the concept is on.
"""

from __future__ import annotations

import sys

import interp
from interp.annotations.recordings import label_with_function
from probes import rank


def labels(text: str) -> list[bool]:
    """Return whether each character is part of an import statement's line."""
    return [
        on
        for line in text.splitlines(keepends=True)
        for on in [line.lstrip().startswith(("import ", "from "))] * len(line)
    ]


def main(path: str) -> None:
    """Rank the units of a recording and print the best."""
    with interp.open(path) as recording:
        values = label_with_function(recording, labels, "import").values
        ranking = rank(recording, {"import": values}, n_best=5, curve=(1, 4, 16))[0]
    for score in ranking.scores:
        side = "on" if score.sign > 0 else "off"
        low, high = score.interval
        print(f"{score.unit:<20} {side:<4} AUROC {score.auroc:.3f} [{low:.3f}, {high:.3f}]")
    print(f"null {ranking.null_95:.3f}, best 16 units {ranking.curve[-1].score:.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
