"""What the command line asks of the probes: from a recording's path to a finding beside it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import interp
from interp.selection import Place
from probes.evaluation import evaluate
from probes.findings import Ranking
from probes.layers import Sweep, sweep
from probes.ranking import rank
from probes.results import write_result
from probes.search import search_units, similar_places


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
        Write the report into ``run.results/``, as a ``sweep`` where there are several.
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
        if save:
            _keep(recording, found)
    return found


def _keep(recording: Any, found: Sweep) -> None:
    """Write one result: layers that were asked for together are compared in one figure."""
    first = found.reports[0]
    if len(found.reports) == 1:
        write_result(recording, "probe", first.concept, first.parameters, first.to_dict())
        return
    parameters = {
        **first.parameters,
        "sites": [site for report in found.reports for site in report.sites],
        "probe": [report.parameters["probe"] for report in found.reports],  # penalties differ
    }
    write_result(recording, "sweep", first.concept, parameters, found.to_dict())


def search_recording(
    path: Path,
    positions: str,
    sites: Sequence[str] | None = None,
    n_best: int = 10,
    n_units: int = 5,
) -> dict[str, Any]:
    """Return the units that stretches of text have in common, and places like them.

    Parameters
    ----------
    path : Path
        A recording.
    positions : str
        Such as ``doc3:100-160,doc5`` (see :mod:`interp.selection`).
    sites : sequence of str, optional
        Names or patterns; default: all.
    n_best : int
        How many units and places.
    n_units : int
        How many units decide what is a similar place.

    Returns
    -------
    dict
        ``units`` and ``places``, JSON-able, a place with its text and where it is; and ``copies``,
        the sites that were left out since they hold the values of another one.
    """
    with interp.open(path) as recording:
        stream = recording.stream()
        ranges = [Place.parse(part).rows(stream) for part in positions.split(",")]
        units = search_units(recording, ranges, sites, n_best=n_best)
        places = similar_places(recording, ranges, units[:n_units], n_best=n_best)
        shown = []
        for place in places:
            document = stream.documents[place.document]
            first, last = place.start - document.start, place.stop - document.start - 1
            text = "".join(stream.tokens[place.start : place.stop]) if stream.tokens else ""
            shown.append(
                place.to_dict() | {"where": f"doc{place.document}:{first}-{last}", "text": text}
            )
        return {
            "units": [unit.to_dict() for unit in units], "places": shown, "copies": units.copies
        }  # fmt: skip
