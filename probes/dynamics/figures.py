"""Plotly figures of findings: the saturation scatter, timescales, gradients by lag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from probes.dynamics.gradients import GradientByLag
    from probes.dynamics.saturation import Saturation
    from probes.dynamics.timescales import Timescales


def saturation_scatter(found: Saturation) -> Any:
    """Return one panel per gate, one point per unit: right- against left-saturated share of time.

    The figure of Karpathy, Johnson & Fei-Fei (2016).

    Parameters
    ----------
    found : Saturation
    """
    sites = [gate.site for gate in found.gates]
    figure, places = _panels(sites)
    for gate, place in zip(found.gates, places, strict=True):
        units = [f"{gate.site}:{i}" for i in range(len(gate.left))]
        figure.add_scatter(
            x=gate.right, y=gate.left, text=units, mode="markers", showlegend=False,
            marker={"size": 5, "opacity": 0.6}, **place,
        )  # fmt: skip
        figure.add_scatter(
            x=[0, 1], y=[1, 0], mode="lines", hoverinfo="skip", showlegend=False,
            line={"dash": "dot", "width": 1, "color": "grey"}, **place,
        )  # fmt: skip
    figure.update_xaxes(range=[-0.03, 1.03], title="right-saturated")
    figure.update_yaxes(range=[-0.03, 1.03], title="left-saturated")
    return _titled(figure, f"Share of time, {found.n_documents} documents")


def timescale_scatter(found: Timescales) -> Any:
    """Return one panel per layer, one point per unit: tau against autocorrelation time.

    Units that stay above 1/e stand at the longest lag, open.

    Parameters
    ----------
    found : Timescales
    """
    titles = [f"{layer.layer}: Spearman {layer.spearman:.2f}" for layer in found.layers]
    figure, places = _panels(titles)
    for layer, place in zip(found.layers, places, strict=True):
        times = layer.autocorrelation_time
        symbols = np.where(np.isinf(times), "circle-open", "circle")
        figure.add_scatter(
            x=layer.tau, y=np.minimum(times, found.max_lag), mode="markers", showlegend=False,
            text=[f"{layer.state}:{i}" for i in range(len(times))],
            marker={"size": 5, "opacity": 0.6, "symbol": symbols}, **place,
        )  # fmt: skip
    figure.update_xaxes(type="log", title="-1 / mean ln gate, positions")
    figure.update_yaxes(type="log", title="autocorrelation time, positions")
    return _titled(figure, f"Timescales, {found.n_documents} documents")


def gradient_lines(found: GradientByLag) -> Any:
    """Return the mean gradient norm by lag, one line per layer, truncated and clipped dashed.

    Parameters
    ----------
    found : GradientByLag
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    lags = np.arange(found.n_lags + 1)
    for layer in found.layers:
        lines = {layer.layer: (layer.mean, "solid")}
        lines |= {
            f"{layer.layer}, truncated at {window}": (curve, "dash")
            for window, curve in layer.truncated.items()
        }
        if layer.clipped is not None:
            lines[f"{layer.layer}, clipped"] = (layer.clipped, "dot")
        for name, (curve, dash) in lines.items():
            shown = np.where(curve > 0, curve, np.nan)  # a logarithm has no place for 0
            figure.add_scatter(x=lags, y=shown, mode="lines", name=name, line={"dash": dash})
    figure.update_xaxes(title="lag, positions")
    figure.update_yaxes(type="log", title="mean norm of dL / dx", exponentformat="power")
    return _titled(figure, f"Gradient by lag, {found.n_documents} documents")


def _panels(titles: list[str], n_columns: int = 3) -> tuple[Any, list[dict[str, int]]]:
    """Return a figure with a panel per title, and where each is."""
    from plotly.subplots import make_subplots

    n_columns = min(n_columns, len(titles))
    n_rows = -(-len(titles) // n_columns)
    figure = make_subplots(n_rows, n_columns, subplot_titles=titles)
    figure.update_layout(height=120 + 320 * n_rows)
    return figure, [
        {"row": i // n_columns + 1, "col": i % n_columns + 1} for i in range(len(titles))
    ]


def _titled(figure: Any, title: str) -> Any:
    return figure.update_layout(title=title, template="plotly_white")
