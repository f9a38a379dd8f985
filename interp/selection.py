"""Selections: some positions × some units of one site, in one text form.

The command line, the dashboard's address and result files all spell a selection the same way::

    SITE [ :UNITS ] [ @POSITIONS ]

    lstm/l0/cell                          every unit, every position
    lstm/l0/cell:87                       one unit
    lstm/l0/cell:87,90-95@doc3            seven units, one document
    lstm/l0/cell:87@doc3:100-200,doc5     a part of one document, and another
    lstm/l0/cell@5000-5999                positions of the stream
    h.3.attn/attention:5@doc0             a head, for an attention site

Indices count from 0, and ranges include both ends. Inside ``docN:`` positions count from the
document's start. The order that is written is the order of the result.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from interp.arguments import shown
from interp.errors import SelectionError, SiteError, unknown_name
from interp.wording import count, kind_of

if TYPE_CHECKING:
    from interp.storage.recording import Recording
    from interp.storage.streams import Stream

_RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?", re.ASCII)
_PLACE = re.compile(r"doc(\d{1,18})(?::(\d{1,18})(?:-(\d{1,18}))?)?", re.ASCII)
_FORM = "Write SITE:UNITS@POSITIONS, such as lstm/l0/cell:87,90-95@doc3:100-200."


@dataclass(frozen=True)
class Units:
    """Some unit (or head) indices, as ranges in the order in which they were asked for.

    Parameters
    ----------
    ranges : tuple of (int, int)
        First and last index of each range, both included. Adjoining ranges become one. A unit
        that lies in several counts once, where it is named first.
    """

    ranges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        merged: list[tuple[int, int]] = []
        for first, last in self.ranges:
            if first < 0:
                raise SelectionError(f"There is no unit {first}: units count from 0.")
            if last < first:
                raise SelectionError(f"{first}-{last} is no range of units: it has to rise.")
            if merged and merged[-1][1] + 1 == first:
                merged[-1] = merged[-1][0], last
            else:
                merged.append((first, last))
        if not merged:
            raise SelectionError("No unit is selected.")
        object.__setattr__(self, "ranges", tuple(merged))

    @classmethod
    def of(cls, indices: Iterable[int]) -> Units:
        """Return the units with the given indices, in their order."""
        try:
            chosen = [operator.index(i) for i in indices]
        except TypeError:
            raise SelectionError(
                f"Units are chosen by whole numbers; got {shown(indices)}."
            ) from None
        return cls(tuple((i, i) for i in chosen))

    @classmethod
    def parse(cls, text: str) -> Units:
        """Read units from text such as ``87,90-95``."""
        ranges = []
        for part in text.split(","):
            found = _RANGE.fullmatch(part)
            if found is None:
                raise SelectionError(f"{part!r} is no unit or range of units. {_FORM}")
            first, last = int(found[1]), int(found[2] or found[1])
            if last < first:
                raise SelectionError(f"The range {part} runs backwards; write {last}-{first}.")
            ranges.append((first, last))
        return cls(tuple(ranges))

    def __str__(self) -> str:
        return ",".join(_range_text(first, last) for first, last in self.ranges)

    def indices(self, n_units: int, site: str, kind: str = "unit") -> np.ndarray:
        """Return the indices as an array, after checking them against a site.

        Raises
        ------
        SelectionError
            If the site has fewer units.
        """
        worst = max(last for _, last in self.ranges)
        if worst >= n_units:
            first = next(f for f, last in self.ranges if last >= n_units)
            raise no_such_unit(max(first, n_units), n_units, site, kind)
        named = np.concatenate([np.arange(first, last + 1) for first, last in self.ranges])
        _, where = np.unique(named, return_index=True)
        return named if len(where) == len(named) else named[np.sort(where)]


@dataclass(frozen=True)
class Place:
    """A run of positions, of the stream or of one document.

    Parameters
    ----------
    document : int or None
        Index of the document in which `first` and `last` count; None: they count in the stream.
    first, last : int or None
        Both included; both None: all of the document.
    """

    document: int | None = None
    first: int | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        first, last = self.first, self.last
        if (first is None) != (last is None) or (first is None and self.document is None):
            raise SelectionError("A run of positions has a first and a last one, or a document.")
        if first is not None and last is not None and not 0 <= first <= last:
            raise SelectionError(f"{first}-{last} is no run of positions: it has to rise from 0.")
        if self.document is not None and self.document < 0:
            raise SelectionError("Documents are counted from 0.")

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read a place from text such as ``doc3``, ``doc3:100-200`` or ``5000-5999``."""
        document = None
        found = _PLACE.fullmatch(text)
        if found is not None:
            document, first, last = int(found[1]), found[2], found[3]
        else:
            found = _RANGE.fullmatch(text)
            if found is None:
                raise SelectionError(f"{text!r} is no place in a stream. {_FORM}")
            first, last = found[1], found[2]
        if first is None:
            return cls(document)
        if last is not None and int(last) < int(first):
            raise SelectionError(f"The range {text} runs backwards; write {last}-{first}.")
        return cls(document, int(first), int(last or first))

    def __str__(self) -> str:
        parts = [] if self.document is None else [f"doc{self.document}"]
        if self.first is not None and self.last is not None:
            parts.append(_range_text(self.first, self.last))
        return ":".join(parts)

    def rows(self, stream: Stream) -> tuple[int, int]:
        """Return the first and one-past-last position in the stream.

        Raises
        ------
        SelectionError
            If the stream has no such document or position.
        """
        start, n, where = 0, stream.n_positions, f"Stream {stream.name!r}"
        if self.document is not None:
            document = stream.documents[self.document]
            start, n = document.start, document.n_positions
            where = f"Document {self.document} ({document.name!r})"
        if self.first is None or self.last is None:
            return start, start + n
        if self.last >= n:
            raise SelectionError(
                f"{where} has no position {max(self.first, n)}: it has {n:,} "
                f"({_range_text(0, n - 1)})."
            )
        return start + self.first, start + self.last + 1


