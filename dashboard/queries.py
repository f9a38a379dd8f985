"""Reading a request's arguments: each is checked here, once, before a source sees it."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.library import Shelf
from dashboard.sources.protocol import AnnotationInfo, SiteInfo, StreamInfo
from interp.errors import unknown_name


class QueryError(Exception):
    """A request that cannot be answered; `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Query:
    """The arguments of one request to one recording."""

    def __init__(self, shelf: Shelf, arguments: Mapping[str, str]) -> None:
        self.shelf = shelf
        self.arguments = arguments

    def integer(
        self, name: str, default: int | None = None, low: int = 0, high: int = 2**62
    ) -> int:
        """Return an integer in [low, high]."""
        text = self.arguments.get(name)
        if text is None:
            if default is None:
                raise QueryError(f"The argument {name!r} is missing.")
            return default
        # Python's int() would also take "1_000", " 7" and other digits than ASCII's.
        if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 18:
            raise QueryError(f"The argument {name!r} must be a whole number, not {text[:40]!r}.")
        value = int(text)
        if not low <= value <= high:
            raise QueryError(f"The argument {name!r} must lie in {low} to {high}, not {value}.")
        return value

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return one of the allowed words; the first is the default."""
        text = self.arguments.get(name, allowed[0])
        if text not in allowed:
            raise QueryError(
                f"The argument {name!r} must be one of {', '.join(allowed)}, not {text[:40]!r}."
            )
        return text

    def site(self, name: str | None = None) -> SiteInfo:
        """Return the site asked for, or the one named here."""
        name = self.arguments.get("site", "") if name is None else name
        sites = self.shelf.source.sites
        if name not in sites:
            raise QueryError(unknown_name("site", name[:200], sites), 404)
        return sites[name]

    def unit(self, site: SiteInfo) -> int:
        """Return the unit asked for, which the site has."""
        unit = self.integer("unit")
        if unit >= site.n_units:
            message = (
                f"Unit {unit} of {site.name} does not exist: "
                f"that site has {site.n_units} units (0 to {site.n_units - 1})."
            )
            raise QueryError(message, 404)
        return unit

    def units(self, site: SiteInfo, name: str = "units", most: int = 4_096) -> list[int] | None:
        """Return a list written as ``0-5,9``; None when the argument is absent or empty."""
        text = self.arguments.get(name, "")
        if not text:
            return None
        units: list[int] = []
        for piece in text.split(","):
            low, dash, high = piece.partition("-")
            if not low.isdecimal() or (dash and not high.isdecimal()) or len(piece) > 30:
                raise QueryError(f"The argument {name!r} must look like 0-5,9, not {text[:60]!r}.")
            first, last = int(low), int(high or low)
            if not first <= last < site.n_units or len(units) + last - first >= most:
                raise QueryError(
                    f"Units {piece} are not within 0 to {site.n_units - 1}, those of {site.name}."
                )
            units.extend(range(first, last + 1))
        return units

    def stream(self) -> StreamInfo:
        """Return the stream asked for, the first one by default."""
        streams = self.shelf.source.streams
        name = self.arguments.get("stream", next(iter(streams), ""))
        if name not in streams:
            raise QueryError(unknown_name("stream", name[:200], streams), 404)
        return streams[name]

    def annotation(self, stream: StreamInfo) -> AnnotationInfo:
        """Return the annotation asked for by `name`, which is one of the stream."""
        name = self.arguments.get("name", "")
        info = self.shelf.source.annotations.get(name)
        if info is None or info.stream != stream.name:
            message = f"No annotation named {name[:100]!r} on the stream {stream.name}."
            raise QueryError(message, 404)
        return info

    def span(self, stream: StreamInfo, most: int) -> tuple[int, int]:
        """Return a checked range of positions, at most `most` long."""
        start = self.integer("start")
        stop = self.integer("stop")
        if not start <= stop <= stream.n_positions:
            raise QueryError(
                f"Positions {start} to {stop} are not within 0 to {stream.n_positions}."
            )
        if stop - start > most:
            raise QueryError(f"At most {most} positions at once, not {stop - start}.")
        return start, stop
