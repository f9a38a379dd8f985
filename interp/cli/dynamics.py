"""`interp dynamics`: what a recurrent net does over time; one subcommand per question."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from interp.cli import dynamics_tables as tables
from interp.cli import options
from interp.cli.bundles import unbundled
from interp.cli.nets import Gates, Layers, Net, ReadingNet, Skip

app = typer.Typer(
    no_args_is_help=True,
    help="What a recurrent net does over time: gates, timescales, gradients, fixed points.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _command(name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a command whose options are bundled, and which asks `probes`."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        return app.command(name)(unbundled(command))

    return add


@_command()
def saturation(
    gates: Gates,
    left: Annotated[float, typer.Option(help="Below it a gate is left-saturated.")] = 0.1,
    right: Annotated[float, typer.Option(help="Above it a gate is right-saturated.")] = 0.9,
) -> None:
    """Count how often each gate unit is nearly shut or nearly open.

    Example: interp dynamics saturation run.h5 --skip 100
    """
    options.check_figure(gates.figure)
    _probes()
    from probes.dynamics.commands import saturation_of

    found = saturation_of(
        gates.recording, gates.save, sites=gates.sites, skip=gates.skip, left=left, right=right
    )
    _draw(gates.figure, "saturation_scatter", found)
    _show(found, gates.as_json, tables.saturation_text)


@_command()
def timescales(
    gates: Gates,
    max_lag: Annotated[int, typer.Option(min=1, help="Longest lag of the autocorrelation.")] = 500,
) -> None:
    """Compare how long gates promise to remember with how slowly states change.

    Example: interp dynamics timescales run.h5 --skip 100
    """
    options.check_figure(gates.figure)
    _probes()
    from probes.dynamics.commands import timescales_of

    found = timescales_of(
        gates.recording, gates.save, sites=gates.sites, skip=gates.skip, max_lag=max_lag
    )
    _draw(gates.figure, "timescale_scatter", found)
    _show(found, gates.as_json, tables.timescales_text)


@_command()
def weights(net: Net, layer: Layers = None) -> None:
    """Singular values and spectral radius of the recurrent weights, gate by gate.

    Example: interp dynamics weights zoo:code-lstm
    """
    _probes()
    from probes.dynamics.commands import weights_of

    with net.open() as subject:
        found = weights_of(subject, layer, net.save, net.output)
    _show(found, net.as_json, tables.weights_text)


@_command()
def jacobian(
    net: ReadingNet,
    layer: Layers = None,
    positions: Annotated[int, typer.Option(min=1, help="Positions to look at.")] = 10,
    skip: Skip = 100,
    longest: Annotated[int, typer.Option(min=2, help="Positions of a document read.")] = 1_000,
    lyapunov: Annotated[int, typer.Option(min=0, help="Lyapunov exponents to estimate.")] = 0,
) -> None:
    """Eigenvalues of a step's Jacobian, d state' / d state, at positions of real text.

    Example: interp dynamics jacobian zoo:code-gru --corpus stdlib:test --positions 5
    """
    _probes()
    from probes.dynamics.commands import jacobian_of

    with net.open() as subject:
        found = jacobian_of(
            subject, layer, positions, skip, longest, lyapunov, net.seed, net.save, net.output
        )
    _show(found, net.as_json, tables.jacobian_text)


@_command()
def gradients(
    net: ReadingNet,
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
    figure: options.Figure = None,
) -> None:
    """How much of the gradient of a loss arrives k steps back, at the input of each layer.

    Example: interp dynamics gradients zoo:code-lstm --corpus stdlib:test --truncate 128 --clip 1
    """
    options.check_figure(figure)
    _probes()
    from probes.dynamics.commands import gradients_of

    with net.open() as subject:
        found = gradients_of(
            subject, lags, windows, truncate or (), clip, fit, net.seed, net.save, net.output
        )
    _draw(figure, "gradient_lines", found)
    _show(found, net.as_json, tables.gradients_text)


@_command()
def truncation(
    net: ReadingNet,
    steps: Annotated[int, typer.Option(min=2, help="Steps of full back-propagation.")] = 512,
    window: Annotated[
        list[int] | None, typer.Option(min=1, help="Steps of truncated; 32, 128. Repeatable.")
    ] = None,
    clip: Annotated[float, typer.Option(help="Largest norm of an update.")] = 1.0,
    documents: Annotated[int, typer.Option(min=1, help="Documents to read.")] = 32,
) -> None:
    """What truncated back-propagation and clipping do to the gradients of training windows.

    Example: interp dynamics truncation zoo:code-lstm --corpus stdlib:train --window 32 --window 128
    """
    _probes()
    from probes.dynamics.commands import truncation_of

    with net.open() as subject:
        found = truncation_of(
            subject, steps, window or (32, 128), clip, documents, net.seed, net.save, net.output
        )
    _show(found, net.as_json, tables.truncation_text)


@_command("fixed-points")
def fixed_points(
    net: Net,
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
) -> None:
    """Fixed points of a small net under a constant input, from the states that it visited.

    Example: interp dynamics fixed-points flip-flop.h5 --read-out head
    """
    _probes()
    from probes.dynamics.commands import fixed_points_of

    with net.open() as subject:
        found = fixed_points_of(
            subject, module, _numbers(input), token, read_out, net.save, net.output,
            n_starts=starts, tolerance=tolerance, unique=unique, seed=net.seed,
        )  # fmt: skip
    _show(found, net.as_json, tables.fixed_points_text)


def _probes() -> None:
    from interp.showing import import_ours

    import_ours("probes")


def _draw(figure: Path | None, name: str, found: Any) -> None:
    if figure is not None:
        from probes.dynamics import figures

        getattr(figures, name)(found).write_html(figure, include_plotlyjs=True)


def _show(found: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a finding, or several, as a table or as JSON; warnings go to standard error."""
    for warning in getattr(found, "warnings", []):
        print(f"interp: {warning}.", file=sys.stderr)
    if not as_json:
        print(text(found))
    elif isinstance(found, list):
        print(json.dumps([part.to_dict() for part in found], indent=2))
    else:
        print(json.dumps(found.to_dict(), indent=2))


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
