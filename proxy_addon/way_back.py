"""What of an application still leads to the recorder when a recording is over, and has to be mended before a replay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nestperf.capture.model import Upstream
from nestperf.console import plural
from proxy_addon.tally import Tally


def way_back(upstreams: Sequence[Upstream], tally: Tally) -> Iterator[str]:
    """Sentences: nothing listens at the recorder's addresses any more, and the application was told to use them."""
    for number, upstream in enumerate(upstreams):
        if upstream.listen is None:
            continue
        if upstream.is_database and tally.queries:
            port = upstream.listen.rpartition(":")[2]
            yield (
                f"Before a replay: the application asked its database through the recorder, at {upstream.listen}. "
                f"Start it with its own DATABASE_URL again, or replay with --tap {port}={upstream.url}"
            )
        elif calls := tally.server_calls[number]:
            yield (
                f"Before a replay: {plural(calls, 'call')} by a server came through the recorder, at "
                f"{upstream.listen}. Have it call {upstream.url} instead."
            )
