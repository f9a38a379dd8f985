"""What an ablation says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from probes.findings import plain


@dataclass(frozen=True)
class Controls:
    """What clamping other units costs at the same places.

    Attributes
    ----------
    units : list of str
    effects : list of float
        Nats, in the order of `units`.
    mean, highest : float
    highest_unit : str
    p_value : float
        ``(1 + controls that cost as much) / (1 + controls)``.
    excess : float
        What the unit costs above the highest of them.
    excess_interval : (float, float)
        95 % of resamples of the documents, the highest found anew in each.
    """

    units: list[str]
    effects: list[float]
    mean: float
    highest: float
    highest_unit: str
    p_value: float
    excess: float
    excess_interval: tuple[float, float]


@dataclass(frozen=True)
class Effect:
    """The change of the loss at one group of places.

    Attributes
    ----------
    effect : float
        Mean loss with the clamp minus mean loss without it, in nats.
    interval : (float, float)
        95 % of resamples of the documents.
    loss : float
        Mean loss without the clamp.
    n_positions, n_documents : int
        Predictions, and documents that have one.
    ratio : float or None
        `effect` over the median of the random units' absolute effects.
    random, matched : Controls or None
        Random units of the site, and those of nearest variance.
    """

    effect: float
    interval: tuple[float, float]
    loss: float
    n_positions: int
    n_documents: int
    ratio: float | None = None
    random: Controls | None = None
    matched: Controls | None = None


@dataclass
class Ablation:
    """What clamping some units costs a model.

    Attributes
    ----------
    unit : str
        Such as ``lstm/l0/cell:87``; a group as ``lstm/l0/cell:87,90``.
    concept : str
    mode : str
    value : list of float
        What the units were held at; empty where each step had its own.
    effects : dict of str to Effect
        By group of places, see :data:`probes.cause.places.PLACES`.
    n_documents, n_positions : int
        Read with the clamp.
    documents : {"test", "selection", "all"}
    auroc, selection_auroc : float or None
        How well the unit tells the concept, where units were taken from a ranking.
    warnings : list of str
    parameters : dict
    """

    unit: str
    concept: str
    mode: str
    value: list[float]
    effects: dict[str, Effect]
    n_documents: int
    n_positions: int
    documents: str
    auroc: float | None = None
    selection_auroc: float | None = None
    warnings: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary."""
        return plain(asdict(self))
