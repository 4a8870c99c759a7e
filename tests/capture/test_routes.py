"""Paths fold into routes."""

from __future__ import annotations

import pytest

from nestperf.capture.routes import route_of


@pytest.mark.parametrize(
    ("target", "route"),
    [
        ("/", "/"),
        ("/api/v1/media/movie/36877", "/api/v1/media/movie/{id}"),
        ("/api/v1/media/requests?page=1&pageSize=20", "/api/v1/media/requests"),
        ("/r/584348b7-cca2-4758-81e6-b93952f4a624/x", "/r/{id}/x"),
        ("/hash/0123456789abcdef/z", "/hash/{id}/z"),
        ("/short/0123abc", "/short/0123abc"),
        ("/_next/static/chunks/app-1a2b.js", "/_next/static/*"),
        ("/v1/42/", "/v1/{id}/"),
        ("http://localhost:4000/health?x", "/health"),
        ("*", "*"),
        ("/page#part", "/page"),
    ],
)
def test_route_of_table(target: str, route: str) -> None:
    assert route_of(target) == route
