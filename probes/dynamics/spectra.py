"""Singular values and spectral radius of recurrent weights, gate by gate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from probes.dynamics.layers import GATES, chosen_layers
from probes.findings import plain


@dataclass(frozen=True)
class WeightSpectrum:
    """The recurrent weights of one gate, the matrix U of U h.

    Attributes
    ----------
    layer, gate : str
        A plain RNN has the one "gate" ``hidden``.
    singular_values : ndarray (n,)
        Largest first; the first is the most that U can stretch a vector.
    spectral_radius : float
        Largest absolute eigenvalue of U, of U times the projection for an LSTM with ``proj_size``.
    """

    layer: str
    gate: str
    singular_values: np.ndarray
    spectral_radius: float

    @property
    def norm(self) -> float:
        """The spectral norm, the largest singular value."""
        return float(self.singular_values[0])

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, and the norm, as a JSON-able dictionary."""
        return plain(asdict(self) | {"norm": self.norm})


def weight_spectra(model: nn.Module, layers: list[str] | None = None) -> list[WeightSpectrum]:
    """Return the spectrum of every gate's recurrent weights.

    In a tanh RNN a norm below 1 is enough for gradients to vanish, and one above 1 necessary for
    them to explode (Pascanu et al. 2013); with gates it says less, see :func:`step_spectra`.

    Parameters
    ----------
    model : nn.Module
        With ``nn.LSTM``, ``nn.GRU``, ``nn.RNN`` or their cells anywhere inside.
    layers : list of str, optional
        Names such as ``"lstm/l0"``; default: all.

    Raises
    ------
    ModelError
        If there is no recurrent layer, or none of that name.
    """
    found = []
    for layer in chosen_layers(model, layers).values():
        for gate in GATES[layer.kind]:
            weight = layer.recurrent(gate)
            square = weight if layer.w_hr is None else layer.w_hr @ weight
            radius = float(torch.linalg.eigvals(square).abs().max())
            values = torch.linalg.svdvals(weight).numpy()
            found.append(WeightSpectrum(layer.name, gate, values, radius))
    return found
