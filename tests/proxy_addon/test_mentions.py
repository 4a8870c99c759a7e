"""Pages that name an address which the browser then reaches past the recorder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.model import Upstream
from proxy_addon.mentions import Mentions, ways_there

S = 1_000_000_000
HTML = {"content-type": "text/html; charset=utf-8"}
UPSTREAMS = (
    Upstream("http://localhost:3000"),
    Upstream("http://localhost:4000"),
    Upstream("https://api.example.test:443"),
    Upstream("http://10.0.0.7:80"),
)


def watching(*ways: str) -> Mentions:
    return Mentions(UPSTREAMS, ways or tuple(f"Mend {index}." for index in range(4)))


def overdue(body: bytes, fields: dict[str, str] | None = None) -> list[int]:
    """Which of the addresses a page at the first one names."""
    mentions = watching()
    mentions.reached(0)
    assert mentions.seeks(0, fields or HTML)
    mentions.read(0, fields or HTML, body, 5 * S)
    assert list(mentions.overdue(15 * S - 1)) == []
    return [int(sentence.rpartition("Mend ")[2][0]) for sentence in mentions.overdue(15 * S)]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'<script>const api = "http://localhost:4000/api/v1"</script>', [1]),
        (b"new WebSocket('ws://127.0.0.1:4000/socket')", [1]),
        (b'{"api":"http:\\/\\/localhost:4000\\/api"}', [1]),
        (b"http:\\u002F\\u002flocalhost:4000", [1]),
        (b"fetch(`//localhost:4000/x`)", [1]),
        (b"http://[::1]:4000/", [1]),
        (b"https://api.example.test/v1 wss://api.example.test:443/", [2]),
        (b"HTTPS://API.example.TEST", [2]),
        (b"http://10.0.0.7/x", [3]),
        (b"http://localhost:4000 and http://10.0.0.7:80", [1, 3]),
        (b"http://localhost:40001", []),
        (b"https://localhost:4000 speaks another protocol", []),
        (b"http://localhost:3000 is where it is already", []),
        (b"https://api.example.test.evil.test/ https://api.example.test-2.test", []),
        (b"http://10.0.0.7:8080", []),
        (b"localhost:4000", []),
    ],
)
def test_read_finds_addresses_as_browsers_would(body: bytes, named: list[int]) -> None:
    assert overdue(body) == named


@pytest.mark.parametrize("name", ["content-security-policy", "link", "location"])
def test_read_looks_into_the_fields_that_lead_elsewhere(name: str) -> None:
    assert overdue(b"", {name: "connect-src 'self' ws://localhost:4000; img-src *"}) == [1]


def test_address_that_is_reached_in_time_is_not_said() -> None:
    for before in (True, False):
        mentions = watching()
        mentions.reached(0)
        if before:
            mentions.reached(1)
        mentions.read(0, HTML, b"http://localhost:4000", 0)
        mentions.reached(1)
        assert list(mentions.overdue(60 * S)) == []


def test_address_is_said_once_however_often_it_is_named() -> None:
    mentions = watching("A.", "End this recording and run  x", "C.", "D.")
    for at in range(3):
        mentions.read(0, HTML, b"http://localhost:4000", at * S)
    (sentence,) = mentions.overdue(10 * S)
    assert sentence == (
        "A page names http://localhost:4000, but no browser came there through the recorder within 10 s: what it "
        "does there is not recorded. End this recording and run  x"
    )
    mentions.read(0, HTML, b"http://localhost:4000", 11 * S)
    assert list(mentions.overdue(60 * S)) == []


def test_nothing_is_read_where_nothing_is_sought() -> None:
    mentions = watching()
    assert not mentions.seeks(0, {"content-type": "image/png"})
    assert not mentions.seeks(0, {"content-type": "text/css"})
    for index in range(4):
        mentions.reached(index)
    assert not mentions.seeks(0, HTML)
    assert not Mentions(UPSTREAMS, ()).seeks(0, HTML)  # the browser that --browser opened cannot go past
    assert not Mentions(UPSTREAMS[:1], ("A.",)).seeks(0, HTML)
    assert not Mentions((UPSTREAMS[0], Upstream("postgresql://localhost:5432")), ("A.", "B.")).seeks(0, HTML)


@given(st.binary(max_size=300))
def test_any_body_is_read(body: bytes) -> None:
    mentions = watching()
    mentions.read(0, HTML, body, 0)
    assert all("not recorded" in sentence for sentence in mentions.overdue(20 * S))


def test_ways_there_are_commands_with_the_same_addresses() -> None:
    urls = ("http://localhost:3000", "9000=https://localhost:4000")
    command = "nestperf record --browser http://localhost:3000 9000=https://localhost:4000 --insecure"
    assert ways_there(urls, ["--insecure"], browser=True) == [f"End this recording and run  {command}"] * 2


@pytest.mark.parametrize(
    ("index", "port", "command"),
    [
        (0, 3100, "nestperf record 3000=http://localhost:3100 9000=https://localhost:4000"),
        (1, 4100, "nestperf record http://localhost:3000 4000=https://localhost:4100"),
    ],
)
def test_ways_there_without_a_browser_take_the_port_over(index: int, port: int, command: str) -> None:
    way = ways_there(("http://localhost:3000", "9000=https://localhost:4000"), [], browser=False)[index]
    assert way == f"End this recording, move that application to port {port} and run  {command}"
