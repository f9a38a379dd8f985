"""What the command line asks of the probes: from a recording's path to a finding beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import interp
from probes.findings import Ranking
from probes.ranking import rank
from probes.results import write_result


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
