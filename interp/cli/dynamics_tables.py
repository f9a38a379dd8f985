"""Findings about dynamics as text, one function per question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interp.cli.aligned import aligned


def saturation_text(found: Any) -> str:
    """Return the gates of a recording and how often their units are nearly shut or open."""
    import numpy as np

    def mean(values: Any) -> float:
        return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")

    rows = [
        [gate.site, f"{len(gate.left)}", f"{mean(gate.left):.3f}", f"{mean(gate.right):.3f}",
         f"{gate.n_always_left}", f"{gate.n_always_right}"]
        for gate in found.gates
    ]  # fmt: skip
    left, right = found.parameters["left"], found.parameters["right"]
    headings = ["gate", "units", f"< {left:g}", f"> {right:g}", "always left", "always right"]
    return (
        f"{found.n_documents} documents, {found.n_positions:,} positions; mean share of time, "
        f"units that are so for more than 90 % of it\n\n{aligned(headings, rows)}"
    )


def timescales_text(found: Any) -> str:
    """Return how long gates promise to remember, beside how slowly states change."""
    rows = []
    for layer in found.layers:
        for name, values in layer.quantiles().items():
            rho = f"{layer.spearman:.2f}" if name == "tau" else ""
            label = f"{layer.layer} {'-1 / mean ln gate' if name == 'tau' else 'autocorrelation'}"
            rows.append([label, *(_short(value) for value in values), rho])
    headings = ["layer", "5 %", "25 %", "50 %", "75 %", "95 %", "largest", "Spearman"]
    return (
        f"{found.n_documents} documents, {found.n_positions:,} positions; quantiles over units, "
        f"in positions\n\n{aligned(headings, rows)}"
    )


def weights_text(found: Sequence[Any]) -> str:
    """Return the spectrum of each gate's recurrent weights."""
    rows = []
    for spectrum in found:
        values = spectrum.singular_values
        rows.append([spectrum.layer, spectrum.gate, f"{spectrum.spectral_radius:.3f}",
                     f"{spectrum.norm:.3f}", f"{values[len(values) // 2]:.3f}",
                     f"{values[-1]:.2g}"])  # fmt: skip
    headings = ["layer", "gate", "spectral radius", "largest singular value", "median", "smallest"]
    return aligned(headings, rows, n_left=2)


def jacobian_text(found: Sequence[Any]) -> str:
    """Return the spectra of each layer's steps."""
    rows = []
    for spectra in found:
        radius, above = spectra.spectral_radius, (abs(spectra.eigenvalues) > 1).sum(axis=1)
        growth = "" if spectra.lyapunov is None else f"{spectra.lyapunov[0]:+.4f}"
        rows.append([spectra.layer, f"{spectra.n_state}", f"{len(radius)}",
                     f"{radius.mean():.3f}", f"{radius.max():.3f}", f"{above.mean():.1f}",
                     f"{spectra.norm.mean():.2f}", growth])  # fmt: skip
    headings = [
        "layer", "state", "positions", "spectral radius", "largest", "above 1", "norm", "Lyapunov",
    ]  # fmt: skip
    return aligned(headings, rows)


def gradients_text(found: Any) -> str:
    """Return how much of a gradient arrives at some lags, layer by layer."""
    longest, fit = found.parameters["n_lags"], found.parameters["fit"]
    lags = sorted({lag for lag in (0, 1, 5, 10, 25, 50, 100, 200, longest) if lag <= longest})
    rows = []
    for layer in found.layers:
        factor = f"{layer.factor:.3f} ({layer.interval[0]:.3f} to {layer.interval[1]:.3f})"
        rows.append([layer.layer, *_at(layer.mean, lags), factor])
        for window, curve in layer.truncated.items():
            rows.append([f"  truncated at {window}", *_at(curve, lags), ""])
        if layer.clipped is not None:
            rows.append(["  clipped", *_at(layer.clipped, lags), ""])
    factor_of = f"factor per step, lags {fit[0]} to {fit[1]} (95 %)"
    table = aligned(["layer", *(f"lag {lag}" for lag in lags), factor_of], rows)
    return (
        f"{found.n_documents} documents, {found.n_windows} windows; mean norm of dL / dx\n\n{table}"
    )


def truncation_text(found: Any) -> str:
    """Return what truncated back-propagation does to updates, window by window."""
    rows = [
        [
            f"{update.window}", f"{len(update.norm)}", f"{update.norm.mean():.3g}",
            f"{update.norm.max():.3g}", f"{update.clipped_norm.mean():.3g}",
            f"{update.share_clipped:.0%}", f"{update.cosine:.3f}", f"{update.relative_norm:.3f}",
            f"{update.cosine_clipped:.3f}", f"{update.relative_norm_clipped:.3f}",
        ]
        for update in found.updates
    ]  # fmt: skip
    headings = [
        "window", "updates", "norm", "largest", "after clipping", "clipped", "cosine to full",
        "norm / full", "cosine clipped", "norm clipped",
    ]  # fmt: skip
    return (
        f"{found.n_documents} documents, {found.n_steps} steps, loss {found.loss:.3f} nats; "
        f"clipped to {found.clip_norm:g}\n\n{aligned(headings, rows)}"
    )


def fixed_points_text(found: Any) -> str:
    """Return the fixed points of a net."""
    rows = [
        ["stable" if point.is_stable else "saddle", f"{point.n_unstable}",
         f"{abs(point.eigenvalues[0]):.3f}", f"{point.speed:.1e}", f"{point.n_starts}",
         f"{point.distance:.3f}", _outputs(point.output)]
        for point in found.points
    ]  # fmt: skip
    headings = [
        "point", "unstable directions", "largest eigenvalue", "q", "starts",
        "to a visited state", "read-out",
    ]  # fmt: skip
    return (
        f"{len(found.stable)} stable, {len(found.saddles)} unstable; {found.n_starts} starts, "
        f"{found.n_slow} ended at slow points\n\n{aligned(headings, rows)}"
    )


def _at(curve: Any, lags: Sequence[int]) -> list[str]:
    return [_short(curve[lag]) for lag in lags]


def _short(value: float) -> str:
    return f"{value:.3g}"


def _outputs(output: Any) -> str:
    if output is None:
        return ""
    shown = " ".join(f"{value:+.2f}" for value in output[:8])
    return shown + (" ..." if len(output) > 8 else "")