@dataclass(frozen=True)
class Selection:
    """Positions × units (or heads) of one site.

    Parameters
    ----------
    site : str
    units : Units or None
        None: all units.
    positions : tuple of Place, or None
        None: all positions.
    """

    site: str
    units: Units | None = None
    positions: tuple[Place, ...] | None = None

    def __post_init__(self) -> None:
        if not self.site or _split(self.site) != (self.site, None, None):
            raise SelectionError(f"{self.site!r} is not the name of a site.")
        if self.positions is not None and not self.positions:
            raise SelectionError("No position is selected.")

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Read a selection from its text form.

        Raises
        ------
        SelectionError
            If the text has another form; the message says which part.
        """
        if not isinstance(text, str):
            raise SelectionError(f"A selection is text; got {kind_of(text)}. {_FORM}")
        site, units, positions = _split(text.strip())
        if not site:
            raise SelectionError(f"The selection {text!r} names no site. {_FORM}")
        if ":" in site:
            wrong = site.partition(":")[2]
            raise SelectionError(f"{wrong!r} is no unit or range of units. {_FORM}")
        return cls(
            site,
            None if units is None else Units.parse(units),
            None if positions is None else tuple(map(Place.parse, positions.split(","))),
        )

    def __str__(self) -> str:
        text = self.site
        if self.units is not None:
            text += f":{self.units}"
        if self.positions is not None:
            text += "@" + ",".join(map(str, self.positions))
        return text

    def unit_indices(self, recording: Recording) -> np.ndarray:
        """Return the selected units as an array of int64, checked against the recording."""
        if site := recording.attention_sites.get(self.site):
            kind, n = "head", site.n_units
        elif self.site in recording.sites:
            kind, n = "unit", recording.sites[self.site].n_units
        else:
            names = [*recording.sites, *recording.attention_sites]
            raise SiteError(unknown_name("site", self.site, names))
        return np.arange(n) if self.units is None else self.units.indices(n, self.site, kind)

    def rows(self, recording: Recording) -> list[tuple[int, int]]:
        """Return the selected rows of the site as runs [start, stop), checked, in order.

        Rows are positions, or documents for a site without a position axis.
        """
        stream = recording.stream_of(self.site)
        per_document = self.site in recording.sites and recording.sites[self.site].per == "call"
        if self.positions is None:
            return [(0, stream.n_documents if per_document else stream.n_positions)]
        if not per_document:
            return [place.rows(stream) for place in self.positions]
        if wrong := [place for place in self.positions if place.first is not None]:
            raise SelectionError(
                f"{self.site} has one row per document, so {str(wrong[0])!r} selects nothing in "
                "it; name whole documents, such as doc3."
            )
        chosen = [stream.documents[place.document].index for place in self.positions]
        return [(index, index + 1) for index in chosen]


def as_selection(selection: str | Selection) -> Selection:
    """Return a selection that is given as such or by its text form.

    Raises
    ------
    SelectionError
        If it is neither.
    """
    if isinstance(selection, str):
        return Selection.parse(selection)
    if not isinstance(selection, Selection):
        raise SelectionError(f"A selection is text; got {kind_of(selection)}. {_FORM}")
    return selection


def no_such_unit(index: int, n_units: int, site: str, kind: str = "unit") -> SelectionError:
    """Return the error for a unit, or head, that a site does not have."""
    return SelectionError(
        f"{kind} {index} of {site} does not exist: that site has {count(n_units, kind)} "
        f"({_range_text(0, n_units - 1)})."
    )


def _split(text: str) -> tuple[str, str | None, str | None]:
    """Take a selection apart from its end: a module's name may hold ``@``, a signal does not."""
    head, at, positions = text.rpartition("@")
    if not at or "/" in positions:
        head, positions = text, ""
    site, colon, units = head.rpartition(":")
    if not colon or "/" in units:
        site, units = head, ""
    has_positions = bool(at) and head != text
    has_units = bool(colon) and site != head
    return site, units if has_units else None, positions if has_positions else None


def _range_text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
