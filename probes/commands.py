"""What the command line asks of the probes: from a recording's path to a finding beside it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import interp
from probes.evaluation import evaluate
from probes.findings import Ranking
from probes.ranking import rank
from probes.results import write_result
from probes.sweep import Sweep, sweep


def rank_recording(
    path: Path, concepts: Sequence[str], save: bool = True, **options: Any
) -> list[Ranking]:
    """Rank the units of a recording for some concepts, and keep the findings beside it.

    Parameters
    ----------
    path : Path
        A complete recording.
    concepts : sequence of str
        Annotations or built-in concepts.
    save : bool
        Write each finding into ``run.results/``.
    **options
        Of :func:`probes.ranking.rank`.

    Returns
    -------
    list of Ranking
    """
    with interp.open(path) as recording:
        found = rank(recording, concepts, **options)
        for ranking in found if save else ():
            write_result(recording, "rank", ranking.concept, ranking.parameters, ranking.to_dict())
    return found


def probe_recording(
    path: Path,
    concept: str,
    sites: Sequence[str] | None = None,
    random_init: Path | None = None,
    together: bool = False,
    save: bool = True,
    **options: Any,
) -> Sweep:
    """Evaluate a probe at each site of a recording, and keep the reports beside it.

    Parameters
    ----------
    path : Path
        A complete recording.
    concept : str
    sites : sequence of str, optional
        Names or patterns; default: all.
    random_init : Path, optional
        Recording of the same text with fresh weights.
    together : bool
        One probe on the units of all sites instead.
    save : bool
        Write the reports into ``run.results/``.
    **options
        Of :func:`probes.evaluation.evaluate`.
    """
    with ExitStack() as stack:
        recording = stack.enter_context(interp.open(path))
        if random_init is not None:
            options["random_init"] = stack.enter_context(interp.open(random_init))
        if together:
            report = evaluate(recording, concept, sites, **options)
            found = Sweep(report.concept, [report])
        else:
            found = sweep(recording, concept, sites, **options)
        for report in found.reports if save else ():
            write_result(recording, "probe", report.concept, report.parameters, report.to_dict())
    return found
