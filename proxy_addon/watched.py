"""The recorder's part in watching pages: hands what they tell and what the relay saw to `nestperf.pages.tracks`.

Pure. A fault in here costs page timings, never the recording: it is counted among the notices, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nestperf.capture.model import Exchange
from nestperf.pages.tracks import PageTracks, SeenExchange
from proxy_addon.exchanges import OpenExchange
from proxy_addon.tally import Tally

INCOMPLETE = "Page timings are incomplete: what a page told could not be understood."


class WatchedPages:
    """Pages of one recording."""

    def __init__(self, tracks: PageTracks, tally: Tally) -> None:
        self._tracks = tracks
        self._tally = tally

    def told(self, report: dict[str, Any], now_ns: int) -> None:
        """A report of the watcher: of a page, or of its own trouble."""
        if isinstance(report.get("trouble"), str):
            self._tally.notice(report["trouble"])
            return
        self._guard(self._tracks.told, report, now_ns)

    def saw(self, exchange: OpenExchange, row: Exchange) -> None:
        """A browser's exchange is over."""
        if row.method == "OPTIONS":  # no page knows of preflights
            return
        authority, target = exchange.sent.get("host", ""), exchange.request.target
        times = row.sent_ns, row.first_byte_ns, row.done_ns
        self._guard(self._tracks.saw, SeenExchange(row.id, row.client_id, row.upstream, authority, target, *times))

    def settle(self, now_ns: int) -> None:
        """Store what has become known."""
        self._guard(self._tracks.settle, now_ns)
        self._tally.pages = self._tracks.stored

    def _guard(self, action: Callable[..., None], *given: Any) -> None:
        try:
            action(*given)
        except Exception:
            self._tally.notice(INCOMPLETE)
