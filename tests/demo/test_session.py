from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from nestperf.demo.app import DemoApp
from nestperf.demo.browser import USER_AGENT, SessionFailed
from nestperf.demo.children import free_port
from nestperf.demo.faults import Faults
from nestperf.demo.session import run_session


async def test_session_does_what_a_tester_does(start_app: Any) -> None:
    app = await start_app(status_interval_s=0.2)
    said: list[str] = []
    await run_session(app.url, say=said.append, pace=0.01)
    counts = app.counts
    assert counts.statuses == {200: 43, 201: 1, 101: 1}
    assert counts.requests["POST /api/v1/auth/plex/verify"] == 1
    assert counts.requests["DELETE /api/v1/media/requests/{id}"] == 1
    assert counts.events == {
        "subscribe:status": 1,
        "client:ping": 1,
        "join-media-room": 1,
        "poster:get": 1,
        "request:refresh": 1,
        "requests:history": 1,
    }
    assert counts.namespaces == {"/authenticated": 1, "/media": 1, "/status": 1}
    assert len(counts.users) == 1
    assert counts.user_agents == {USER_AGENT}
    assert len(said) == 13
    assert re.search(r"signs in with Plex as friend1", said[1])


async def test_session_keeps_its_connections_and_loads_in_parallel(start_app: Any) -> None:
    app = await start_app(status_interval_s=0.2)
    await run_session(app.url, say=lambda _: None, pace=0.01)
    order = app.counts.request_order
    ports = {row.port for row in order if not row.target.startswith("/socket.io/")}
    assert 3 <= len(ports) <= 6
    dashboard = [row.port for row in order if row.target.startswith("/api/v1/dashboard/")]
    assert len(set(dashboard)) == 3


async def test_two_sessions_at_once_are_two_friends(start_app: Any) -> None:
    app = await start_app(status_interval_s=0.2)
    await asyncio.gather(*(run_session(app.url, say=lambda _: None, pace=0.01) for _ in range(2)))
    assert len(app.counts.users) == 2


async def test_session_at_an_application_that_fails_ends_in_a_sentence(start_app: Any) -> None:
    app: DemoApp = await start_app(Faults(error_every=1, error_path="/api/v1/media/search"))
    with pytest.raises(SessionFailed, match=r"GET /api/v1/media/search\?query=star was answered 500, not 200"):
        await run_session(app.url, say=lambda _: None, pace=0.01)


async def test_session_at_nobody_ends_in_a_sentence() -> None:
    with pytest.raises(SessionFailed, match="is it running"):
        await run_session(f"http://127.0.0.1:{free_port()}", say=lambda _: None)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8400", "ftp://127.0.0.1/"])
async def test_session_at_no_address_ends_in_a_sentence(url: str) -> None:
    with pytest.raises(SessionFailed, match="is not an address to open"):
        await run_session(url, say=lambda _: None)
