"""Score an estimator of your own beside the baselines that every probe is reported with.

python -m probes.scripts.probe_with_own_estimator run.h5 string lstm/l1/cell
"""

from __future__ import annotations

import sys

from sklearn.ensemble import HistGradientBoostingClassifier

import interp
from probes import evaluate


def main(path: str, concept: str, site: str) -> None:
    """Print score, baselines and selectivity."""
    with interp.open(path) as recording:
        report = evaluate(recording, concept, site, probe=HistGradientBoostingClassifier())
    print(
        f"{report.metric} {report.score:.3f} [{report.interval[0]:.3f}, {report.interval[1]:.3f}]"
    )
    for name, scores in report.baselines.items():
        print(f"  {name}: {scores[report.metric]:.3f}")
    # An estimator that learns arbitrary labels as easily says little about the model.
    print(f"  selectivity: {report.control['selectivity']:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
