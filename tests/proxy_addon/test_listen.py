"""Which ports the recorder takes, and what it says when it cannot."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from nestperf.errors import UsageError
from proxy_addon.listen import LOOPBACK, choose_listeners, is_loopback, parse_upstream


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("text", "url", "listen_port"),
    [
        ("http://127.0.0.1:4000", "http://127.0.0.1:4000", None),
        ("http://127.0.0.1:4000/", "http://127.0.0.1:4000", None),
        ("8400=http://localhost:4000", "http://localhost:4000", 8400),
        ("http://example.test", "http://example.test:80", None),
        ("http://[::1]:4000", "http://[::1]:4000", None),
        ("postgres://127.0.0.1:5433", "postgres://127.0.0.1:5433", None),
        ("8432=postgresql://u:p%40w@db.test/media?schema=public", "postgres://db.test:5432", 8432),
    ],
)
def test_parse_upstream_table(text: str, url: str, listen_port: int | None) -> None:
    request = parse_upstream(text)
    assert (request.url, request.listen_port) == (url, listen_port)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ftp://127.0.0.1", "Cannot record ftp://"),
        ("127.0.0.1:4000", "give the application's address as http://HOST:PORT"),
        ("4000", "give the application's address as http://HOST:PORT"),
        ("http://", "names no host"),
        ("http://127.0.0.1:99999", "names no port"),
        ("http://127.0.0.1:4000/api", "open the path in the browser"),
        ("70000=http://127.0.0.1:4000", "is no port"),
    ],
)
def test_parse_upstream_bad_input_says_what_to_do(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_upstream(text)


@pytest.mark.parametrize(
    "text", ["mysql://me:s3cret@db:1", "postgres://me:s3cret@db:99999", "99999=http://me:s3cret@x"]
)
def test_parse_upstream_never_shows_credentials(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_upstream(text)
    assert "s3cret" not in str(raised.value)


def test_choose_listeners_port_asked_for_and_in_use_is_refused(busy: int) -> None:
    with pytest.raises(UsageError, match=f"Port {busy} is in use"):
        choose_listeners([parse_upstream(f"{busy}=http://127.0.0.1:1")], LOOPBACK)


def test_choose_listeners_port_of_the_application_itself_is_refused(busy: int) -> None:
    with pytest.raises(UsageError, match="The application itself is at port"):
        choose_listeners([parse_upstream(f"{busy}=http://127.0.0.1:{busy}")], LOOPBACK)


def test_choose_listeners_same_port_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="asked for twice"):
        choose_listeners(
            [parse_upstream("8400=http://127.0.0.1:1"), parse_upstream("8400=http://127.0.0.1:2")], LOOPBACK
        )


def test_choose_listeners_gives_each_upstream_a_free_port_of_its_own(busy: int) -> None:
    listeners = choose_listeners(
        [parse_upstream(f"http://127.0.0.1:{busy}"), parse_upstream("http://[::1]:3")], LOOPBACK
    )
    ports = [listener.port for listener in listeners]
    assert len(set(ports)) == 2
    assert all(8400 <= port < 8999 for port in ports)
    assert all("127.0.0.1" in listener.hosts for listener in listeners)


def test_choose_listeners_foreign_address_is_refused() -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1 is no address of this machine"):
        choose_listeners([parse_upstream("http://127.0.0.1:1")], ["192.0.2.1"])


def test_is_loopback_table() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "app.localhost")))
    assert not any(map(is_loopback, ("192.168.1.5", "example.test", "0.0.0.0")))
