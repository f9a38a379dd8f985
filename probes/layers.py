"""The same probe at every site: where in the model a concept can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from probes.evaluation import evaluate
from probes.reports import ProbeReport
from probes.sites import choose_sites
from probes.tracks import load_labels


@dataclass(frozen=True)
class Sweep:
    """One report per site, in model order.

    Attributes
    ----------
    concept : str
    reports : list of ProbeReport
    copies : dict of str to str
        Sites that were left out since they hold the values of another one.
    """

    concept: str
    reports: list[ProbeReport]
    copies: dict[str, str] = field(default_factory=dict)

    def to_frame(self) -> Any:
        """Return a pandas table with one row per site."""
        import pandas

        return pandas.DataFrame([report.row() for report in self.reports])

    def to_dict(self) -> dict[str, Any]:
        """Return all reports as a JSON-able dictionary."""
        return {
            "concept": self.concept,
            "reports": [r.to_dict() for r in self.reports],
            "copies": self.copies,
        }

    def figure(self) -> Any:
        """Return a Plotly figure: score and interval per site, baselines as lines."""
        import plotly.graph_objects as go

        reports = self.reports
        names = [" + ".join(report.sites) for report in reports]
        scores = [report.score for report in reports]
        figure = go.Figure()
        figure.add_scatter(
            x=names,
            y=scores,
            mode="lines+markers",
            name=reports[0].probe,
            error_y={
                "type": "data",
                "array": [r.interval[1] - r.score for r in reports],
                "arrayminus": [r.score - r.interval[0] for r in reports],
            },
        )
        for name in reports[0].baselines:
            values = [report.baselines[name][report.metric] for report in reports]
            figure.add_scatter(
                x=names, y=values, mode="lines", line={"dash": "dot"}, name=name.replace("_", " ")
            )
        n = reports[0].n_documents
        figure.update_layout(
            title=f"{self.concept}, {n} test documents",
            yaxis_title=reports[0].metric.replace("_", " "),
            xaxis_title="site",
            template="plotly_white",
        )
        return figure


def sweep(
    recording: Any,
    concept: str,
    sites: str | Sequence[str] | None = None,
    *,
    values: Any = None,
    **options: Any,
) -> Sweep:
    """Evaluate the same probe at each site by itself.

    Parameters
    ----------
    recording : Recording
    concept : str
    sites : str or sequence of str, optional
        Names or patterns; default: all. See :func:`probes.sites.choose_sites`.
    values : array (n_positions,), optional
        Labels of your own.
    **options
        Of :func:`probes.evaluation.evaluate`.
    """
    labels = load_labels(
        recording, concept, values, None, options.get("skip_missing", False),
        options.get("without", ()),
    )  # fmt: skip
    chosen = choose_sites(recording, sites, labels.stream)
    reports = [evaluate(recording, concept, [s], values=values, **options) for s in chosen.names]
    return Sweep(labels.name, reports, chosen.copies)
