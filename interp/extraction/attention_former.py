"""Maps of one document brought into the form in which they are kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from interp.errors import StorageError
from interp.extraction.attention_pieces import MapPiece, joined
from interp.extraction.attention_rows import (
    Rows,
    find_outside,
    full_rows,
    largest_rows,
    some_rows,
    statistics_rows,
)
from interp.storage import AttentionPlan, schema
from interp.storage.attention_site import FULL, SUGGESTED_MASS, TOP_P


class MapFormer:
    """Checks rows of maps and brings them into the form in which they are kept.

    Parameters
    ----------
    place : callable
        ``place(document, position)`` names a place, for messages.
    whole : bool
        Whether each segment comes as one piece, full maps too.
    allow_nonfinite : bool
        Keep NaN that the model itself computes.

    Attributes
    ----------
    n_seen, n_kept : int
        Weights in sight, and those of them that were kept.
    """

    def __init__(
        self,
        place: Callable[[int, int], str],
        whole: bool = False,
        allow_nonfinite: bool = False,
    ) -> None:
        self._place = place
        self._allow_nonfinite = allow_nonfinite
        self.whole = whole
        self.n_seen = self.n_kept = 0
        self._measured: list[int] | None = None
        self._waiting: dict[tuple[str, int], list[MapPiece]] = {}

    def measure(self) -> None:
        """From now on look at some rows of full maps to tell what top-p would keep of them."""
        self._measured = [0, 0]

    def kept_share(self) -> float:
        """Return the part of all weights that top-p keeps, as measured; counting begins anew."""
        kept, seen = self.n_kept, self.n_seen
        if self._measured is not None and self._measured[1]:
            kept, seen = self._measured
        self.n_seen, self.n_kept, self._measured = 0, 0, None
        return kept / seen if seen else 1.0

    def forget(self) -> None:
        """Drop what waits for more rows."""
        self._waiting.clear()

    def refuse_outside(
        self, plan: AttentionPlan, document: int, rows: Rows, padding: Tensor
    ) -> None:
        """Refuse weight on padding, and on keys that the site was found not to see."""
        name = plan.site.name
        if self._allow_nonfinite:
            # Of a row that sees nothing some models compute NaN, at every key.
            padding = padding.nan_to_num(0)
        elif rows.weights.numel():
            self._refuse_nonfinite(name, document, rows)
        if padding.numel() and bool((padding != 0).any()):
            raise StorageError(
                f"{name} attends to padding in {self._place(document, rows.first_row)}: the model "
                "does not mask it, so what it computes depends on the other documents of a batch. "
                "Record with --batch-size 1, or give the adapter's lengths to the model."
            )
        if bad := find_outside(rows):
            raise StorageError(
                f"{name} gives key {bad.key} the weight {bad.value:.3g} at "
                f"{self._place(document, bad.query)}, a key that it did not see in the first "
                f"document (its keys were found to be {plan.site.keys!r}). Record into another "
                "file with --attention-keys all, which leaves room for every key."
            )
        if plan.site.dtype == "uint8" and rows.weights.numel():
            low, high = (float(bound) for bound in rows.weights.aminmax())
            if not -1e-6 <= low <= high <= 1 + 1e-3:
                raise StorageError(
                    f"{name} has weights from {low:.3g} to {high:.3g} in "
                    f"{self._place(document, rows.first_row)}; uint8 holds 0 to 1. Record with "
                    "--attention-dtype float16."
                )

    def _refuse_nonfinite(self, name: str, document: int, rows: Rows) -> None:
        """Refuse NaN and infinities, whatever is kept of the rows they are in."""
        if bool(rows.weights.amax().isfinite() & rows.weights.amin().isfinite()):
            return
        bad = (~rows.weights.isfinite()).any(-1).any(0)
        query = rows.first_row + int(bad.nonzero()[0])
        raise StorageError(
            f"{name} has weights that are NaN or infinite at {self._place(document, query)}: the "
            "model itself computed them. Look for the cause in weights, input and masks, or keep "
            "such values with --nonfinite store."
        )

    def formed(
        self, plan: AttentionPlan, segment: int, rows: Rows, done: int, is_last: bool
    ) -> list[MapPiece]:
        """Return rows in the form in which they are kept, when they can be written.

        Parameters
        ----------
        plan : AttentionPlan
        segment : int
        rows : Rows
            Next rows of the segment.
        done : int
            Rows of the segment before these.
        is_last : bool
            Whether the segment ends with these. Only full maps are written in parts.
        """
        site = plan.site
        if site.form == FULL:
            weights = full_rows(rows, site.dtype)
            self.n_seen += weights.size
            self.n_kept += weights.size
            if self._measured is not None:
                some = some_rows(rows)
                self._measured[0] += int(largest_rows(some, SUGGESTED_MASS)[schema.KEPT].sum())
                self._measured[1] += int(np.diff(some.ranges, axis=1).sum()) * len(weights)
            if not self.whole:
                return [MapPiece(site.name, segment, weights, done)]
            self._held(site.name, segment).append(MapPiece(site.name, segment, weights))
        else:
            for part in rows.parts():
                self._held(site.name, segment).append(self._summed_up(plan, segment, part))
        if not is_last:
            return []
        return [joined(self._waiting.pop((site.name, segment)))]

    def _summed_up(self, plan: AttentionPlan, segment: int, rows: Rows) -> MapPiece:
        """Return the largest weights, where these are kept, and the statistics of some rows."""
        site, edges = plan.site, {}
        if site.form == TOP_P:
            assert site.mass is not None
            edges = largest_rows(rows, site.mass, site.dtype)
            self.n_kept += int(edges[schema.KEPT].sum())
            self.n_seen += int(np.diff(rows.ranges, axis=1).sum()) * (site.n_heads or 0)
        statistics = statistics_rows(rows, plan.statistics)
        return MapPiece(site.name, segment, edges=edges, statistics=statistics)

    def _held(self, site: str, segment: int) -> list[MapPiece]:
        return self._waiting.setdefault((site, segment), [])
