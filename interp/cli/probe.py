"""`interp probe`: how well a linear probe reads a concept, and what reads it without the model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from interp.cli import options as shared


def probe(
    recording: shared.Recording,
    concept: Annotated[str, typer.Option(help="An annotation or a built-in concept.")],
    sites: shared.UnitSites = None,
    without: shared.Without = None,
    together: Annotated[
        bool, typer.Option("--together", help="One probe on the units of all sites.")
    ] = False,
    kind: Annotated[
        str | None,
        typer.Option("--probe", help="logistic, ridge or k_sparse; default: by the labels."),
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="Units of a k_sparse probe.")] = 8,
    random_init: Annotated[
        Path | None,
        typer.Option(help="Recording of the same text with fresh weights, as a baseline."),
    ] = None,
    embedding: Annotated[
        str | None, typer.Option(help="Site of the embedding, as a baseline.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="No control task and no description length.")
    ] = False,
    fit: Annotated[int, typer.Option(min=100, help="Positions to fit on, at most.")] = 20_000,
    resamples: shared.Resamples = 500,
    skip_missing: shared.SkipMissing = False,
    seed: shared.Seed = 0,
    figure: shared.Figure = None,
    save: shared.Save = True,
    as_json: shared.AsJson = False,
) -> None:
    """Fit a probe at each site, and score it beside its baselines on unseen documents.

    Beside each score: what the majority, the current and the last tokens reach, a control task
    with labels drawn per context, and the length of the labels' online code.

    Example: interp probe run.h5 --concept string --sites "lstm/*" --random-init random.h5
    """
    from interp.showing import import_ours

    import_ours("probes")
    from probes.commands import probe_recording

    shared.check_figure(figure)
    sweep = probe_recording(
        recording, concept, sites, random_init, together, save, probe=kind, k=k,
        embedding=embedding, control=not quick, description=not quick, n_fit=fit,
        n_resamples=resamples, skip_missing=skip_missing, without=without or (), seed=seed,
    )  # fmt: skip
    for warning in dict.fromkeys(w for report in sweep.reports for w in report.warnings):
        print(f"interp: {sweep.concept}: {warning}.", file=sys.stderr)
    if figure is not None:
        sweep.figure().write_html(figure, include_plotlyjs=True)
    if as_json:
        print(json.dumps([report.to_dict() for report in sweep.reports], indent=2))
        return
    _print(sweep)


def _print(sweep: Any) -> None:
    from interp.cli.aligned import aligned
    from interp.cli.rank import print_left_out
    from probes.sites import copies_text

    first = sweep.reports[0]
    rate = "" if first.base_rate is None else f", {first.base_rate:.1%} of positions inside"
    print(f"{sweep.concept}: {first.metric}, {first.n_documents} test documents{rate}")
    print_left_out(first.left_out)
    for sentence in copies_text(sweep.copies):
        print(f"{sentence}.")
    print()
    keys = [key for key in first.row() if key not in ("sites", "n_units", "low", "high")]
    rows, headings = [], ["site"]
    for key in keys:
        headings += [key.replace("_", " "), *(["95 %"] if key == first.metric else [])]
    for report in sweep.reports:
        row = report.row()
        cells = [row["sites"]]
        for key in keys:
            cells.append(f"{row[key]:.3f}")
            if key == first.metric:
                cells.append(f"{row['low']:.3f} to {row['high']:.3f}")
        rows.append(cells)
    print(aligned(headings, rows))
    best = max(sweep.reports, key=lambda report: report.score)
    if best.top_units:
        units = ", ".join(f"{u['unit']} ({u['weight']:+.2f})" for u in best.top_units[:5])
        print(f"\nLargest weights at {' + '.join(best.sites)}: {units}.")
