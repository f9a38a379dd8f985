"""What every source here knows from the start: its sites and streams."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.sources.protocol import SiteInfo, StreamInfo


class Described:
    """The sites and streams of a source that describes them once, when it is opened."""

    _sites: dict[str, SiteInfo]
    _streams: dict[str, StreamInfo]

    @property
    def sites(self) -> Mapping[str, SiteInfo]:
        """Recorded places, in model order."""
        return self._sites

    @property
    def streams(self) -> Mapping[str, StreamInfo]:
        """Axes of positions."""
        return self._streams
