"""`interp rank`: which single units tell a concept, scored on documents they were not chosen on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def rank(
    recording: Annotated[Path, typer.Argument(help="Recording.")],
    concept: Annotated[str, typer.Option(help="A binary annotation, or a built-in concept.")],
    sites: Annotated[
        list[str] | None, typer.Option(help="Sites or patterns; default: all.")
    ] = None,
    best: Annotated[int, typer.Option(min=1, help="How many units to show.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the split and the resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rank units by how well each alone tells a concept.

    Units are chosen on half of the documents; the AUROC and its interval are of the other half.

    Example: interp rank run.h5 --concept string --sites "lstm/*"
    """
    from rich.console import Console
    from rich.table import Table

    from interp.showing import import_ours

    import_ours("probes")
    from probes.commands import rank_recording

    scores = rank_recording(recording, concept, sites, best, seed)
    if as_json:
        print(json.dumps([score.to_dict() for score in scores], indent=2))
        return
    table = Table(title=f"{concept}: {scores[0].n_documents} test documents, "
                  f"{scores[0].base_rate:.1%} of positions inside")  # fmt: skip
    for heading in ("unit", "inside", "chosen at", "AUROC", "95 % interval"):
        table.add_column(heading, justify="left" if heading in ("unit", "inside") else "right")
    for score in scores:
        table.add_row(
            score.unit,
            "on" if score.sign > 0 else "off",
            f"{score.selection_auroc:.3f}",
            f"{score.auroc:.3f}",
            f"{score.interval[0]:.3f} to {score.interval[1]:.3f}",
        )
    Console().print(table)
