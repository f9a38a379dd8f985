"""What is said of heads: one row per head and measure, with what stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from probes.findings import plain


@dataclass(frozen=True)
class HeadScore:
    """One measure of one head.

    Attributes
    ----------
    head : str
        Such as ``h.3.attn/attention:5``.
    metric : str
        One of :data:`probes.heads.measures.METRICS`, or ``best_offset``.
    value : float or None
        Mean over the rows that can show it; None where no row can, with a `reason`.
    interval : (float, float)
        95 % of resamples of the documents; NaN from one document.
    chance : float or None
        The same measure of equal weights on all visible keys.
    baseline : float or None
        Of a pattern: what attending at the best fixed offset would reach, each document scored
        with the offset that is best on others. None for patterns that are an offset themselves.
    offset : int or None
        That offset (of ``best_offset``: the head's own), the one chosen most often.
    n_rows, n_documents : int
        Query rows, and documents, in which the pattern can occur.
    reason : str or None
        Why there is no value.
    """

    head: str
    metric: str
    value: float | None
    interval: tuple[float, float] = (float("nan"), float("nan"))
    chance: float | None = None
    baseline: float | None = None
    offset: int | None = None
    n_rows: int = 0
    n_documents: int = 0
    reason: str | None = None

    @property
    def stands_out(self) -> bool:
        """Whether the interval lies above both chance and the fixed-offset baseline.

        By more than rounding of the weights to float16 could do.
        """
        references = [r for r in (self.chance, self.baseline) if r is not None]
        least = [r * (1 + 2**-10) for r in references]
        return self.value is not None and bool(least) and self.interval[0] > max(least)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return plain(asdict(self))


@dataclass
class HeadTable:
    """Measures of many heads.

    Attributes
    ----------
    scores : list of HeadScore
        Heads in model order, measures of one head together.
    warnings : list of str
    parameters : dict
    """

    scores: list[HeadScore]
    warnings: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def heads(self) -> list[str]:
        """The heads in order."""
        return list(dict.fromkeys(score.head for score in self.scores))

    @property
    def metrics(self) -> list[str]:
        """The measures in order."""
        return list(dict.fromkeys(score.metric for score in self.scores))

    def of(self, metric: str) -> list[HeadScore]:
        """Return one measure of every head, highest first, those without a value last."""
        found = [score for score in self.scores if score.metric == metric]
        return sorted(found, key=lambda s: (s.value is None, -(s.value or 0.0)))

    def score(self, head: str, metric: str) -> HeadScore:
        """Return one measure of one head."""
        for found in self.scores:
            if (found.head, found.metric) == (head, metric):
                return found
        raise KeyError((head, metric))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary."""
        return plain(asdict(self))

    def to_frame(self, wide: bool = False) -> Any:
        """Return a pandas table: one row per head and measure, or per head with `wide`."""
        import pandas

        frame = pandas.DataFrame([score.to_dict() for score in self.scores])
        if not wide:
            return frame
        return frame.pivot(index="head", columns="metric", values="value").loc[
            self.heads, self.metrics
        ]


def head_names(site: str, n_heads: int) -> Sequence[str]:
    """Return the name of each head of a site."""
    return [f"{site}:{head}" for head in range(n_heads)]
