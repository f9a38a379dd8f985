"""`interp ablate`: clamp units in the model, and see what it costs or what is expected next."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from interp.cli import options
from interp.cli.progress import progress_of


def ablate(
    recording: Annotated[Path, typer.Argument(help="Recording; its model runs again.")],
    units: Annotated[
        list[str] | None,
        typer.Argument(help="Units such as lstm/l0/cell:87, or heads; a group: :87,90."),
    ] = None,
    concept: Annotated[str, typer.Option(help="A yes-or-no annotation or built-in concept.")] = "",
    top: Annotated[
        int, typer.Option(min=0, help="Also the units that tell the concept best, so many.")
    ] = 0,
    sites: Annotated[
        list[str] | None, typer.Option(help="Where --top looks; default: all. Repeatable.")
    ] = None,
    mode: Annotated[
        str, typer.Option(help="mean, zero, resample, value, inside or outside.")
    ] = "mean",
    value: Annotated[float | None, typer.Option(help="What to hold units at.")] = None,
    steer: Annotated[
        str | None,
        typer.Option(help="inside or outside: hold units as there; what is expected next?"),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="With --steer: also what comes next behind this text.")
    ] = None,
    model: options.Model = None,
    weights: options.Weights = None,
    documents: Annotated[
        str, typer.Option(help="test, selection (the halves of `interp rank`) or all.")
    ] = "test",
    read: Annotated[
        int | None,
        typer.Option(min=2, help="Positions to read in all; default 32768, to steer 8192."),
    ] = None,
    random: Annotated[int, typer.Option(min=0, help="Random units to compare with.")] = 30,
    matched: Annotated[
        int, typer.Option(min=0, help="Units of nearest variance to compare with.")
    ] = 30,
    resamples: options.Resamples = 500,
    skip_missing: options.SkipMissing = False,
    without: options.Without = None,
    seed: options.Seed = 0,
    save: options.Save = True,
    as_json: options.AsJson = False,
) -> None:
    """Hold units of the model at a value, and measure the change of its loss.

    Units are held inside the recurrence from the start of each document on. The change, in nats,
    is given where the concept ends, begins, goes on and elsewhere, beside what clamping random
    units and units of the same variance costs.

    Example: interp ablate run.h5 lstm/l0/cell:87 --concept quoted_string

    Example: interp ablate run.h5 --concept quoted_string --top 10

    Example: interp ablate run.h5 lstm/l0/cell:87 --concept quoted_string --steer inside
    """
    from interp.errors import InterpError
    from interp.showing import import_ours

    import_ours("probes")
    from probes.cause.commands import ablate_recording, steer_recording

    if not concept:
        raise InterpError(
            "Name a --concept: where the loss is looked at follows from it. `interp annotate "
            "--list` shows the built-in ones."
        )
    shared: dict[str, Any] = {
        "model": model, "weights": weights, "documents": documents, "n_random": random,
        "n_resamples": resamples, "skip_missing": skip_missing, "without": without or (),
        "seed": seed, "progress": progress_of("positions"),
    }  # fmt: skip
    if read is not None:
        shared["n_positions"] = read
    if text is not None and steer is None:
        raise InterpError("--text goes with --steer inside or outside.")
    if steer is not None:
        if top or mode != "mean":
            raise InterpError("--steer holds named units as they are inside or outside; "
                              "leave --top and --mode out.")  # fmt: skip
        found: list[Any] = list(
            steer_recording(
                recording, units or [], concept, save, to=steer, value=value, text=text, **shared
            )
        )
        show = _print_steering
    else:
        found = list(
            ablate_recording(
                recording, units or [], concept, top, sites, save,
                mode=mode, value=value, n_matched=matched, **shared,
            )
        )  # fmt: skip
        show = _print_ablations
    if as_json:
        print(json.dumps([finding.to_dict() for finding in found], indent=2))
        return
    show(found)


def _print_ablations(found: list[Any]) -> None:
    from interp.cli.aligned import aligned

    first = found[0]
    for warning in dict.fromkeys(w for ablation in found for w in ablation.warnings):
        print(f"interp: {first.concept}: {warning}.", file=sys.stderr)
    places = list(dict.fromkeys(place for ablation in found for place in ablation.effects))
    counts = ", ".join(
        f"{first.effects[p].n_positions:,} {p}" for p in places if p in first.effects
    )
    held = {"mean": "their mean", "value": "a value"}.get(first.mode, first.mode)
    print(
        f"{first.concept}: units held at {held}, {first.n_documents} documents, predictions: "
        f"{counts}\n"
    )
    headings = ["unit", "place", "loss", "change", "95 %", "random", "matched", "p", "ratio"]
    rows = []
    for ablation in found:
        name = ablation.unit
        if ablation.auroc is not None:
            name += f" (AUROC {ablation.auroc:.3f})"
        for place, effect in ablation.effects.items():
            rows.append([name, place, *_cells(effect)])
            name = ""
    print(aligned(headings, rows, n_left=2))
    print(
        "\nchange: nats per prediction. random, matched: the most that one of "
        f"{_number(first, 'random')} random units and of {_number(first, 'matched')} units of the "
        "same variance costs there.\np: share of random units that cost as much. ratio: change "
        "over the median of theirs."
    )


def _number(ablation: Any, kind: str) -> int:
    found = [getattr(effect, kind) for effect in ablation.effects.values()]
    return max((len(controls.units) for controls in found if controls is not None), default=0)


def _cells(effect: Any) -> list[str]:
    def highest(controls: Any) -> str:
        return "" if controls is None else f"{controls.highest:+.3f}"

    return [
        f"{effect.loss:.3f}",
        f"{effect.effect:+.3f}",
        f"{effect.interval[0]:+.3f} to {effect.interval[1]:+.3f}",
        highest(effect.random),
        highest(effect.matched),
        "" if effect.random is None else f"{effect.random.p_value:.3f}",
        "" if effect.ratio is None else f"{effect.ratio:.0f}",
    ]


def _print_steering(found: list[Any]) -> None:
    from interp.cli.aligned import aligned

    for steering in found:
        held = ", ".join(f"{value:.3g}" for value in steering.value[:4])
        print(
            f"{steering.unit} held at {held}, as {steering.to} {steering.concept}: what is "
            f"expected at {steering.n_positions:,} positions {steering.places} it "
            f"({steering.n_documents} documents)\n"
        )
        rows = [
            [
                repr(shift.token),
                f"{shift.before:.4f}",
                f"{shift.after:.4f}",
                f"{shift.interval[0]:+.4f} to {shift.interval[1]:+.4f}",
                "" if shift.random_highest is None else f"{shift.random_highest:+.4f}",
                f"{shift.ends:.0%}" if shift.ends >= 0.005 else "",
            ]
            for shift in steering.tokens
        ]
        headings = ["next", "before", "after", "95 % of change", "random", "ends"]
        print(aligned(headings, rows, n_left=1))
        print(
            "\nrandom: the largest change with a random unit steered the same way. "
            "ends: share of the concept's ends that are this token.\n"
        )
        if steering.text is not None:
            print(f"Behind {steering.text!r}:")
            for name, expected in (
                ("before", steering.next_before),
                ("after", steering.next_after),
            ):
                print(f"  {name:<7}" + "  ".join(f"{t!r} {p:.3f}" for t, p in expected[:8]))
            print()
