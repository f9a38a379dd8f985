"""Where a concept can be read: the same probe at every site, beside a model that learnt nothing.

    python -m probes.scripts.compare_layers run.h5 random.h5 string

`random.h5` is the same corpus through fresh weights: interp record ... --random-init.
"""

from __future__ import annotations

import sys

import interp
from probes import sweep


def main(path: str, random_path: str, concept: str) -> None:
    """Print one row per site, and write a figure."""
    with interp.open(path) as recording, interp.open(random_path) as random:
        found = sweep(recording, concept, random_init=random, control=False, description=False)
    print(found.to_frame().round(3).to_string(index=False))
    found.figure().write_html("layers.html")


if __name__ == "__main__":
    main(*sys.argv[1:])
