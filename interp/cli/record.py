"""`interp record`: run a model over a corpus into a recording."""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from interp.cli import options

# Lists as typer wants its defaults; nothing changes them.
DEFAULT_SITES = ["**/hidden"]
NONE: list[str] = []


class StorageType(StrEnum):
    """In which values are stored."""

    float16 = "float16"
    float32 = "float32"
    float64 = "float64"


class NonFinite(StrEnum):
    """What to do with NaN and infinities that the model computes."""

    refuse = "refuse"
    store = "store"


class AttentionType(StrEnum):
    """In which weights of attention are stored."""

    float16 = "float16"
    float32 = "float32"
    uint8 = "uint8"


class AttentionKeys(StrEnum):
    """For which keys each row of attention has room."""

    auto = "auto"
    all = "all"


def record(
    model: options.ModelSpec,
    corpus: Annotated[
        list[Path],
        typer.Argument(
            help="Text files, directories, JSONL; stdlib:test for unseen Python.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Recording to write.", show_default=False)
    ],
    sites: Annotated[
        list[str],
        typer.Option(
            "--sites", "-s", help="Names or patterns, such as 'lstm/*,**/cell'. Repeatable."
        ),
    ] = DEFAULT_SITES,
    dtype: Annotated[StorageType, typer.Option(help="Storage type.")] = StorageType.float16,
    batch_size: Annotated[int, typer.Option(min=1, help="Documents in one forward.")] = 32,
    window: Annotated[
        int | None,
        typer.Option(
            min=1, help="Positions per document in one forward; 256 where state is carried."
        ),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(min=1, help="Steps between overlapping windows, where it is not."),
    ] = None,
    top_k: Annotated[
        int, typer.Option(min=0, help="Predictions kept per position; 0 keeps none.")
    ] = 5,
    max_document: Annotated[
        int, typer.Option(min=1, help="Longest document for models that cannot carry state.")
    ] = 20_000,
    device: Annotated[
        str, typer.Option(help="Where the model runs: cpu, cuda, cuda:1, mps.")
    ] = "cpu",
    weights: options.Weights = None,
    random_init: options.RandomInit = False,
    download: options.Download = False,
    model_dtype: Annotated[
        str, typer.Option(help="In which an hf: model computes: auto, float32, bfloat16, float16.")
    ] = "auto",
    seed: options.Seed = 0,
    generate: Annotated[
        int | None, typer.Option(min=1, help="Let the model write so many positions itself.")
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0, help="Of what it writes; 0 takes the most probable token.")
    ] = 0.0,
    glob: Annotated[
        str | None, typer.Option(help="Which files of a directory, such as '**/*.py'.")
    ] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Each line is a document.")] = False,
    field: Annotated[
        str | None,
        typer.Option(help="JSON field that holds the text; two for pairs: source,target."),
    ] = None,
    encoding: Annotated[str, typer.Option(help="Of the files.")] = "utf-8",
    steps: Annotated[
        list[str], typer.Option(help="Modules called once per step, such as a hand-written cell.")
    ] = NONE,
    nonfinite: Annotated[
        NonFinite, typer.Option(help="NaN and infinities that the model computes.")
    ] = NonFinite.refuse,
    attention: Annotated[
        str,
        typer.Option(help="Of attention sites: full maps, top-p:0.95 (sparse), or stats per row."),
    ] = "full",
    attention_dtype: Annotated[
        AttentionType, typer.Option(help="In which weights of attention are stored.")
    ] = AttentionType.float16,
    attention_keys: Annotated[
        AttentionKeys, typer.Option(help="Room for the keys in sight only, or for all.")
    ] = AttentionKeys.auto,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a stopped run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Record what a model computes over a corpus, into one HDF5 file.

    Example: interp record zoo:code-lstm src/ --glob '**/*.py' -o run.h5 --sites 'lstm/*'
    """
    from interp.extraction import record as run
    from interp.extraction.stopping import Interrupted

    try:
        summary = run(
            model,
            corpus,
            output,
            sites=options.split_patterns(sites),
            dtype=dtype.value,
            batch_size=batch_size,
            window=window,
            stride=stride,
            top_k=top_k,
            max_document=max_document,
            device=device,
            weights=weights,
            random_init=random_init,
            download=download,
            model_dtype=model_dtype,
            seed=seed,
            generate=generate,
            temperature=temperature,
            glob=glob,
            lines=lines,
            field=field,
            encoding=encoding,
            steps=options.split_patterns(steps),
            nonfinite=nonfinite.value,
            attention=attention,
            attention_dtype=attention_dtype.value,
            attention_keys=attention_keys.value,
            overwrite=overwrite,
            resume=resume,
            progress=not quiet,
            command=shlex.join(["interp", *sys.argv[1:]]),
        )
    except Interrupted as stopped:
        print(f"interp: {stopped}", file=sys.stderr)
        raise typer.Exit(130) from None
    if as_json:
        print(json.dumps(summary.to_dict()))
    else:
        print(summary)
