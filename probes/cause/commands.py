"""What the command line asks: from a recording's path to ablations and steering kept beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import interp
from interp.errors import InterpError
from probes.cause.ablation import ablate
from probes.cause.findings import Ablation
from probes.cause.steering import Steering, steer
from probes.findings import UnitScore
from probes.ranking import rank
from probes.results import write_result


def ablate_recording(
    path: Path,
    units: Sequence[str],
    concept: str,
    top: int = 0,
    sites: Sequence[str] | None = None,
    save: bool = True,
    **options: Any,
) -> list[Ablation]:
    """Ablate units of a recording's model, and keep the findings beside the recording.

    Parameters
    ----------
    path : Path
        A complete recording.
    units : sequence of str
        Selections; each is clamped together.
    concept : str
    top : int
        Also so many units that tell the concept best, by AUROC on the selection documents.
    sites : sequence of str, optional
        Where those are looked for; default: all recorded sites.
    save : bool
        Write each finding into ``run.results/``.
    **options
        Of :func:`probes.cause.ablate`.
    """
    if not units and not top:
        raise InterpError(
            "Name units to clamp, such as lstm/l0/cell:87, or let --top 10 choose those that tell "
            "the concept best."
        )
    with interp.open(path) as recording:
        scores: dict[str, UnitScore] = {}
        if top:
            scores = top_units(recording, concept, sites, top, options)
        found = ablate(recording, list(dict.fromkeys([*units, *scores])), concept, **options)
        for ablation in found:
            if score := scores.get(ablation.unit):
                ablation.auroc, ablation.selection_auroc = score.auroc, score.selection_auroc
            if save:
                name = f"{ablation.concept} {ablation.unit}"
                write_result(recording, "ablate", name, ablation.parameters, ablation.to_dict())
    return found


def top_units(
    recording: Any,
    concept: str,
    sites: Sequence[str] | None,
    n_best: int,
    options: dict[str, Any],
) -> dict[str, UnitScore]:
    """Return the units that tell a concept best on the selection documents, best first.

    Parameters
    ----------
    recording : Recording
    concept : str
    sites : sequence of str, optional
    n_best : int
    options : dict
        ``seed``, ``skip_missing`` and ``without`` of the ablation, so that the halves and what is
        scored are the same.
    """
    same = {key: options[key] for key in ("seed", "skip_missing", "without") if key in options}
    (ranking,) = rank(recording, concept, sites, n_best=n_best, n_swaps=0, n_resamples=100, **same)
    return {score.unit: score for score in ranking.scores}


def steer_recording(
    path: Path, units: Sequence[str], concept: str, save: bool = True, **options: Any
) -> list[Steering]:
    """Steer units of a recording's model, and keep what was seen beside the recording.

    Parameters
    ----------
    path : Path
        A complete recording.
    units : sequence of str
        Selections; each is steered by itself.
    concept : str
    save : bool
        Write each finding into ``run.results/``.
    **options
        Of :func:`probes.cause.steer`.
    """
    if not units:
        raise InterpError("Name the units to steer, such as lstm/l0/cell:87.")
    found = []
    with interp.open(path) as recording:
        for unit in units:
            steering = steer(recording, unit, concept, **options)
            if save:
                name = f"{steering.concept} {steering.unit}"
                write_result(recording, "steer", name, steering.parameters, steering.to_dict())
            found.append(steering)
    return found
