"""`interp info`: what a recording holds, and whether its bytes are what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.errors import RecordingError

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from interp.storage import Recording


def info(
    file: Annotated[Path, typer.Argument(help="Recording.", show_default=False)],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything and compare checksums.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a recording holds and where it comes from."""
    import interp

    with interp.open(file) as recording:
        described = describe(recording)
        if verify:
            found = recording.verify()
            if not found.ok:
                raise RecordingError(
                    f"{file} is damaged: {found}. Record it again, or take it from a copy."
                )
            described["verified"] = str(found)
    if as_json:
        print(json.dumps(described, indent=1))
    else:
        _print(file, described)


def describe(recording: Recording) -> dict[str, Any]:
    """Return what a recording holds as a JSON-able dictionary."""
    streams = {
        name: {"n_documents": stream.n_documents, "n_positions": stream.n_positions}
        for name, stream in recording.streams.items()
    }
    sites = [
        {"name": name, "n_units": site.n_units, "dtype": site.dtype, "stream": site.stream}
        for name, site in recording.sites.items()
    ]
    attention = [
        {
            "name": name,
            "n_heads": site.n_heads,
            "form": site.form_text,
            "dtype": site.dtype,
            "max_error": site.max_error,
            "keys": site.keys,
            "stream": site.stream,
            "key_stream": site.key_stream,
        }
        for name, site in recording.attention_sites.items()
    ]
    predictions = recording.predictions
    complete = bool(recording.is_complete)
    return {
        "complete": complete,
        "done_segments": recording.done_segments,
        "n_segments": recording.n_segments,
        "size_bytes": recording.path.stat().st_size,
        "streams": streams,
        "sites": sites,
        "attention_sites": attention,
        "predictions": None
        if predictions is None
        else {"target": predictions.target, "top_k": predictions.top_k},
        "annotations": sorted(recording.annotations),
        "fingerprint": recording.fingerprint if complete else None,
        "schedule": dict(recording.schedule),
        "provenance": dict(recording.provenance),
    }


def _print(file: Path, described: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from interp.wording import count, size_text

    console = Console(highlight=False)
    state = (
        "complete"
        if described["complete"]
        else (
            f"incomplete, {described['done_segments']:,} of {described['n_segments']:,} segments; "
            "continue with interp record --resume"
        )
    )
    facts = Table.grid(padding=(0, 2))
    facts.add_row("recording", Text(f"{file} ({size_text(described['size_bytes'])}, {state})"))
    for name, stream in described["streams"].items():
        counts = ", ".join(count(stream[f"n_{noun}s"], noun) for noun in ("document", "position"))
        facts.add_row("stream", Text(f"{name}: {counts}"))
    if said := described["predictions"]:
        about = "the next position" if said["target"] == "next" else "the position itself"
        facts.add_row("predictions", f"top {said['top_k']} and loss, about {about}")
    if stride := described["schedule"].get("stride"):
        window = described["schedule"]["window"]
        facts.add_row("windows", f"of {window:,} positions, {stride:,} apart, in long documents")
    if described["annotations"]:
        facts.add_row("annotations", Text(", ".join(described["annotations"])))
    for name, value in _provenance_rows(described["provenance"]):
        facts.add_row(name, Text(value))
    if described["fingerprint"]:
        facts.add_row("fingerprint", described["fingerprint"][:16])
    if "verified" in described:
        facts.add_row("verified", described["verified"])
    console.print(facts)
    table = Table()
    table.add_column("site", overflow="fold")
    table.add_column("units", justify="right")
    table.add_column("type")
    table.add_column("stream")
    for site in described["sites"]:
        table.add_row(Text(site["name"]), f"{site['n_units']:,}", site["dtype"], site["stream"])
    if described["sites"]:
        console.print(table)
    if described["attention_sites"]:
        console.print(_attention_table(described["attention_sites"]))


def _attention_table(sites: list[dict[str, Any]]) -> RichTable:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("attention site", overflow="fold")
    table.add_column("heads", justify="right")
    for name in ("form", "type", "rounding up to", "keys", "streams"):
        table.add_column(name)
    for site in sites:
        own, across = site["stream"], site["key_stream"]
        maps = (site["dtype"], f"{site['max_error']:.2g}")
        table.add_row(
            Text(site["name"]),
            str(site["n_heads"]),
            site["form"],
            *(("", "") if site["form"] == "stats" else maps),
            site["keys"],
            own if own == across else f"{own} to {across}",
        )
    return table


def _provenance_rows(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for key, value in provenance.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {_short(part)}" for name, part in value.items())
        rows.append((key.replace("_", " "), str(value)))
    return rows


def _short(value: Any) -> str:
    text = str(value)
    is_hash = len(text) == 64 and all(c in "0123456789abcdef" for c in text)
    return text[:12] if is_hash else text
