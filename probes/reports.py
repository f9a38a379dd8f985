"""What an evaluation of a probe says, and how it is printed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from probes.findings import plain


@dataclass
class ProbeReport:
    """How well a probe tells a concept from some sites, and what else tells it as well.

    Attributes
    ----------
    concept, kind : str
    sites : list of str
    probe : str
    metric : str
        The main measure: auroc, accuracy or r_squared.
    scores : dict of str to float
        All measures on the test documents.
    interval : (float, float)
        95 % of resamples of the test documents, of the main measure.
    baselines : dict of str to dict
        The same measures for majority, current token, last tokens, and embedding and random
        initialisation where they were given.
    control : dict or None
        Scores on labels drawn per context, and `selectivity`: the difference.
    description : dict or None
        Online code, see :class:`probes.mdl.Description`.
    n_units, n_fit, n_test, n_fit_documents, n_documents : int
        Samples and documents; `n_documents` are those of the test half.
    classes : list of str or None
    base_rate : float or None
        Share of test positions inside a yes-or-no concept.
    top_units : list of dict
        Units with the largest weights on standardised activations, and the weights.
    left_out : dict of str to int
        Positions that were neither fitted nor scored, by reason: ``"no label"``, or the concept
        they lie in.
    warnings : list of str
    parameters : dict
    """

    concept: str
    kind: str
    sites: list[str]
    probe: str
    metric: str
    scores: dict[str, float]
    interval: tuple[float, float]
    baselines: dict[str, dict[str, float]]
    control: dict[str, float] | None
    description: dict[str, float] | None
    n_units: int
    n_fit: int
    n_test: int
    n_fit_documents: int
    n_documents: int
    classes: list[str] | None = None
    base_rate: float | None = None
    top_units: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """The main measure."""
        return self.scores[self.metric]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary."""
        return plain(asdict(self))

    def row(self) -> dict[str, Any]:
        """Return one flat row for a table of several reports."""
        row: dict[str, Any] = {"sites": " + ".join(self.sites), "n_units": self.n_units}
        row |= {self.metric: self.score, "low": self.interval[0], "high": self.interval[1]}
        row |= {name: scores[self.metric] for name, scores in self.baselines.items()}
        if self.control is not None:
            row["selectivity"] = self.control["selectivity"]
        if self.description is not None:
            row["compression"] = self.description["compression_of_entropy"]
        return row
