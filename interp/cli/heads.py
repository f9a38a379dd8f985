"""`interp heads`: what attention heads do, with chance and fixed offsets beside each figure."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from interp.cli import options
from interp.cli.progress import progress_of


def heads(
    source: Annotated[
        str, typer.Argument(help="A recording with attention; with --induction a model.")
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="A measure, such as induction or entropy; default: all. Repeatable."),
    ] = None,
    sites: Annotated[
        list[str] | None,
        typer.Option(help="Attention sites or patterns; default: all. Repeatable."),
    ] = None,
    sort: Annotated[str | None, typer.Option(help="The measure to sort heads by.")] = None,
    best: Annotated[int, typer.Option(min=1, help="How many heads to show.")] = 20,
    separator: Annotated[
        list[str] | None,
        typer.Option(help="A token that separates; default: [SEP] and the like. Repeatable."),
    ] = None,
    alignment: Annotated[
        bool, typer.Option("--alignment", help="How cross-attention walks through the source.")
    ] = False,
    induction: Annotated[
        bool, typer.Option("--induction", help="Run a model on repeated random tokens.")
    ] = False,
    weights: options.Weights = None,
    documents: Annotated[int, typer.Option(min=2, help="With --induction: how many.")] = 64,
    length: Annotated[
        int | None, typer.Option(min=16, help="With --induction: tokens of each; default: 128.")
    ] = None,
    resamples: options.Resamples = 500,
    seed: options.Seed = 0,
    save: options.Save = True,
    as_json: options.AsJson = False,
) -> None:
    """Measure attention heads, over the rows that can show each pattern.

    A star stands where the interval lies above both what equal weights reach and what attending
    at the best fixed offset reaches.

    Example: interp heads run.h5 --metric induction

    Example: interp heads zoo:induction --induction
    """
    from interp.errors import InterpError
    from interp.showing import import_ours

    import_ours("probes")
    from probes.heads.commands import alignment_of_recording, heads_of_recording

    if induction and alignment:
        raise InterpError("Ask for --induction of a model or for --alignment of a recording.")
    if not induction and not Path(source).exists() and source.partition(":")[2]:
        raise InterpError(
            f"{source} is a model. Record its attention with interp record, or add --induction to "
            "run it on repeated random tokens."
        )
    if induction:
        _induction(source, weights, documents, length, sites, resamples, seed, best, as_json)
        return
    if alignment:
        found = alignment_of_recording(Path(source), sites, resamples, seed, save)
        print(json.dumps(found, indent=2) if as_json else _alignment_text(found))
        return
    table = heads_of_recording(
        Path(source), metric, sites, separator, resamples, seed, save,
        progress_of("maps (a site on a document)"),
    )  # fmt: skip
    for warning in table.warnings:
        print(f"interp: {warning}.", file=sys.stderr)
    if as_json:
        print(json.dumps(table.to_dict(), indent=2))
        return
    print(_table_text(table, sort, best))


def _table_text(table: Any, sort: str | None, best: int) -> str:
    from interp.cli.aligned import aligned
    from interp.errors import InterpError, unknown_name

    named = [name for name in table.metrics if any(s.value is not None for s in table.of(name))]
    if sort is not None and sort not in table.metrics:
        raise InterpError(unknown_name("metric in this table", sort, table.metrics))
    missing = [name for name in table.metrics if name not in named]
    reasons = "\n".join(f"{name}: {table.of(name)[0].reason}." for name in missing)
    if not named:
        return reasons
    by = sort or ("induction" if "induction" in named else named[0])
    order = [score.head for score in table.of(by)][:best]
    if len(named) == 1:
        cells = [_single(table.score(head, named[0])) for head in order]
        filled = [i for i in range(len(_SINGLE)) if any(row[i] for row in cells)]
        text = aligned([_SINGLE[i] for i in filled], [[row[i] for i in filled] for row in cells])
    else:
        rows = [[head, *(_cell(table.score(head, name)) for name in named)] for head in order]
        rows += [
            ["equal weights", *(_spread(table, name, "chance") for name in named)],
            ["best fixed offset", *(_spread(table, name, "baseline") for name in named)],
        ]
        text = aligned(["head", *(name.replace("_", " ") for name in named)], rows)
    shown = f"{len(order)} of {len(table.heads)} heads, sorted by {by.replace('_', ' ')}"
    return "\n".join(part for part in (text, "", shown, reasons) if part or part == "")


_SINGLE = [
    "head", "value", "95 %", "equal weights", "best fixed offset", "offset", "rows", "documents",
]  # fmt: skip


def _single(score: Any) -> list[str]:
    low, high = score.interval
    return [
        score.head,
        _cell(score),
        "" if low != low else f"{low:.3f} to {high:.3f}",
        "" if score.chance is None else f"{score.chance:.3f}",
        "" if score.baseline is None else f"{score.baseline:.3f}",
        "" if score.offset is None else f"{score.offset:+d}",
        f"{score.n_rows:,}",
        f"{score.n_documents:,}",
    ]


#: Measures for which high is not a finding.
_PLAIN = ("entropy", "relative_entropy", "distance", "best_offset")


def _cell(score: Any) -> str:
    if score.value is None:
        return ""
    if score.metric == "best_offset":
        return f"{score.value:.3f} at {score.offset:+d}"
    star = "*" if score.stands_out and score.metric not in _PLAIN else " "
    return f"{score.value:.3f}{star}"


def _spread(table: Any, name: str, what: str) -> str:
    found = [getattr(score, what) for score in table.of(name)]
    known = sorted({f"{value:.3f}" for value in found if value is not None}, key=float)
    if not known:
        return ""
    return f"{known[0]} " if len(known) == 1 else f"{known[0]}-{known[-1]} "


def _alignment_text(found: dict[str, dict[str, Any]]) -> str:
    from interp.cli.aligned import aligned

    parts = ("strict_steps", "strict_documents", "spearman", "diagonal")
    headings = ["head"]
    for part in parts:
        headings += [part.replace("_", " "), "95 %"]
    rows = []
    for head, score in found.items():
        row = [head]
        for part in parts:
            value, interval = score[part], score[f"{part}_interval"]
            row.append("" if value is None else f"{value:.3f}")
            row.append("" if None in interval else f"{interval[0]:.3f} to {interval[1]:.3f}")
        rows.append(row)
    first = next(iter(found.values()))
    return (
        aligned(headings, rows)
        + f"\n\n{first['n_documents']:,} documents, {first['n_steps']:,} steps after their first"
    )


def _induction(
    source: str,
    weights: Path | None,
    documents: int,
    length: int | None,
    sites: list[str] | None,
    resamples: int,
    seed: int,
    best: int,
    as_json: bool,
) -> None:
    from interp.cli.aligned import aligned
    from interp.models import load
    from probes.heads.induction import detect_induction

    report = detect_induction(
        load(source, weights), documents, length,
        sites=sites or "**/attention", n_resamples=resamples, seed=seed,
        progress=progress_of("documents"),
    )  # fmt: skip
    for warning in report.warnings:
        print(f"interp: {warning}.", file=sys.stderr)
    if as_json:
        print(json.dumps(report.to_dict(), indent=2))
        return
    rows = []
    for head in report.heads[:best]:
        prefix = head.prefix_matching
        rows.append([
            head.head,
            "induction" if head.is_induction else "",
            *_single(prefix)[1:5],
            f"{head.control:.3f}",
            f"{head.previous:.3f}",
            "" if head.copying is None else f"{head.copying:.3f}",
        ])  # fmt: skip
    headings = ["head", "", "prefix matching", *_SINGLE[2:5], "no repeat", "previous", "copying"]
    print(aligned(headings, rows, n_left=2))
    n = len(report.induction_heads)
    verdict = f"{n} of {len(report.heads)} heads are induction heads" if n else "no induction head"
    print(
        f"\n{verdict}. Second block: loss {report.loss:.3f} nats, {report.accuracy:.1%} right; "
        f"fresh tokens there: {report.control_loss:.3f}, {report.control_accuracy:.1%} "
        f"({report.n_documents} documents, {report.n_rows:,} rows)."
    )
