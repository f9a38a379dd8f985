"""Model cards: what a trained model was trained on, by which command, and what it reached."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from interp.corpora.standard_library import SourceFile
from interp.models.characters import CharacterAdapter
from interp.training.loop import document_losses
from interp.training.task_card import render_task


def held_out_by_package(
    adapter: CharacterAdapter, files: list[SourceFile]
) -> dict[str, dict[str, float]]:
    """Return the held-out loss of each package and of all files together.

    Returns
    -------
    dict
        Package name, or ``"all"``, to ``{"bits_per_character", "n_characters", "n_files"}``;
        the loss is the mean over predicted characters, each file from a fresh state.
    """
    losses: dict[str, list[np.ndarray]] = {}
    for file in files:
        document, _ = adapter.encode(file.text)
        losses.setdefault(file.package, []).append(document_losses(adapter, document))
    table = {"all": [loss for rows in losses.values() for loss in rows]}
    table |= dict(sorted(losses.items()))
    return {
        package: {
            "bits_per_character": round(float(np.concatenate(rows).mean()) / math.log(2), 4),
            "n_characters": int(sum(map(len, rows))),
            "n_files": len(rows),
        }
        for package, rows in table.items()
    }


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write ``card.json`` and the readable ``MODEL_CARD.md`` into `folder`."""
    (folder / "card.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    (folder / "MODEL_CARD.md").write_text(render(card))


def render(card: dict[str, Any]) -> str:
    """Return the card as Markdown."""
    if "measures" in card:
        return render_task(card)
    model, data, training = card["model"], card["data"], card["training"]
    held_out = card["held_out"]
    splits = data["characters_per_split"]
    lines = [
        f"# {card['name']}",
        "",
        card["summary"],
        "",
        "| | |",
        "|---|---|",
        f"| shape | {_shape(model)}, {model['n_vocabulary']} characters, "
        f"{card['n_parameters']:,} parameters |",
        f"| weights | `model.safetensors`, float16, {card['size_bytes'] / 1e6:.1f} MB, "
        f"SHA-256 of the values `{card['weights_hash'][:16]}…` |",
        f"| data | {data['source']} of Python {data['python']}: {data['n_files']} files, "
        f"{data['n_characters']:,} characters, SHA-256 `{data['sha256'][:16]}…` |",
        f"| split by file | train {splits['train']:,}, validation {splits['validation']:,}, "
        f"test {splits['test']:,} characters |",
        f"| training | {training['n_characters']:,} characters, {training['n_lanes']} lanes × "
        f"{training['window']} {_windows(model, training)}, Adam {training['learning_rate']:g} "
        f"with a cosine decay, gradient norm clipped at {training['clip_norm']:g}, "
        f"{training['precision']}, seed {training['seed']} |",
        f"| time | {card['elapsed_s'] / 60:.0f} minutes on {card['n_threads']} CPU thread(s) |",
        f"| command | `{card['command']}` |",
        *_before(card.get("started_from")),
        *_turned(training),
        "",
        "Left out of the data: tests, `encodings/` and other generated tables. A file's part is "
        "decided by a hash of its path, so held-out files are held out under every Python version.",
        "",
        "## Held-out loss",
        "",
        f"Bits per character on the test files, {_reading(model)}, weights as shipped.",
        "",
        "| package | bits per character | characters | files |",
        "|---|---|---|---|",
    ]
    for package, row in held_out.items():
        lines.append(
            f"| {package} | {row['bits_per_character']:.3f} | {row['n_characters']:,} "
            f"| {row['n_files']} |"
        )
    lines += ["", *_units(card.get("units", [])), *_causes(card.get("causes", []))]
    lines += _heads(card.get("heads"))
    if sample := card.get("sample"):
        lines += ["## A sample", "", "```python", sample, "```", ""]
    return "\n".join(lines)


def _shape(model: dict[str, Any]) -> str:
    if model["kind"] == "transformer":
        return (
            f"{model['n_layers']} blocks of {model['n_heads']} heads, width "
            f"{model['n_embedding']}, windows of {model['context_length']} characters, rotary "
            "positions"
        )
    return (
        f"{model['n_layers']} × {model['n_hidden']} {model['kind'].upper()}, embedding "
        f"{model['n_embedding']}"
    )


def _reading(model: dict[str, Any]) -> str:
    if model["kind"] == "transformer":
        return "in windows that overlap by half"
    return "each from a fresh state"


def _windows(model: dict[str, Any], training: dict[str, Any]) -> str:
    if model["kind"] != "transformer":
        return "steps with carried state"
    repeated = training.get("repeated_share", 0.0)
    if not repeated:
        return "characters"
    random = training.get("random_share", 0.0)
    pieces = f" ({random:.0%} of these pieces are random characters)" if random else ""
    return f"characters of which {repeated:.0%} hold a piece of text twice{pieces}"


def _before(first: dict[str, Any] | None) -> list[str]:
    if first is None:
        return []
    layers = first.get("n_layers")
    model = f"a {layers}-layer model of " if layers else ""
    return [
        f"| went on from | {model}`{first['command']}`: "
        f"{first['training']['n_characters']:,} characters, Adam "
        f"{first['training']['learning_rate']:g}, {first['elapsed_s'] / 60:.0f} minutes |"
    ]


def _turned(training: dict[str, Any]) -> list[str]:
    if not training.get("turn_units"):
        return []
    return [
        "| signs | each unit has the sign with which its hidden state is skewed to the positive "
        "side on the validation files; the model is the same function with either |"
    ]


def _units(units: list[dict[str, Any]]) -> list[str]:
    if not units:
        return []
    apart = [row for row in units if row.get("left_out")]
    lines = [
        "## What is known about its units",
        "",
        f"Chosen among all hidden units and cells on one half of the test files, scored on the "
        f"other half ({units[0]['n_documents']} files); intervals resample files. The null is what "
        "the best of all units reaches in 5 % of swaps of label tracks between files. The last "
        "column is a logistic probe on the best 32 units together. Which unit it is, and whether "
        "one alone suffices, depends on the seed.",
        "",
        *(part for row in apart for part in (_second_reading(row), "")),
        "| concept | unit | inside | AUROC | 95 % interval | average precision (base rate) | null "
        "| best 32 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in units:
        low, high = row["interval"]
        lines.append(
            f"| {row['concept']}{_APART if row in apart else ''} | `{row['unit']}` "
            f"| {'on' if row['sign'] > 0 else 'off'} "
            f"| {row['auroc']:.3f} | {low:.3f} to {high:.3f} "
            f"| {row['average_precision']:.3f} ({row['base_rate']:.3f}) "
            f"| {row['null_95']:.3f} | {row['auroc_of_best_32']:.3f} |"
        )
    return [*lines, ""]


#: How a row is named whose marks, and another concept, were not scored.
_APART = ", content only"


def _second_reading(row: dict[str, Any]) -> str:
    counts = " and ".join(
        f"{n:,} that are marks" if reason == "marks" else f"{n:,} in a {reason}, its marks included"
        for reason, n in row["left_out"].items()
    )
    return (
        f"Of `{row['concept']}` there are two readings. The first scores all positions by the "
        "state after reading them: the opening mark is inside, the closing one outside, and "
        f"docstrings are outside. The second, *content only*, scores what lies between marks "
        f"against code: it leaves out {counts}."
    )


def _heads(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    lines = [
        "## What its heads do",
        "",
        f"On {found['n_documents']} documents of random characters in which one block comes twice "
        "after a random gap: the attention from a character of the second block to the one that "
        "followed it in the first (prefix matching, Olsson et al. 2022), and what equal weights "
        "and the same places without a repetition give. A head is called an induction head from "
        f"{found['parameters']['threshold']:g} on: {len(found['induction_heads'])} of "
        f"{found['n_heads']} are. The second block is continued with {found['accuracy']:.1%} of "
        f"its characters right, {found['loss']:.2f} nats; fresh ones there with "
        f"{found['control_accuracy']:.1%}, {found['control_loss']:.2f} nats.",
        "",
        "| head | prefix matching | 95 % interval | equal weights | no repetition | previous "
        "character | copying |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["heads"]:
        score = row["prefix_matching"]
        low, high = score["interval"]
        copying = "" if row["copying"] is None else f"{row['copying']:+.2f}"
        lines.append(
            f"| `{row['head']}` | {score['value']:.3f} | {low:.3f} to {high:.3f} "
            f"| {score['chance']:.3f} | {row['control']:.3f} | {row['previous']:.3f} | {copying} |"
        )
    return [*lines, ""]


def _causes(causes: list[dict[str, Any]]) -> list[str]:
    if not causes:
        return []
    first = causes[0]
    lines = [
        "## What its units do",
        "",
        "Held at their mean inside the recurrence, from the start of a document on: the change of "
        "the loss, in nats, where the concept ends (at the closing quotation mark, at the colon), "
        "and everywhere else. For each concept the unit with the best AUROC and the one that costs "
        "most, chosen among the best by AUROC on the selection files; figures of "
        f"{first['n_documents']} test files, the beginning of each. Beside it the most that one of "
        "30 random units of the site, and of the 30 units of nearest variance, costs at the same "
        "places.",
        "",
        "| concept | unit | by AUROC | at its end (95 % interval) | ends in characters | random "
        "| same variance | elsewhere |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in causes:
        end, elsewhere = row["effects"]["end"], row["effects"]["elsewhere"]
        low, high = end["interval"]
        lines.append(
            f"| {row['concept']} | `{row['unit']}` | {row['rank']} ({row['auroc']:.3f}) "
            f"| {end['effect']:+.3f} ({low:+.3f} to {high:+.3f}) "
            f"| {end['n_positions']} in {row['n_positions']:,} "
            f"| {end['random']['highest']:+.3f} | {end['matched']['highest']:+.3f} "
            f"| {elsewhere['effect']:+.3f} |"
        )
    return [*lines, ""]
