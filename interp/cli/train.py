"""`interp train`: train a small character model on Python source."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Kind(StrEnum):
    """Recurrent nets that can be trained."""

    lstm = "lstm"
    gru = "gru"
    rnn = "rnn"


class Precision(StrEnum):
    """Arithmetic of the forward and backward pass."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def train(
    kind: Annotated[Kind, typer.Argument(help="Recurrent net.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for weights and card.")],
    layers: Annotated[int, typer.Option(min=1, help="Layers.")] = 2,
    hidden: Annotated[int, typer.Option(min=1, help="Units per layer.")] = 512,
    embedding: Annotated[int, typer.Option(min=1, help="Embedding width.")] = 64,
    characters: Annotated[float, typer.Option(help="Characters to see in all, such as 6e7.")] = 6e7,
    lanes: Annotated[int, typer.Option(min=1, help="Parallel streams of text.")] = 32,
    window: Annotated[int, typer.Option(min=2, help="Steps of back-propagation.")] = 128,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Peak rate of Adam.")] = 2e-3,
    seed: Annotated[int, typer.Option(help="Of initial weights and file order.")] = 0,
    precision: Annotated[Precision, typer.Option(help="Arithmetic.")] = Precision.float32,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: torch decides.")] = 0,
    source: Annotated[
        Path | None, typer.Option(help="Folder of Python source; default: standard library.")
    ] = None,
    report_every: Annotated[int, typer.Option(min=1, help="Steps between reports.")] = 200,
    overwrite: Annotated[bool, typer.Option(help="Replace a model in the folder.")] = False,
) -> None:
    """Train a character model on Python source; leave weights, model card and log.

    Example: interp train lstm -o my-lstm --layers 1 --hidden 128 --characters 5e6
    """
    import torch

    from interp.models.characters import CharacterModelConfig
    from interp.training.characters import train_character_model
    from interp.training.loop import TrainingConfig

    if threads:
        torch.set_num_threads(threads)

    def report(row: dict[str, float]) -> None:
        rate = row["characters"] / max(row["elapsed_s"], 1e-9)
        left = (characters - row["characters"]) / rate
        print(
            f"step {row['step']:>6}  {row['characters'] / 1e6:7.2f} M characters  "
            f"train {row['train_bits']:.3f}  held out {row['held_out_bits']:.3f} bits  "
            f"{rate:,.0f} characters/s  {left / 60:.0f} min left",
            file=sys.stderr,
            flush=True,
        )

    card = train_character_model(
        output,
        CharacterModelConfig(kind.value, layers, hidden, embedding),
        TrainingConfig(
            int(characters), lanes, window, learning_rate, seed=seed, precision=precision.value
        ),
        "interp " + shlex.join(sys.argv[1:]),
        source=source,
        report=report,
        report_every=report_every,
        overwrite=overwrite,
    )
    print(f"{output}: {card['held_out']['all']['bits_per_character']:.3f} bits per character on "
          f"{card['held_out']['all']['n_files']} held-out files")  # fmt: skip
