"""What each head does in the window in sight, by the measures that `interp heads` takes."""

from __future__ import annotations

import numpy as np

from probes.heads.measures import eligible_rows, measure_rows
from probes.heads.rows import MapRows
from probes.heads.targets import Context, NotApplicable, find_targets

METRICS = ("relative_entropy", "first", "previous", "self", "distance", "confidence")
"""What the grid can be sorted and coloured by, from :mod:`probes.heads.measures`."""

SHARES = ("relative_entropy", "distance")
"""Those that are about a whole row: where a window cuts it, about what is left of it."""

LEAST_MASS, WHOLE = 1e-6, 0.99


class WindowNumbers:
    """The measures of one site's heads in one window of a document.

    Parameters
    ----------
    key_range : array (n_queries, 2) or None
        First and one past the last key that each query of the window can see, counted in the
        document. None where the keys of a query are no run of positions, as in windows of an
        image: what depends on where keys stand is then not measured.
    queries, keys : (start, stop)
        The window, in the document.
    is_cross : bool
        Whether queries and keys stand on different streams: then no key is the position before.
    """

    def __init__(
        self,
        key_range: np.ndarray | None,
        queries: tuple[int, int],
        keys: tuple[int, int],
        is_cross: bool = False,
    ) -> None:
        self._rows: MapRows | None = None
        if key_range is not None:
            inside = np.clip(np.asarray(key_range, np.int64) - keys[0], 0, keys[1] - keys[0])
            self._rows = MapRows(inside, keys[1] - keys[0], not is_cross, queries[0] - keys[0])
            columns = np.arange(keys[1] - keys[0])
            self._seen = (columns >= inside[:, :1]) & (columns < inside[:, 1:])
            self._targets = find_targets(self._rows, Context(), ("first", "previous", "self"))

    def of(self, weights: np.ndarray) -> dict[str, float]:
        """Return each measure of one head, a mean over the rows that can show it.

        Parameters
        ----------
        weights : array (n_queries, n_keys)
            In [0, 1]. A row whose weights do not reach 1 attends outside the window as well.

        Returns
        -------
        dict
            By the names of :data:`METRICS`; NaN where no row in sight can show it. ``distance``
            is in positions, everything else in [0, 1].
        """
        if self._rows is None:
            # Only how many keys a row has is known: those with any weight.
            count = (weights > 0).sum(1)
            rows = MapRows(np.stack([0 * count, count], 1), int(count.max(initial=0)), False)
            return _means(rows, weights[weights > 0], {}, ("relative_entropy", "confidence"))
        return _means(self._rows, weights[self._seen], self._targets, METRICS)


def _means(
    rows: MapRows, weights: np.ndarray, targets: dict, names: tuple[str, ...]
) -> dict[str, float]:
    weights = np.asarray(weights, np.float64)
    total = rows.sums(weights)
    has_mass = total > LEAST_MASS
    # A row that is not cut sums to 1 but for how it was rounded when it was stored.
    share = weights / np.where(has_mass & (total < WHOLE), total, 1)[rows.row]
    found = dict.fromkeys(METRICS, float("nan"))
    whole = measure_rows([name for name in names if name not in SHARES], rows, weights, targets)
    for name, values in (
        whole | measure_rows([name for name in names if name in SHARES], rows, share, targets)
    ).items():
        able = eligible_rows(name, rows, targets)
        kept = has_mass & able if not isinstance(able, NotApplicable) else np.zeros(0, bool)
        if kept.any():
            found[name] = float(values[kept].mean())
    return found
