"""An attention site of a recording: in which form its weights are kept, and how exactly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interp.errors import InterpError, StorageError, nearest
from interp.sites import SiteDescription

FULL, TOP_P, STATS = "full", "top-p", "stats"
FORMS = (FULL, TOP_P, STATS)

#: The mass of the form "top-p" that is suggested where full maps are large.
SUGGESTED_MASS = 0.95

#: Names of the statistics of a row of weights, in the order in which they are stored.
STATISTICS = (
    "entropy",
    "maximum",
    "first_mass",
    "mean_distance",
    "previous_mass",
    "self_mass",
    "next_mass",
    "duplicate_mass",
    "induction_mass",
)
#: Those that make sense where queries and keys are positions of different streams.
CROSS_STATISTICS = STATISTICS[:3]
#: Those that make sense where the keys are those of a window of an image.
WINDOW_STATISTICS = STATISTICS[:2]
#: Those that need token ids.
TOKEN_STATISTICS = STATISTICS[7:]

#: Largest difference between a weight from 0 to 1 and what is stored of it, in the type's rounding.
MAX_ERROR = {"float16": 2.0**-12, "float32": 2.0**-25, "uint8": 1 / 510}


@dataclass(frozen=True)
class AttentionSite(SiteDescription):
    """What a recording holds of an attention site.

    `stream` is that of the queries, `key_stream` that of the keys, `dtype` the type in which
    weights are stored; `n_units` is `n_heads`.

    Attributes
    ----------
    form : {"full", "top-p", "stats"}
        All weights, the largest ones of each row, or statistics of each row.
    mass : float or None
        For ``"top-p"``: the part of each row's mass that is kept, at least.
    keys : str
        Which keys a row may see, in words: ``"causal"`` (up to itself), ``"document"`` (all),
        ``"window:N"`` (itself and the N - 1 before), ``"windows:N"`` (the N positions of its
        window, which are no run of positions where images are cut into windows), ``"given"``.
    """

    form: str = FULL
    mass: float | None = None
    keys: str = "document"

    @property
    def max_error(self) -> float:
        """Largest rounding error of a stored weight; weights are between 0 and 1."""
        return MAX_ERROR[self.dtype]

    @property
    def is_cross(self) -> bool:
        """Whether queries and keys are positions of different streams."""
        return self.key_stream not in (None, self.stream)

    @property
    def form_text(self) -> str:
        """The form as it is asked for: ``"full"``, ``"top-p:0.95"`` or ``"stats"``."""
        return self.form if self.mass is None else f"{self.form}:{self.mass:g}"


@dataclass(frozen=True, eq=False)
class AttentionPlan:
    """What a recording will hold of an attention site.

    Parameters
    ----------
    site : AttentionSite
    key_ranges : array of int, shape (n_positions, 2)
        For each position of the query stream the first and one-past-last key it may see, counted
        within its document of the key stream. Weights of other keys are 0 and not stored.
    statistics : sequence of str
        Statistics of each row that are stored, some of `STATISTICS`.
    expected_share : float
        For ``"top-p"``: the part of all weights that will probably be kept, from 0 to 1. For the
        estimate only.
    key_order : array of int, shape (n_positions of the key stream,), optional
        The keys of each document in another order, in which the keys that a position sees are
        one run; ranges count places of it.
    """

    site: AttentionSite
    key_ranges: np.ndarray
    statistics: Sequence[str] = ()
    expected_share: float = 1.0
    key_order: np.ndarray | None = None

    def __post_init__(self) -> None:
        ranges = np.asarray(self.key_ranges)
        if ranges.ndim != 2 or ranges.shape[1] != 2:
            raise StorageError(f"{self.site.name}: key ranges are pairs, not {ranges.shape}.")
        object.__setattr__(self, "key_ranges", ranges.astype("<u4", copy=False))
        if self.key_order is not None:
            order = np.asarray(self.key_order).astype("<u4", copy=False)
            object.__setattr__(self, "key_order", order)
        self._check()
        ordered = [name for name in STATISTICS if name in self.statistics]
        object.__setattr__(self, "statistics", tuple(ordered))

    def _check(self) -> None:
        site = self.site
        if site.form not in FORMS:
            raise StorageError(f"{site.name}: {site.form!r} is no form of attention: {FORMS}.")
        if (site.form == TOP_P) != (site.mass is not None):
            raise StorageError(f"{site.name}: a mass belongs to the form 'top-p', and only there.")
        if site.dtype not in MAX_ERROR:
            raise StorageError(
                f"{site.name}: weights are stored as {', '.join(MAX_ERROR)}, not {site.dtype}."
            )
        if not site.n_heads or site.n_heads < 1:
            raise StorageError(f"{site.name}: an attention site has heads.")
        if unknown := [name for name in self.statistics if name not in STATISTICS]:
            raise StorageError(f"{site.name}: {unknown[0]!r} is no statistic of attention.")
        if site.form == STATS and not self.statistics:
            raise StorageError(f"{site.name}: the form 'stats' needs statistics.")
        if np.any(self.key_ranges[:, 0] > self.key_ranges[:, 1]):
            raise StorageError(f"{site.name}: a key range ends before it begins.")


def parse_form(text: str) -> tuple[str, float | None]:
    """Return form and mass of ``"full"``, ``"top-p:0.95"`` or ``"stats"``.

    Raises
    ------
    InterpError
        If it is none of these, or the mass is not between 0 and 1.
    """
    if text in (FULL, STATS):
        return text, None
    found = re.fullmatch(r"top-p(?::(.*))?", text)
    if found is None:
        close = nearest(text, FORMS, 1)
        meant = f"; did you mean {close[0]!r}?" if close else "."
        raise InterpError(
            f"No form of attention {text!r}{meant} There is: full (all weights), top-p:0.95 (the "
            "largest of each row, up to that mass), stats (statistics of each row)."
        )
    try:
        mass = float(found[1] or "nan")
    except ValueError:
        mass = np.nan
    if not 0 < mass <= 1:
        raise InterpError(
            f"top-p needs a mass above 0 and up to 1, such as top-p:0.95; got {text!r}."
        )
    return TOP_P, mass


def statistics_of(is_cross: bool, has_tokens: bool) -> tuple[str, ...]:
    """Return the statistics that make sense for a site."""
    if is_cross:
        return CROSS_STATISTICS
    return tuple(name for name in STATISTICS if has_tokens or name not in TOKEN_STATISTICS)
