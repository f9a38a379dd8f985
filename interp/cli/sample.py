"""`interp sample`: text from a language model, to see what it learned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sample(
    model: Annotated[str, typer.Argument(help="zoo:NAME or py:package.module:factory.")],
    prompt: Annotated[str, typer.Option(help="Text to start from.")] = "def ",
    characters: Annotated[int, typer.Option(min=1, help="Positions to draw.")] = 400,
    temperature: Annotated[float, typer.Option(min=0.0, help="0: always the likeliest.")] = 0.7,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    weights: Annotated[Path | None, typer.Option(help="For a py: factory.")] = None,
) -> None:
    """Continue a prompt, one drawn character after another.

    Example: interp sample zoo:code-lstm --prompt "class Parser:"
    """
    from interp.errors import ModelError
    from interp.models import load
    from interp.models.adapter import TEXT, streams_of
    from interp.training.sampling import sample as draw

    loaded = load(model, weights)
    if loaded.adapter is None or streams_of(loaded.adapter) != (TEXT,):
        raise ModelError(
            f"{model} cannot be sampled: that needs an adapter that reads one text and gives "
            "logits of the next position. See docs/recording-your-model.md."
        )
    print(draw(loaded.adapter, prompt, characters, temperature, seed))
