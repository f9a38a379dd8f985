"""What the questions about a net over time take: a recording, or a model and its text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from interp.cli import options

Layers = Annotated[
    list[str] | None, typer.Option("--layer", help="Such as lstm/l0; default: all. Repeatable.")
]
Skip = Annotated[int, typer.Option(min=0, help="First positions of each document to leave out.")]


@dataclass
class Gates:
    """A recording whose gates are measured, and what becomes of the finding."""

    recording: options.Recording
    sites: Annotated[
        list[str] | None, typer.Option(help="Gates or patterns; default: all. Repeatable.")
    ] = None
    skip: Skip = 0
    figure: options.Figure = None
    save: options.Save = True
    as_json: options.AsJson = False


@dataclass
class Net:
    """A model, or that of a recording, and what becomes of the finding."""

    source: Annotated[str, typer.Argument(help="Recording, or model such as zoo:code-lstm.")]
    model: options.Model = None
    weights: options.Weights = None
    random_init: options.RandomInit = False
    seed: options.Seed = 0
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to keep the result in, as .json.")
    ] = None
    save: options.Save = True
    as_json: options.AsJson = False

    def open(self) -> AbstractContextManager[Any]:
        """Open the recording, if it is one, and load the model."""
        return self._open(())

    def _open(self, corpus: Sequence[str]) -> AbstractContextManager[Any]:
        from probes.dynamics.subjects import open_subject

        return open_subject(
            self.source, self.model, self.weights, corpus, self.random_init, self.seed
        )


@dataclass
class ReadingNet(Net):
    """The same, with text for the model to read."""

    corpus: Annotated[
        list[str] | None, typer.Option(help="Text to read; default: the recording's. Repeatable.")
    ] = None

    def open(self) -> AbstractContextManager[Any]:
        """Open it with the text."""
        return self._open(self.corpus or ())
