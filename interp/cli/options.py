"""Options that several commands share, so that they read alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: What is asked about.
Recording = Annotated[Path, typer.Argument(help="Recording.")]
UnitSites = Annotated[
    list[str] | None, typer.Option(help="Sites or patterns; default: all. Repeatable.")
]
SkipMissing = Annotated[
    bool, typer.Option("--skip-missing", help="Leave positions without a label out.")
]
Without = Annotated[
    list[str] | None,
    typer.Option(help="Score nothing inside this other concept and its marks. Repeatable."),
]

#: Which model, and how it comes about.
Model = Annotated[
    str | None, typer.Option(help="Where the model is, if the recording does not say.")
]
ModelSpec = Annotated[
    str,
    typer.Argument(help="zoo:NAME, hf:DIRECTORY or py:package.module:factory.", show_default=False),
]
Weights = Annotated[Path | None, typer.Option(help=".safetensors or .pt for a py: model.")]
RandomInit = Annotated[
    bool, typer.Option("--random-init", help="Draw weights afresh, for a baseline.")
]
Download = Annotated[
    bool, typer.Option("--download", help="Fetch an hf: model that is not here yet.")
]

#: How figures come about.
Resamples = Annotated[int, typer.Option(min=1, help="Of documents, for intervals.")]
Seed = Annotated[int, typer.Option(help="Of everything drawn.")]

#: What becomes of the answer.
Save = Annotated[bool, typer.Option(help="Keep the result beside the recording.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Figure = Annotated[Path | None, typer.Option(help="Also write a figure, an .html file.")]


def split_patterns(given: list[str]) -> list[str]:
    """Return patterns given several times, or separated by commas, as one list."""
    return [part.strip() for item in given for part in item.split(",") if part.strip()]


def check_figure(figure: Path | None) -> None:
    """Refuse a figure that is not to be an .html file."""
    from interp.errors import InterpError

    if figure is not None and figure.suffix.lower() not in (".html", ".htm"):
        raise InterpError(f"A figure is written as .html, not {figure.suffix or figure.name!r}.")
