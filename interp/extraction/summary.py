"""What a run did, as a value for Python and as lines for a terminal."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from interp.extraction.estimate import format_duration
from interp.wording import count, size_text


@dataclass(frozen=True)
class Summary:
    """The result of :func:`interp.extraction.record`.

    Attributes
    ----------
    path : Path
        The recording.
    n_documents, n_positions : int
        It holds.
    n_sites, n_units : int
        Recorded sites, and units of all of them together.
    size_bytes : int
        Of the file.
    duration_s : float
        Of this run, from the first step to the last byte.
    rate : float
        Positions per second that this run computed and wrote.
    n_resumed : int
        Positions that an earlier run had recorded.
    mean_loss : float
        Mean loss in nats of the actual tokens computed by this run; NaN without predictions.
    left_out : str
        What of the corpus was not recorded, such as ``"1 empty file left out"``.
    attention : str
        What was kept of attention and how exactly, in words.
    """

    path: Path
    n_documents: int
    n_positions: int
    n_sites: int
    n_units: int
    size_bytes: int
    duration_s: float
    rate: float
    n_resumed: int = 0
    mean_loss: float = math.nan
    left_out: str = ""
    attention: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a JSON-able dictionary."""
        loss = None if math.isnan(self.mean_loss) else self.mean_loss
        return {**asdict(self), "path": str(self.path), "mean_loss": loss}

    def __str__(self) -> str:
        parts = [count(self.n_documents, "document"), count(self.n_positions, "position")]
        if self.n_sites or not self.attention:
            parts.append(f"{count(self.n_sites, 'site')} with {count(self.n_units, 'unit')}")
        lines = [
            f"{self.path}: {', '.join(parts)}, {size_text(self.size_bytes)}",
            f"took {format_duration(self.duration_s)} at {self.rate:,.0f} positions/s",
        ]
        if self.n_resumed:
            were = "was" if self.n_resumed == 1 else "were"
            lines[-1] += f"; {count(self.n_resumed, 'position')} {were} there already"
        if self.attention:
            lines.append(self.attention)
        if self.left_out:
            lines.append(self.left_out)
        if not math.isnan(self.mean_loss):
            bits = self.mean_loss / math.log(2)
            lines.append(f"mean loss {self.mean_loss:.3f} nats ({bits:.3f} bits) per position")
        return "\n".join(lines)
