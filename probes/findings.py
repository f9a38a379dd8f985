"""What a ranking says: one row per unit, and what stands behind the rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any


def plain(value: Any) -> Any:
    """Return a value as JSON has it: tuples as lists, NaN and NumPy numbers as None and numbers."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@dataclass(frozen=True)
class UnitScore:
    """How well one unit tells a concept.

    Attributes
    ----------
    concept : str
    unit : str
        Such as ``lstm/l0/cell:87``.
    sign : int
        1 if the unit is higher inside the concept (or with the number), -1 if it is lower, by what
        units were ordered by: of average precision, the side that has more of it.
    selection_auroc : float or None
        On the documents it was chosen on, with the sign; None for a number.
    auroc : float or None
        In [0, 1], on the test documents, with the sign kept: below 0.5 the unit turned round.
    interval : (float, float)
        95 % of resamples of the test documents, of `auroc`, or of `spearman` for a number.
    average_precision : float or None
        On the test documents, with the sign; by chance it is the base rate.
    average_precision_interval : (float, float) or None
    r, spearman : float
        Correlations with the label (point-biserial for yes or no) on the test documents, signed.
    selection_spearman : float or None
        For a number, on the documents the unit was chosen on.
    mutual_information : float
        In nats, values in 16 quantile bins, on the test documents.
    p_value : float or None
        Share of swaps of label tracks between documents in which the best of all units scored as
        much on the selection documents.
    n_documents, n_positions : int
        Of the test half.
    base_rate : float or None
        Share of test positions inside the concept.
    """

    concept: str
    unit: str
    sign: int
    interval: tuple[float, float]
    r: float
    spearman: float
    mutual_information: float
    p_value: float | None
    n_documents: int
    n_positions: int
    selection_auroc: float | None = None
    auroc: float | None = None
    average_precision: float | None = None
    average_precision_interval: tuple[float, float] | None = None
    selection_spearman: float | None = None
    base_rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return plain(asdict(self))


@dataclass(frozen=True)
class CurvePoint:
    """A probe on the best `n_units` units together, scored on the test documents.

    Attributes
    ----------
    n_units : int
    score : float
        AUROC of a logistic probe; R² of a ridge probe for a number.
    interval : (float, float)
        95 % of resamples of the test documents.
    """

    n_units: int
    score: float
    interval: tuple[float, float]


@dataclass
class Ranking:
    """The units that tell one concept best, best first.

    Attributes
    ----------
    concept : str
    scores : list of UnitScore
    curve : list of CurvePoint
    n_units : int
        Units that were ranked.
    n_selection_documents, n_documents : int
    left_out : dict of str to int
        Positions that were not scored, by reason: ``"no label"``, or the concept they lie in.
    copies : dict of str to str
        Sites that were left out since they hold the values of another one.
    null_95 : float or None
        The score (AUROC, or absolute Spearman for a number) that the best of all units reaches
        in 5 % of swaps of label tracks between documents.
    p_value : float or None
        Of the best unit.
    q_value : float or None
        The same, corrected for the number of concepts asked for (Benjamini-Hochberg).
    warnings : list of str
    parameters : dict
    """

    concept: str
    scores: list[UnitScore]
    curve: list[CurvePoint] = field(default_factory=list)
    n_units: int = 0
    n_selection_documents: int = 0
    n_documents: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    null_95: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    warnings: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> UnitScore:
        """The first unit."""
        return self.scores[0]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary."""
        return plain(asdict(self))

    def to_frame(self) -> Any:
        """Return the rows as a pandas table."""
        import pandas

        return pandas.DataFrame([score.to_dict() for score in self.scores])
