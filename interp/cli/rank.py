"""`interp rank`: which single units tell a concept, scored on documents they were not chosen on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from interp.cli import options as shared
from interp.cli.progress import progress_of


def rank(
    recording: shared.Recording,
    concept: Annotated[
        list[str] | None, typer.Option(help="An annotation or a built-in concept. Repeatable.")
    ] = None,
    positions: Annotated[
        str | None,
        typer.Option(help="Instead of a concept: stretches of text, such as doc3:100-160,doc5."),
    ] = None,
    sites: shared.UnitSites = None,
    without: shared.Without = None,
    by: Annotated[
        str | None,
        typer.Option(help="auroc, average_precision, r, spearman or mutual_information."),
    ] = None,
    best: Annotated[int, typer.Option(min=1, help="How many units to show.")] = 10,
    curve: Annotated[
        int, typer.Option(min=0, help="Probes on the best 1, 2, 4, ... units, up to this many.")
    ] = 32,
    resamples: shared.Resamples = 500,
    swaps: Annotated[
        int, typer.Option(min=0, help="Of label tracks between documents, for the null.")
    ] = 200,
    skip_missing: shared.SkipMissing = False,
    seed: shared.Seed = 0,
    save: shared.Save = True,
    as_json: shared.AsJson = False,
) -> None:
    """Rank units by how well each alone tells a concept.

    Units are chosen on half of the documents; AUROC, average precision and their intervals are of
    the other half. The null says what the best of all units reaches when label tracks are swapped
    between documents.

    With --positions: the units that are on in these stretches and off elsewhere, or the other way
    round, and other places where they behave the same way.

    Example: interp rank run.h5 --concept string --sites "lstm/*"

    Example: interp rank run.h5 --concept quoted_string --without triple_quoted_string

    Example: interp rank run.h5 --positions doc3:100-160
    """
    from interp.errors import InterpError
    from interp.showing import import_ours

    import_ours("probes")
    from probes.commands import rank_recording

    if bool(concept) == bool(positions):
        raise InterpError(
            "Rank by a --concept (an annotation or a built-in one) or by --positions."
        )
    if positions:
        _search(recording, positions, sites, best, as_json)
        return
    assert concept
    sizes = [2**i for i in range(12) if 2**i <= curve]
    rankings = rank_recording(
        recording, concept, save, sites=sites, by=by, n_best=best, curve=sizes,
        n_resamples=resamples, n_swaps=swaps, skip_missing=skip_missing, without=without or (),
        seed=seed, progress=progress_of("units"),
    )  # fmt: skip
    for ranking in rankings:
        for warning in ranking.warnings:
            print(f"interp: {ranking.concept}: {warning}.", file=sys.stderr)
    if as_json:
        print(json.dumps([row for ranking in rankings for row in _rows(ranking)], indent=2))
        return
    for ranking in rankings:
        _print(ranking)


def _search(
    path: Path, positions: str, sites: list[str] | None, n_best: int, as_json: bool
) -> None:
    from probes.commands import search_recording
    from probes.sites import copies_text

    found = search_recording(path, positions, sites, n_best)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for sentence in copies_text(found["copies"]):
        print(f"{sentence}.")
    for unit in found["units"]:
        print(
            f"{unit['unit']}  {'on' if unit['sign'] > 0 else 'off'}  {unit['score']:.3f} "
            f"(least {unit['worst']:.3f})  median {unit['inside']:.3g}, "
            f"elsewhere {unit['outside']:.3g}"
        )
    print("Places where the first of them behave the same way:")
    for place in found["places"]:
        text = place["text"] if len(place["text"]) <= 60 else place["text"][:57] + "..."
        print(f"{place['where']}  {place['score']:.2f}  {text!r}")


def _rows(ranking: Any) -> list[dict[str, Any]]:
    extra = {key: ranking.to_dict()[key] for key in ("null_95", "q_value", "n_units", "left_out")}
    return [score.to_dict() | extra for score in ranking.scores]


def _print(ranking: Any) -> None:
    from interp.cli.aligned import aligned
    from probes.sites import copies_text

    first = ranking.scores[0]
    is_binary = first.auroc is not None
    rate = f", {first.base_rate:.1%} of positions inside" if is_binary else ""
    print(f"{ranking.concept}: {ranking.n_documents} test documents{rate}")
    print_left_out(ranking.left_out)
    for sentence in copies_text(ranking.copies):
        print(f"{sentence}.")
    print()
    measured = ["AUROC", "95 %", "AP"] if is_binary else ["Spearman", "95 %"]
    headings = ["unit", "inside" if is_binary else "sign", "chosen", *measured, "MI", "p"]
    print(aligned(headings, [_cells(score) for score in ranking.scores], n_left=2))
    print()
    if ranking.null_95 is not None:
        print(
            f"Best of {ranking.n_units:,} units with swapped labels: {ranking.null_95:.3f} (95 %). "
            f"Best unit: p = {ranking.p_value:.3f}, q = {ranking.q_value:.3f}."
        )
    if ranking.curve:
        points = ", ".join(f"{point.n_units}: {point.score:.3f}" for point in ranking.curve)
        measure = "AUROC" if is_binary else "R²"
        print(f"Best units together ({measure} of a linear probe): {points}.")
    print()


def print_left_out(left_out: dict[str, int]) -> None:
    """Say what was not scored, if anything."""
    from probes.exclusion import left_out_text

    if left_out:
        print(f"Not scored: {left_out_text(left_out)}.")


def _cells(score: Any) -> list[str]:
    chosen, value = score.selection_spearman, score.spearman
    signs, precision = ("+", "-"), []
    low, high = score.interval
    if score.auroc is not None:
        chosen, value = score.selection_auroc, score.auroc
        signs, precision = ("on", "off"), [f"{score.average_precision:.3f}"]
    return [
        score.unit,
        signs[0] if score.sign > 0 else signs[1],
        f"{chosen:.3f}",
        f"{value:.3f}",
        "" if low != low else f"{low:.3f} to {high:.3f}",
        *precision,
        f"{score.mutual_information:.3f}",
        "" if score.p_value is None else f"{score.p_value:.3f}",
    ]
