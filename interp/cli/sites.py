"""`interp sites`: what can be recorded inside a model."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.cli import options

if TYPE_CHECKING:
    from interp.models import LoadedModel

# A list as typer wants its defaults; nothing changes it.
EVERYTHING = ["**"]


def sites(
    model: options.ModelSpec,
    pattern: Annotated[
        list[str], typer.Option("--sites", "-s", help="Only these names or patterns.")
    ] = EVERYTHING,
    weights: options.Weights = None,
    download: options.Download = False,
    text: Annotated[
        str | None, typer.Option(help="Text to run, where the sample won't do.")
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(help="Input of a model without an adapter, such as 1x20x8 (float) or i:1x20."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """List what can be recorded in a model, with the number of units of each site."""
    import torch

    from interp.capture import list_sites
    from interp.models import load
    from interp.sites import match_sites

    loaded = load(model, weights, download=download)
    with torch.inference_mode():
        found = list_sites(loaded.module, lambda: _run(loaded, text, input_shape))
    names = match_sites(options.split_patterns(pattern), list(found))
    if as_json:
        print(json.dumps([asdict(found[name]) for name in names], indent=1))
    else:
        _print_table([found[name] for name in names], loaded)


def _run(loaded: LoadedModel, text: str | None, input_shape: str | None) -> Any:
    from interp.errors import ModelError

    adapter = loaded.adapter
    if input_shape is None and adapter is not None:
        from interp.models.samples import sample_input

        return adapter.forward(*sample_input(adapter, text), None)
    shape = input_shape or _guess(loaded.module)
    if shape is None:
        raise ModelError(
            f"{loaded.spec} is a bare module and nothing tells what it takes. Name the shape of "
            "its input: --input-shape 1x20x8 for 1 row of 20 steps and 8 features, i:1x20 for ids."
        )
    try:
        return loaded.module(_tensor(loaded.module, shape))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(
            f"{loaded.spec} does not take an input of shape {shape}: {reason}. "
            "Name another with --input-shape."
        ) from error


def _guess(module: Any) -> str | None:
    import torch

    return f"1x20x{module.input_size}" if isinstance(module, torch.nn.RNNBase) else None


def _tensor(module: Any, shape: str) -> Any:
    import torch

    from interp.errors import ModelError

    integer = shape.startswith("i:")
    try:
        sizes = [int(size) for size in shape.removeprefix("i:").split("x")]
        if min(sizes) < 1 or math.prod(sizes) > 2**40:
            raise ValueError
    except ValueError:
        raise ModelError(
            f"--input-shape {shape!r} cannot be read; write sizes with x between, such as 1x20x8, "
            "and i: before them for integers."
        ) from None
    first = next(module.parameters(), torch.empty(0))
    dtype = torch.int64 if integer else first.dtype
    return torch.zeros(sizes, dtype=dtype, device=first.device)


def _print_table(described: list[Any], loaded: LoadedModel) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{loaded.spec}: {len(described)} sites", title_justify="left")
    table.add_column("site", overflow="fold")
    table.add_column("units", justify="right")
    table.add_column("per")
    table.add_column("type")
    for site in described:
        table.add_row(Text(site.name), *_size(site), site.dtype)
    Console().print(table)


def _size(site: Any) -> tuple[str, str]:
    """Return how much a site holds, and of what, as a recording will have it."""
    if site.n_heads is None:
        return str(site.n_units), site.per
    if site.signal == "attention":
        return f"{site.n_heads} heads", "query and key"
    return str(site.n_heads * site.n_units), "position"
