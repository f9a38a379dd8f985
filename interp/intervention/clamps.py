"""What is clamped: units of a site, to a value, in some rows of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.errors import SelectionError
from interp.selection import Selection, as_selection, no_such_unit


@dataclass(frozen=True, eq=False)
class Clamp:
    """Units of one site, or heads of an attention site, and the value they are held at.

    Attributes
    ----------
    site : str
        Such as ``"lstm/l0/cell"``, ``"mlp/output"`` or ``"blocks.0.attention/attention"``.
    units : tuple of int
        Unit indices; heads at an attention site.
    value : float or Tensor
        One for all; (n_units,); or (n_units, n_steps), one for each step of the forward. For heads
        a number, or (n_heads, head_dim).
    rows : tuple of int or None
        Rows of the batch; None: all of them. Different rows of one batch may so be clamped
        differently.
    """

    site: str
    units: tuple[int, ...]
    value: float | Tensor = 0.0
    rows: tuple[int, ...] | None = None

    @classmethod
    def parse(
        cls,
        selection: str | Selection,
        value: float | Tensor = 0.0,
        rows: Sequence[int] | None = None,
    ) -> Clamp:
        """Return the clamp of the units that a selection such as ``lstm/l0/cell:87,90`` names.

        Parameters
        ----------
        selection : str or Selection
            With units, without positions.
        value : float or Tensor
            See :class:`Clamp`.
        rows : sequence of int, optional
            See :class:`Clamp`.

        Raises
        ------
        SelectionError
            If it names no units, or positions.
        """
        chosen = as_selection(selection)
        if chosen.positions is not None:
            raise SelectionError(
                f"{chosen} names positions, but a clamp holds at every position; leave @... out."
            )
        if chosen.units is None:
            raise SelectionError(
                f"{chosen} names no units; write which, such as {chosen}:87 or {chosen}:87,90-95."
            )
        named = [range(first, last + 1) for first, last in chosen.units.ranges]
        units = dict.fromkeys(unit for part in named for unit in part)
        return cls(chosen.site, tuple(units), value, None if rows is None else tuple(rows))

    def check_units(self, n_units: int, kind: str = "unit") -> None:
        """Raise SelectionError if the site, which has `n_units`, lacks one of the units."""
        for unit in self.units:
            if not 0 <= unit < n_units:
                raise no_such_unit(unit, n_units, self.site, kind)

    def check_rows(self, n_rows: int) -> None:
        """Raise SelectionError if a batch of `n_rows` lacks one of the rows."""
        for row in self.rows or ():
            if not 0 <= row < n_rows:
                raise SelectionError(
                    f"A clamp of {self.site} names row {row} of a batch of {n_rows}."
                )


def check_distinct(clamps: Sequence[Clamp]) -> None:
    """Raise SelectionError if clamps of one site name no unit, or the same one of a row twice."""
    held: dict[int, set[int | None]] = {}
    for clamp in clamps:
        if not clamp.units:
            raise SelectionError(f"A clamp of {clamp.site} names no units.")
        rows: set[int | None] = {None} if clamp.rows is None else set(clamp.rows)
        for unit in clamp.units:
            others = held.setdefault(unit, set())
            if others & rows or (rows and None in others) or (others and None in rows):
                raise SelectionError(
                    f"{clamp.site}:{unit} is clamped twice in the same row; leave one value."
                )
            others |= rows


@dataclass(frozen=True, eq=False)
class Entries:
    """The clamped entries of one site in one batch, ready to be put in place.

    Attributes
    ----------
    site : str
    rows, units : Tensor (n_entries,) int64
    values : Tensor (n_entries,) or (n_entries, n_steps)
    """

    site: str
    rows: Tensor
    units: Tensor
    values: Tensor

    @classmethod
    def of(cls, clamps: Sequence[Clamp], like: Tensor, n_rows: int) -> Entries:
        """Return the entries of some clamps of one site.

        Parameters
        ----------
        clamps : sequence of Clamp
            No two of them name the same entry.
        like : Tensor
            Gives type and device.
        n_rows : int
            Of the batch.

        Raises
        ------
        SelectionError
            If a clamp names a row that the batch doesn't have, or its values fit no shape.
        """
        rows, units, values = [], [], []
        indices: dict[str, Any] = {"dtype": torch.int64, "device": like.device}
        for clamp in clamps:
            named = tuple(range(n_rows)) if clamp.rows is None else clamp.rows
            clamp.check_rows(n_rows)
            n_units = len(clamp.units)
            value = torch.as_tensor(clamp.value, dtype=like.dtype, device=like.device)
            if value.ndim > 2 or (value.ndim and len(value) != n_units):
                raise SelectionError(
                    f"A clamp of {n_units} units of {clamp.site} has values of shape "
                    f"{tuple(value.shape)}; give one number, (n_units,) or (n_units, n_steps)."
                )
            value = value.expand(n_units) if value.ndim == 0 else value
            rows.append(torch.tensor(named, **indices).repeat_interleave(n_units))
            units.append(torch.tensor(clamp.units, **indices).repeat(len(named)))
            values.append(value.repeat(len(named), *(1,) * (value.ndim - 1)))
        site, steps = clamps[0].site, {value.shape[1] for value in values if value.ndim == 2}
        if len(steps) > 1:
            raise SelectionError(
                f"Clamps of {site} have values for {min(steps)} and for {max(steps)} steps; give "
                "as many as the forward has."
            )
        for n_steps in steps:
            values = [v if v.ndim == 2 else v[:, None].expand(-1, n_steps) for v in values]
        return cls(site, torch.cat(rows), torch.cat(units), torch.cat(values))

    def reordered(self, place_of_row: Tensor) -> Entries:
        """Return the entries of a batch whose row r stands at ``place_of_row[r]``."""
        rows = place_of_row.to(self.rows.device)[self.rows]
        return Entries(self.site, rows, self.units, self.values)

    def check_steps(self, n_steps: int) -> None:
        """Raise SelectionError if there are values for each step, and not for `n_steps`."""
        if self.values.ndim == 2 and self.values.shape[1] != n_steps:
            raise SelectionError(
                f"A clamp of {self.site} has values for {self.values.shape[1]} steps, and its "
                f"module was called with {n_steps}; values for each step need one call with all "
                "of them, or a cell that is called once a step."
            )

    def put(self, state: Tensor, step: int = 0) -> Tensor:
        """Return (n_running, n_units) of one step with the entries in place.

        A batch of sequences of different lengths has fewer rows at late steps; the entries of
        the rows that have ended are left out.
        """
        if self.values.ndim == 2 and step >= self.values.shape[1]:
            raise SelectionError(
                f"A clamp of {self.site} has values for {self.values.shape[1]} steps, and its "
                "module was called more often in one forward."
            )
        rows, units = self.rows, self.units
        values = self.values if self.values.ndim == 1 else self.values[:, step]
        if len(rows) and len(state) <= int(rows.max()):
            running = rows < len(state)
            rows, units, values = rows[running], units[running], values[running]
        return state.index_put((rows, units), values)

    def put_in_sequence(self, output: Tensor) -> Tensor:
        """Return (batch, ..., n_units) with the entries in place at all steps between."""
        middle = output.ndim - 2
        self.check_steps(output.shape[1] if middle else 1)
        if not middle and self.values.ndim == 2:
            return self.put(output)
        moved = output.movedim(-1, 1)  # (batch, n_units, ...)
        values = self.values.reshape(*self.values.shape, *(1,) * (middle - self.values.ndim + 1))
        values = values.expand(len(values), *moved.shape[2:])
        return moved.index_put((self.rows, self.units), values).movedim(1, -1)
