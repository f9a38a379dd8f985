"""The readable card of a small model that was trained for a task."""

from __future__ import annotations

from typing import Any


def render_task(card: dict[str, Any]) -> str:
    """Return the card of a task's model as Markdown."""
    training = card["training"]
    rows = {
        "shape": f"{_shape(card['model'])}, {card['n_parameters']:,} parameters",
        "weights": f"`model.safetensors`, {card['dtype']}, {card['size_bytes'] / 1e3:,.0f} kB, "
        f"SHA-256 of the values `{card['weights_hash'][:16]}…`",
        **card["data"],
        "training": f"{training['n_steps']:,} steps of {training['batch_size']} sequences, Adam "
        f"{training['learning_rate']:g} with a cosine decay, gradient norm clipped at "
        f"{training['clip_norm']:g}, seed {training['seed']}",
        "time": f"{_duration(card['elapsed_s'])} on {card['n_threads']} CPU thread(s)",
        "command": f"`{card['command']}`",
    }
    lines = [f"# {card['name']}", "", card["summary"], "", "| | |", "|---|---|"]
    lines += [f"| {label} | {text} |" for label, text in rows.items()]
    lines += ["", "## What it reaches", "", "Measured on the weights as shipped.", ""]
    lines += ["| measure | value | of what |", "|---|---|---|"]
    for name, row in card["measures"].items():
        lines.append(f"| {_cell(name)} | {row['value']:g} | {_cell(row['meaning'])} |")
    for note in card["notes"]:
        lines += ["", note]
    return "\n".join([*lines, ""])


def _shape(model: dict[str, Any]) -> str:
    """Return the fields of a configuration in words: ``flip-flop, bits 3, hidden 16``."""
    words = [] if model["kind"] == "symbols" else [str(model["kind"])]
    for name, value in model.items():
        if name == "vocabulary":
            words.append(f"{len(value)} symbols")
        elif name != "kind":
            words.append(f"{name.removeprefix('n_').replace('_', ' ')} {value}")
    return ", ".join(words)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{seconds:.0f} seconds"
