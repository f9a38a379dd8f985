"""Contexts: the chosen unit's highest, lowest, middle and random places, and what it scores on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from dash import Dash
from dash.development.base_component import Component
from flask import Response

from dashboard import ids
from dashboard.answers import json_answer
from dashboard.components import Contexts
from dashboard.contexts import unit_contexts
from dashboard.queries import Query
from dashboard.results import results_of_unit
from dashboard.sources.protocol import SiteInfo, Source
from dashboard.statistics import sample_ranges

TITLE = "Unit"
NEEDS = "a site"
AREA = "panel"


def layout() -> Component:
    """Return the panel."""
    return Contexts(id=ids.CONTEXTS)


def register(app: Dash) -> None:
    """Do nothing: the component reads the linked selection itself."""


def contexts(query: Query) -> Response:
    """Places of the unit, in four groups."""
    site = query.site()
    return json_answer(unit_contexts(query.shelf.source, site, query.unit(site)))


def unit_facts(query: Query) -> Response:
    """What is known of the unit: how it tells each annotation, and results that name it."""
    site = query.site()
    unit = query.unit(site)
    key = ("facts", site.name, unit, tuple(query.shelf.source.annotations))
    concepts = query.shelf.once(key, lambda: tell_annotations(query.shelf.source, site, unit))
    return json_answer(
        {"concepts": concepts, "results": results_of_unit(query.shelf.source, site.name, unit)}
    )


def tell_annotations(source: Source, site: SiteInfo, unit: int) -> list[dict[str, Any]]:
    """Return how well one unit tells each yes-or-no annotation, the best first.

    AUROC over the sampled positions, without unseen documents: a first look, as the page says.
    """
    from probes.auroc import compute_auroc  # brings a compiler along

    stream = source.streams[site.stream]
    ranges = sample_ranges(stream.n_positions, 1)
    values = np.concatenate([source.unit(site.name, unit, *pair) for pair in ranges])
    rows = []
    for info in source.annotations.values():
        if info.stream != site.stream or info.kind != "binary":
            continue
        labels = np.concatenate([source.annotation(info.name, *pair) for pair in ranges]) > 0
        if labels.all() or not labels.any():
            continue
        area = float(compute_auroc(values, labels)[0])
        if np.isfinite(area):
            sign = 1 if area >= 0.5 else -1
            rows.append(
                {
                    "name": info.name,
                    "auroc": round(max(area, 1 - area), 4),
                    "sign": sign,
                    "baseRate": round(float(labels.mean()), 4),
                }
            )
    return sorted(rows, key=lambda row: -row["auroc"])


ROUTES: dict[str, Callable[[Query], Response]] = {"contexts": contexts, "unit_facts": unit_facts}
