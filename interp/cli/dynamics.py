"""`interp dynamics`: what a recurrent net does over time; one subcommand per question."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="What a recurrent net does over time: gates, timescales, gradients, fixed points.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Recording = Annotated[Path, typer.Argument(help="Recording.")]
Source = Annotated[str, typer.Argument(help="Recording, or model such as zoo:code-lstm.")]
Sites = Annotated[
    list[str] | None, typer.Option(help="Gates or patterns; default: all. Repeatable.")
]
Layers = Annotated[
    list[str] | None, typer.Option("--layer", help="Such as lstm/l0; default: all. Repeatable.")
]
Skip = Annotated[int, typer.Option(min=0, help="First positions of each document to leave out.")]
Save = Annotated[bool, typer.Option(help="Keep the result beside the recording.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Model = Annotated[
    str | None, typer.Option(help="Where a recording's model is, if it does not say.")
]
Weights = Annotated[Path | None, typer.Option(help="Weights file of a py: model.")]
Corpus = Annotated[
    list[str] | None, typer.Option(help="Text to read; default: the recording's. Repeatable.")
]
RandomInit = Annotated[bool, typer.Option("--random-init", help="Draw a model's weights afresh.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="File to keep the result in, as .json.")
]
Figure = Annotated[Path | None, typer.Option(help="Also write a figure, an .html file.")]
Seed = Annotated[int, typer.Option(help="Of everything drawn.")]


@app.command()
def saturation(
    recording: Recording,
    sites: Sites = None,
    skip: Skip = 0,
    left: Annotated[float, typer.Option(help="Below it a gate is left-saturated.")] = 0.1,
    right: Annotated[float, typer.Option(help="Above it a gate is right-saturated.")] = 0.9,
    figure: Figure = None,
    save: Save = True,
    as_json: AsJson = False,
) -> None:
    """Count how often each gate unit is nearly shut or nearly open.

    Example: interp dynamics saturation run.h5 --skip 100
    """
    _check_figure(figure)
    _probes()
    from probes.dynamics.commands import saturation_of

    found = saturation_of(recording, save, sites=sites, skip=skip, left=left, right=right)
    _draw(figure, "saturation_scatter", found)
    if _as_json(found, as_json):
        return
    print(f"{found.n_documents} documents, {found.n_positions:,} positions; mean share of time, "
          "units that are so for more than 90 % of it\n")  # fmt: skip
    rows = [
        [gate.site, f"{len(gate.left)}", f"{_mean(gate.left):.3f}", f"{_mean(gate.right):.3f}",
         f"{gate.n_always_left}", f"{gate.n_always_right}"]
        for gate in found.gates
    ]  # fmt: skip
    headings = ["gate", "units", f"< {left:g}", f"> {right:g}", "always left", "always right"]
    _table(headings, rows)


@app.command()
def timescales(
    recording: Recording,
    sites: Sites = None,
    skip: Skip = 0,
    max_lag: Annotated[int, typer.Option(min=1, help="Longest lag of the autocorrelation.")] = 500,
    figure: Figure = None,
    save: Save = True,
    as_json: AsJson = False,
) -> None:
    """Compare how long gates promise to remember with how slowly states change.

    Example: interp dynamics timescales run.h5 --skip 100
    """
    _check_figure(figure)
    _probes()
    from probes.dynamics.commands import timescales_of

    found = timescales_of(recording, save, sites=sites, skip=skip, max_lag=max_lag)
    _draw(figure, "timescale_scatter", found)
    if _as_json(found, as_json):
        return
    print(f"{found.n_documents} documents, {found.n_positions:,} positions; quantiles over units, "
          "in positions\n")  # fmt: skip
    rows = []
    for layer in found.layers:
        for name, values in layer.quantiles().items():
            rho = f"{layer.spearman:.2f}" if name == "tau" else ""
            label = f"{layer.layer} {'-1 / mean ln gate' if name == 'tau' else 'autocorrelation'}"
            rows.append([label, *(_short(value) for value in values), rho])
    _table(["layer", "5 %", "25 %", "50 %", "75 %", "95 %", "largest", "Spearman"], rows)


@app.command()
def weights(
    source: Source,
    layer: Layers = None,
    model: Model = None,
    weights: Weights = None,
    random_init: RandomInit = False,
    seed: Seed = 0,
    output: Output = None,
    save: Save = True,
    as_json: AsJson = False,
) -> None:
    """Singular values and spectral radius of the recurrent weights, gate by gate.

    Example: interp dynamics weights zoo:code-lstm
    """
    _probes()
    from probes.dynamics.commands import weights_of
    from probes.dynamics.subjects import open_subject

    with open_subject(source, model, weights, (), random_init, seed) as subject:
        found = weights_of(subject, layer, save, output)
    if as_json:
        print(json.dumps([spectrum.to_dict() for spectrum in found], indent=2))
        return
    rows = []
    for spectrum in found:
        values = spectrum.singular_values
        rows.append([spectrum.layer, spectrum.gate, f"{spectrum.spectral_radius:.3f}",
                     f"{spectrum.norm:.3f}", f"{values[len(values) // 2]:.3f}",
                     f"{values[-1]:.2g}"])  # fmt: skip
    headings = ["layer", "gate", "spectral radius", "largest singular value", "median", "smallest"]
    _table(headings, rows, n_left=2)


@app.command()
def jacobian(
    source: Source,
    layer: Layers = None,
    positions: Annotated[int, typer.Option(min=1, help="Positions to look at.")] = 10,
    skip: Skip = 100,
    longest: Annotated[int, typer.Option(min=2, help="Positions of a document read.")] = 1_000,
    lyapunov: Annotated[int, typer.Option(min=0, help="Lyapunov exponents to estimate.")] = 0,
    model: Model = None,
    weights: Weights = None,
    corpus: Corpus = None,
    random_init: RandomInit = False,
    seed: Seed = 0,
    output: Output = None,
    save: Save = True,
    as_json: AsJson = False,
) -> None:
    """Eigenvalues of a step's Jacobian, d state' / d state, at positions of real text.

    Example: interp dynamics jacobian zoo:code-gru --corpus stdlib:test --positions 5
    """
    _probes()
    from probes.dynamics.commands import jacobian_of
    from probes.dynamics.subjects import open_subject

    with open_subject(source, model, weights, corpus or (), random_init, seed) as subject:
        found = jacobian_of(subject, layer, positions, skip, longest, lyapunov, seed, save, output)
    if as_json:
        print(json.dumps([spectra.to_dict() for spectra in found], indent=2))
        return
    rows = []
    for spectra in found:
        radius, above = spectra.spectral_radius, (abs(spectra.eigenvalues) > 1).sum(axis=1)
        growth = "" if spectra.lyapunov is None else f"{spectra.lyapunov[0]:+.4f}"
        rows.append([spectra.layer, f"{spectra.n_state}", f"{len(radius)}",
                     f"{radius.mean():.3f}", f"{radius.max():.3f}", f"{above.mean():.1f}",
                     f"{spectra.norm.mean():.2f}", growth])  # fmt: skip
    _table(["layer", "state", "positions", "spectral radius", "largest", "above 1", "norm",
            "Lyapunov"], rows)  # fmt: skip


@app.command()
def gradients(
    source: Source,
    lags: Annotated[int, typer.Option(min=1, help="Longest lag.")] = 100,
    windows: Annotated[int, typer.Option(min=1, help="Stretches of text to look at.")] = 32,
    truncate: Annotated[
        list[int] | None, typer.Option(min=1, help="Also as truncated after so many. Repeatable.")
    ] = None,
    clip: Annotated[float | None, typer.Option(help="Also as clipped to this norm.")] = None,
    fit: Annotated[tuple[int, int], typer.Option(help="Lags of the fit, first and last.")] = (
        5,
        25,
    ),
    model: Model = None,
    weights: Weights = None,
    corpus: Corpus = None,
    random_init: RandomInit = False,
    seed: Seed = 0,
    output: Output = None,
    figure: Figure = None,
    save: Save = True,
    as_json: AsJson = False,
) -> None:
    """How much of the gradient of a loss arrives k steps back, at the input of each layer.

    Example: interp dynamics gradients zoo:code-lstm --corpus stdlib:test --truncate 128 --clip 1
    """
    _check_figure(figure)
    _probes()
    from probes.dynamics.commands import gradients_of
    from probes.dynamics.subjects import open_subject

    with open_subject(source, model, weights, corpus or (), random_init, seed) as subject:
        found = gradients_of(subject, lags, windows, truncate or (), clip, fit, seed, save, output)
    _draw(figure, "gradient_lines", found)
    if _as_json(found, as_json):
        return
    shown = sorted({lag for lag in (0, 1, 5, 10, 25, 50, 100, 200, lags) if lag <= lags})
    print(f"{found.n_documents} documents, {found.n_windows} windows; mean norm of dL / dx\n")
    rows = []
    for layer in found.layers:
        factor = f"{layer.factor:.3f} ({layer.interval[0]:.3f} to {layer.interval[1]:.3f})"
        rows.append([layer.layer, *(_short(layer.mean[lag]) for lag in shown), factor])
        for window, curve in layer.truncated.items():
            rows.append([f"  truncated at {window}", *(_short(curve[lag]) for lag in shown), ""])
        if layer.clipped is not None:
            rows.append(["  clipped", *(_short(layer.clipped[lag]) for lag in shown), ""])
    factor_of = f"factor per step, lags {fit[0]} to {fit[1]} (95 %)"
    _table(["layer", *(f"lag {lag}" for lag in shown), factor_of], rows)


@app.command()
def truncation(
    source: Source,
    steps: Annotated[int, typer.Option(min=2, help="Steps of full back-propagation.")] = 512,
    window: Annotated[
        list[int] | None, typer.Option(min=1, help="Steps of truncated; 32, 128. Repeatable.")
    ] = None,
    clip: Annotated[float, typer.Option(help="Largest norm of an update.")] = 1.0,
    documents: Annotated[int, typer.Option(min=1, help="Documents to read.")] = 32,
    model: Model = None,
    weights: Weights = None,
    corpus: Corpus = None,
    random_init: RandomInit = False,
    seed: Seed = 0,
    output: Output = None,
    save: Save = True,
    as_json: AsJson = False,
) -> None:
    """What truncated back-propagation and clipping do to the gradients of training windows.

    Example: interp dynamics truncation zoo:code-lstm --corpus stdlib:train --window 32 --window 128
    """
    _probes()
    from probes.dynamics.commands import truncation_of
    from probes.dynamics.subjects import open_subject

    with open_subject(source, model, weights, corpus or (), random_init, seed) as subject:
        found = truncation_of(
            subject, steps, window or (32, 128), clip, documents, seed, save, output
        )
    if _as_json(found, as_json):
        return
    print(f"{found.n_documents} documents, {found.n_steps} steps, loss {found.loss:.3f} nats; "
          f"clipped to {found.clip_norm:g}\n")  # fmt: skip
    rows = []
    for update in found.updates:
        rows.append([
            f"{update.window}", f"{len(update.norm)}", f"{update.norm.mean():.3g}",
            f"{update.norm.max():.3g}", f"{update.clipped_norm.mean():.3g}",
            f"{update.share_clipped:.0%}", f"{update.cosine:.3f}", f"{update.relative_norm:.3f}",
            f"{update.cosine_clipped:.3f}", f"{update.relative_norm_clipped:.3f}",
        ])  # fmt: skip
    _table(["window", "updates", "norm", "largest", "after clipping", "clipped", "cosine to full",
            "norm / full", "cosine clipped", "norm clipped"], rows)  # fmt: skip


@app.command("fixed-points")
def fixed_points(
    source: Source,
    module: Annotated[str | None, typer.Option(help="Recurrent module, if several.")] = None,
    input: Annotated[
        str | None, typer.Option(help="Constant input, such as 0,0,0; default: zeros.")
    ] = None,
    token: Annotated[str | None, typer.Option(help="Token read over and over.")] = None,
    read_out: Annotated[
        str | None, typer.Option(help="Submodule that reads the top hidden state, such as head.")
    ] = None,
    starts: Annotated[int, typer.Option(min=1, help="Visited states to start from.")] = 256,
    tolerance: Annotated[float, typer.Option(help="Largest q of a fixed point.")] = 1e-12,
    unique: Annotated[float, typer.Option(help="Nearer ones are the same point.")] = 1e-3,
    model: Model = None,
    weights: Weights = None,
    seed: Seed = 0,
    output: Output = None,
    save: Save = True,
    as_json: AsJson = False,
) -> None:
    """Fixed points of a small net under a constant input, from the states that it visited.

    Example: interp dynamics fixed-points flip-flop.h5 --read-out head
    """
    _probes()
    from probes.dynamics.commands import fixed_points_of
    from probes.dynamics.subjects import open_subject

    with open_subject(source, model, weights) as subject:
        found = fixed_points_of(
            subject, module, _numbers(input), token, read_out, save, output,
            n_starts=starts, tolerance=tolerance, unique=unique, seed=seed,
        )  # fmt: skip
    if _as_json(found, as_json):
        return
    print(f"{len(found.stable)} stable, {len(found.saddles)} unstable; {found.n_starts} starts, "
          f"{found.n_slow} ended at slow points\n")  # fmt: skip
    rows = [
        ["stable" if point.is_stable else "saddle", f"{point.n_unstable}",
         f"{abs(point.eigenvalues[0]):.3f}", f"{point.speed:.1e}", f"{point.n_starts}",
         f"{point.distance:.3f}", _outputs(point.output)]
        for point in found.points
    ]  # fmt: skip
    _table(["point", "unstable directions", "largest eigenvalue", "q", "starts",
            "to a visited state", "read-out"], rows)  # fmt: skip


def _probes() -> None:
    from interp.showing import import_ours

    import_ours("probes")


def _check_figure(figure: Path | None) -> None:
    from interp.errors import InterpError

    if figure is not None and figure.suffix.lower() not in (".html", ".htm"):
        raise InterpError(f"A figure is written as .html, not {figure.suffix or figure.name!r}.")


def _draw(figure: Path | None, name: str, found: Any) -> None:
    if figure is not None:
        from probes.dynamics import figures

        getattr(figures, name)(found).write_html(figure, include_plotlyjs=True)


def _as_json(found: Any, as_json: bool) -> bool:
    """Print a finding as JSON if asked to; warnings go to standard error."""
    for warning in getattr(found, "warnings", []):
        print(f"interp: {warning}.", file=sys.stderr)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    return as_json


def _table(headings: list[str], rows: list[list[str]], n_left: int = 1) -> None:
    from interp.cli.aligned import aligned

    print(aligned(headings, rows, n_left))


def _mean(values: Any) -> float:
    import numpy as np

    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def _short(value: float) -> str:
    return f"{value:.3g}"


def _outputs(output: Any) -> str:
    if output is None:
        return ""
    shown = " ".join(f"{value:+.2f}" for value in output[:8])
    return shown + (" ..." if len(output) > 8 else "")


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    from interp.errors import InterpError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InterpError(
            f"--input is numbers with commas between them, such as 0,0,0; got {text!r}."
        ) from None
