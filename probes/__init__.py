"""Find and test what units stand for, from recordings.

>>> import interp, probes
>>> with interp.open("run.h5") as recording:  # doctest: +SKIP
...     ranking = probes.rank(recording, "string", "lstm/*")[0]
...     ranking.best.unit, ranking.best.auroc, ranking.best.interval
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__interp_package__ = True  # interp.showing.import_ours looks for it

#: Public name to the module that has it; nothing heavy is imported before it is used.
_PLACES = {
    "rank": "ranking",
    "Ranking": "findings",
    "UnitScore": "findings",
    "compute_auroc": "auroc",
    "bootstrap_auroc": "intervals",
    "benjamini_hochberg": "intervals",
    "ValueCounts": "metrics",
    "quantile_bins": "metrics",
    "search_units": "search",
    "similar_places": "search",
    "LogisticProbe": "estimators",
    "RidgeProbe": "estimators",
    "KSparseProbe": "estimators",
    "evaluate": "evaluation",
    "ProbeReport": "evaluation",
    "online_code": "mdl",
    "sweep": "layers",
    "read_results": "results",
    "score_heads": "heads.scores",
    "detect_induction": "heads.induction",
    "attention_rollout": "heads.rollout",
    "attention_flow": "heads.flow",
    "align_heads": "heads.reading",
    "score_alignment": "heads.alignment",
    "ablate": "cause.ablation",
    "steer": "cause.steering",
}
__all__ = [
    "KSparseProbe",
    "LogisticProbe",
    "ProbeReport",
    "Ranking",
    "RidgeProbe",
    "UnitScore",
    "ValueCounts",
    "ablate",
    "align_heads",
    "attention_flow",
    "attention_rollout",
    "benjamini_hochberg",
    "bootstrap_auroc",
    "compute_auroc",
    "detect_induction",
    "evaluate",
    "online_code",
    "quantile_bins",
    "rank",
    "read_results",
    "score_alignment",
    "score_heads",
    "search_units",
    "similar_places",
    "steer",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'probes' has no attribute {name!r}")
    return getattr(import_module(f"probes.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
