"""How large a recording will be and how long it will take, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

from interp.extraction.attention_costs import AttentionEstimate
from interp.wording import count, size_text


@dataclass(frozen=True)
class Estimate:
    """What a run will cost.

    Attributes
    ----------
    n_documents, n_positions : int
        Of the corpus.
    n_sites, n_units : int
        Recorded sites, and units of all of them together.
    size_bytes : int
        Of the recording.
    duration_s : float or None
        From a timed step; None when none was timed.
    attention : AttentionEstimate or None
        What of it is attention.
    """

    n_documents: int
    n_positions: int
    n_sites: int
    n_units: int
    size_bytes: int
    duration_s: float | None
    attention: AttentionEstimate | None = None

    def __str__(self) -> str:
        cost = size_text(self.size_bytes)
        if self.duration_s is not None:
            short = self.duration_s < 1
            cost += f", {'' if short else 'about '}{format_duration(self.duration_s)}"
        parts = [count(self.n_documents, "document"), count(self.n_positions, "position")]
        if self.n_sites or self.attention is None:
            parts.append(f"{count(self.n_sites, 'site')} with {count(self.n_units, 'unit')}")
        lines = [f"{', '.join(parts)}: {cost}"]
        if self.attention is not None:
            lines.append(str(self.attention))
        return "\n".join(lines)


def format_duration(duration_s: float) -> str:
    """Return a duration in words: ``"45 s"``, ``"3 min 20 s"``, ``"2 h 05 min"``."""
    seconds = int(round(duration_s))
    if duration_s < 1:
        return "less than a second"
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
