"""`interp annotate`: label every position of a recording with concepts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def annotate(
    recording: Annotated[Path, typer.Argument(help="Recording of Python source, per character.")],
    concepts: Annotated[
        list[str] | None, typer.Argument(help="Concepts; default: all that are built in.")
    ] = None,
) -> None:
    """Label the positions of a recording of Python source, beside the recording.

    Concepts: string, quoted_string, triple_quoted_string, comment, if_condition, bracket_depth,
    indentation, line_position.

    Example: interp annotate run.h5 string if_condition
    """
    from interp.annotations.recordings import annotate_recording

    for name, summary in annotate_recording(recording, concepts or None).items():
        print(f"{name}: {summary}")
