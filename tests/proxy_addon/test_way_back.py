"""What is said at a recording's end of addresses at which the application would find nobody any more."""

from __future__ import annotations

from collections import Counter

from nestperf.capture.model import Upstream
from proxy_addon.tally import Tally
from proxy_addon.way_back import way_back

UPSTREAMS = (
    Upstream("http://127.0.0.1:3100", listen="127.0.0.1:3000"),
    Upstream("http://127.0.0.1:4100", listen="[::1]:4000"),
    Upstream("postgres://127.0.0.1:5432", listen="[::1]:15432"),
)


def test_whoever_came_through_the_recorder_is_told_where_to_go_before_a_replay() -> None:
    tally = Tally()
    assert list(way_back(UPSTREAMS, tally)) == [], "nobody but browsers came by"
    tally.server_calls[1], tally.queries = 10, Counter(ok=74)
    calls, queries = way_back(UPSTREAMS, tally)
    assert "10 calls by a server came through the recorder, at [::1]:4000" in calls
    assert "call http://127.0.0.1:4100 instead" in calls
    assert queries.endswith("or replay with --tap 15432=postgres://127.0.0.1:5432")


def test_what_is_no_recording_listened_nowhere() -> None:
    tally = Tally()
    tally.server_calls[0] = 1
    assert list(way_back([Upstream("http://127.0.0.1:3100")], tally)) == []
