"""Results that lie beside a recording, as the page lists and shows them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from dashboard.sources.protocol import Source
from probes.results import read_results

TITLES = {
    "rank": "Units that tell",
    "probe": "Probe",
    "sweep": "Layers",
    "ablate": "Clamped",
    "steer": "Steered",
    "heads": "Heads",
    "dynamics": "Over time",
}
"""Kinds of results in the order in which the page groups them."""


def stored_results(source: Source, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the results of a source's recording, newest last; none for one in memory."""
    recording = getattr(source, "recording", None)
    if recording is None or not recording.is_complete:
        return []
    return read_results(recording, kind)


def listed(source: Source) -> list[dict[str, Any]]:
    """Return one row per result: its file's name, kind, title and how much stands behind it."""
    order, found_results = list(TITLES), stored_results(source)
    rows = [
        {
            "file": Path(found["path"]).name,
            "kind": found["kind"],
            "group": TITLES.get(found["kind"], found["kind"]),
            "title": _title(found),
            "nDocuments": _documents(found["result"]),
        }
        for found in found_results
    ]
    _tell_apart(rows, {Path(r["path"]).name: r["parameters"] for r in found_results})
    known = len(order)
    return sorted(rows, key=lambda r: order.index(r["kind"]) if r["kind"] in order else known)


def _title(found: dict[str, Any]) -> str:
    # A concept whose marks, or another concept's positions, are not scored is another question.
    parameters, title = found["parameters"], found["name"]
    if parameters.get("delimiters") not in (None, "state"):
        title += f", marks {parameters['delimiters']}"
    if parameters.get("without"):
        title += f", without {' and '.join(parameters['without'])}"
    return title


def _tell_apart(rows: list[dict[str, Any]], parameters: dict[str, dict[str, Any]]) -> None:
    # The same concept asked of other layers: their names say which is which.
    titles = Counter((row["kind"], row["title"]) for row in rows)
    for row in rows:
        sites = parameters[row["file"]].get("sites")
        if titles[row["kind"], row["title"]] > 1 and sites:
            names = [sites] if isinstance(sites, str) else list(sites)
            row["title"] += f" · {names[0]}" + (f" and {len(names) - 1} more" if names[1:] else "")


def one_result(source: Source, file: str) -> dict[str, Any] | None:
    """Return a result by its file's name, None when there is none of that name."""
    for found in stored_results(source):
        if Path(found["path"]).name == file:
            asked = {name: found[name] for name in ("kind", "name", "parameters", "result")}
            return asked | {"title": _title(found)}
    return None


def head_scores(source: Source) -> dict[str, dict[str, float | None]]:
    """Return what `interp heads` left: measure to the value of each head, by the newest result."""
    found: dict[str, dict[str, float | None]] = {}
    for result in stored_results(source, "heads"):
        for score in result["result"].get("scores", []):
            found.setdefault(score["metric"], {})[score["head"]] = score["value"]
    return found


def _documents(result: dict[str, Any]) -> int | None:
    found = result.get("n_documents")
    if found is None and result.get("reports"):
        found = result["reports"][0].get("n_documents")
    return found if isinstance(found, int) else None


def results_of_unit(source: Source, site: str, unit: int) -> list[dict[str, Any]]:
    """Return what stored results say of one unit, each in a sentence's pieces.

    Returns
    -------
    list of dict
        ``what``, ``value`` (float or None), ``text``, ``nDocuments``.
    """
    name = f"{site}:{unit}"
    rows: list[dict[str, Any]] = []
    for found in stored_results(source):
        rows += _OF_UNIT.get(found["kind"], _nothing)(found["result"], _title(found), name)
    return rows


def _interval(result: dict[str, Any], form: str) -> str:
    """Return an interval in brackets; from one document there is none."""
    low, high = result["interval"]
    return "" if low is None or high is None else f" ({low:{form}} to {high:{form}})"


def _nothing(result: dict[str, Any], title: str, name: str) -> list[dict[str, Any]]:
    return []


def _ranked(result: dict[str, Any], title: str, name: str) -> list[dict[str, Any]]:
    rows = []
    for place, score in enumerate(result["scores"]):
        if score["unit"] == name:
            is_binary = score["auroc"] is not None
            value = score["auroc"] if is_binary else score["spearman"]
            text = (
                f"{'AUROC' if is_binary else 'Spearman'} {value:.3f}{_interval(score, '.3f')} on "
                f"unseen documents, place {place + 1} of {result['n_units']:,} units"
            )
            rows.append(_row(f"tells {title}", value, text, score["n_documents"]))
    return rows


def _clamped(result: dict[str, Any], title: str, name: str) -> list[dict[str, Any]]:
    if result["unit"] != name:
        return []
    rows = []
    for place, effect in result["effects"].items():
        where = place.replace("_", " ")
        text = f"{effect['effect']:+.3f} nats{_interval(effect, '+.3f')} {where}"
        if effect.get("random"):
            text += f"; the worst of random units {effect['random']['highest']:+.3f}"
        what = f"clamped to {result['mode']}, {result['concept']}"
        rows.append(_row(what, effect["effect"], text, effect["n_documents"]))
    return rows


def _probed(result: dict[str, Any], title: str, name: str) -> list[dict[str, Any]]:
    rows = []
    for report in result.get("reports", [result]):
        for top in report.get("top_units") or []:
            if top["unit"] == name:
                text = f"weight {top['weight']:+.3f} of a probe for {report['concept']}"
                what = f"probe for {report['concept']}"
                rows.append(_row(what, top["weight"], text, report["n_documents"]))
    return rows


def _over_time(result: dict[str, Any], title: str, name: str) -> list[dict[str, Any]]:
    site, _, unit = name.rpartition(":")
    group, i, rows = site.rpartition("/")[0], int(unit), []
    for gate in result.get("gates", []):
        if "left" in gate and gate["site"].rpartition("/")[0] == group and i < gate["n_units"]:
            left, right = gate["left"][i], gate["right"][i]
            text = f"below 0.1 in {left:.0%}, above 0.9 in {right:.0%} of steps"
            signal = gate["signal"].replace("_", " ")
            rows.append(_row(signal, right, text, result.get("n_documents")))
    for layer in result.get("layers", []):
        if layer.get("layer") == group and "tau" in layer and i < layer["n_units"]:
            text = f"forgets over {_steps(layer['tau'][i])}, its state is like itself over "
            text += _steps(layer["autocorrelation_time"][i])
            rows.append(_row("timescale", layer["tau"][i], text, result.get("n_documents")))
    return rows


def _steps(value: float | None) -> str:
    return "more steps than measured" if value is None else f"{value:.1f} steps"


def _row(what: str, value: float | None, text: str, n_documents: int | None) -> dict[str, Any]:
    return {"what": what, "value": value, "text": text, "nDocuments": n_documents}


_OF_UNIT = {
    "rank": _ranked,
    "ablate": _clamped,
    "probe": _probed,
    "sweep": _probed,
    "dynamics": _over_time,
}
