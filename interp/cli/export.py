"""`interp export`: a selection of a recording as CSV, NPZ or safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# A list as typer wants its defaults; nothing changes it.
NONE: list[str] = []


def export(
    file: Annotated[Path, typer.Argument(help="Recording.", show_default=False)],
    selection: Annotated[
        str,
        typer.Argument(
            help="SITE:UNITS@POSITIONS, such as lstm/l0/cell:87,90-95@doc3; units of an attention "
            "site are heads.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="File ending in .csv, .npz or .safetensors.", show_default=False
        ),
    ],
    annotations: Annotated[
        list[str], typer.Option("--annotation", "-a", help="To put beside the values. Repeatable.")
    ] = NONE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write a selection of a recording for other programs.

    Example: interp export run.h5 'lstm/l0/cell:87@doc0' -o unit87.csv
    """
    import interp
    from interp.selection import Selection
    from interp.storage.export import export as write

    with interp.open(file) as recording:
        n_rows = write(recording, selection, output, annotations, overwrite=overwrite)
        of_heads = Selection.parse(selection).site in recording.attention_sites
    print(f"{output}: {n_rows:,} {'queries' if of_heads else 'rows'} of {selection}")
