"""`interp annotate`: label every position of a recording with concepts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def annotate(
    recording: Annotated[Path | None, typer.Argument(help="Recording.", show_default=False)] = None,
    concepts: Annotated[
        list[str] | None, typer.Argument(help="Concepts; default: those that suit the text.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Of all documents; default: by the ending of their names.")
    ] = None,
    delimiters: Annotated[
        str,
        typer.Option(
            help="Quotation marks and the like: state after reading, in, out, or apart (no label)."
        ),
    ] = "state",
    source: Annotated[
        Path | None, typer.Option("--from", help="Labels of your own: CSV, JSONL, NPY or NPZ.")
    ] = None,
    function: Annotated[
        str | None, typer.Option(help="MODULE:FUNCTION from a text to a value per character.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name for --from, --function or a single concept.")
    ] = None,
    column: Annotated[str | None, typer.Option(help="Column of --from to take.")] = None,
    per: Annotated[str | None, typer.Option(help="Rows of --from: position or word.")] = None,
    align: Annotated[
        str, typer.Option(help="Position of a word that has its label: first, last or mean.")
    ] = "last",
    kind: Annotated[
        str | None, typer.Option(help="Of --from: binary, categorical or numeric.")
    ] = None,
    stream: Annotated[str | None, typer.Option(help="Stream; default: the first.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse all if one document cannot be parsed.")
    ] = False,
    show_list: Annotated[
        bool, typer.Option("--list", help="Show the built-in concepts and stop.")
    ] = False,
) -> None:
    """Label the positions of a recording, beside the recording.

    Built-in concepts of code, prose and any text; labels of your own from a file or a function.

    Example: interp annotate run.h5 string if_condition

    Example: interp annotate run.h5 quoted_string --delimiters apart --name quoted_apart

    Example: interp annotate run.h5 --from tags.csv --align first
    """
    from interp.annotations.recordings import annotate_recording
    from interp.errors import InterpError

    if show_list:
        _print_concepts()
        return
    if recording is None:
        raise InterpError("Which recording? interp annotate RUN.h5 [CONCEPT...]")
    if per not in (None, "position", "word"):
        raise InterpError(f"Rows are per position or per word, not {per!r}.")
    said: list[str] = []
    if source is None and function is None:
        found = annotate_recording(
            recording, concepts or None, language=language, delimiters=delimiters, stream=stream,
            name=name, strict=strict, say=said.append,
        )  # fmt: skip
    elif concepts or (source is not None and function is not None):
        raise InterpError("Give either concepts, or --from, or --function.")
    else:
        found = _annotate_own(
            recording, source, function, name, stream,
            {"column": column, "per": per, "align": align, "kind": kind},
        )  # fmt: skip
    for made, summary in found.items():
        print(f"{made}: {summary}")
    for line in said:
        print(line, file=sys.stderr)


def _annotate_own(
    path: Path,
    source: Path | None,
    function: str | None,
    name: str | None,
    stream: str | None,
    options: dict[str, str | None],
) -> dict[str, str]:
    import interp
    from interp.annotations.recordings import label_with_function, write_all

    with interp.open(path) as recording:
        _ = recording.fingerprint  # refuses an incomplete recording before the work
        if function is not None:
            called = name or function.rpartition(":")[2]
            return write_all(
                recording,
                [label_with_function(recording, _load_function(function), called, stream)],
            )
        from interp.annotations.own_labels import labels_from_file

        assert source is not None
        made = labels_from_file(recording, source, name=name, stream=stream, **options)  # type: ignore[arg-type]
        return write_all(recording, made)


def _load_function(spec: str):  # type: ignore[no-untyped-def]
    import importlib

    from interp.errors import InterpError

    module, _, attribute = spec.partition(":")
    if not module or not attribute:
        raise InterpError(f"--function is MODULE:FUNCTION, not {spec!r}.")
    sys.path.insert(0, "")  # as `python -m` does: the user's own module lies here
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InterpError(f"{spec} cannot be loaded: {error}.") from error
    finally:
        sys.path.remove("")


def _print_concepts() -> None:
    from interp.annotations import CONCEPTS
    from interp.annotations.syntax_trees import LANGUAGES, TREE_CONCEPTS

    for concept, meaning in CONCEPTS.items():
        print(f"{concept}: {meaning}")
    print(
        f"Of another language, such as c.string: {', '.join(LANGUAGES)}; {', '.join(TREE_CONCEPTS)}"
    )
    print("Token types of any of Pygments' languages: pygments.ruby, pygments.ruby.String")
