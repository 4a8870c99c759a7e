"""Where a replay sends to, and what it refuses."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Upstream
from nestperf.errors import UsageError
from replay.targets import choose_targets

ONE = (Upstream("http://127.0.0.1:4000"),)
TWO = (Upstream("http://127.0.0.1:3000"), Upstream("http://127.0.0.1:4000"))


def urls(recorded: tuple[Upstream, ...], *asked: str, allowed: tuple[str, ...] = ()) -> list[str]:
    return [target.url for target in choose_targets(recorded, asked, allowed)]


def test_targets_are_the_recorded_upstreams_by_default() -> None:
    assert urls(TWO) == ["http://127.0.0.1:3000", "http://127.0.0.1:4000"]


def test_one_target_takes_the_place_of_the_one_upstream() -> None:
    assert urls(ONE, "http://127.0.0.1:9999/") == ["http://127.0.0.1:9999"]


def test_recorded_database_keeps_its_place_and_needs_no_target() -> None:
    recorded = (Upstream("postgres://db.invalid:5432"), *ONE)
    assert urls(recorded, "http://127.0.0.1:9999") == ["postgres://db.invalid:5432", "http://127.0.0.1:9999"]
    with pytest.raises(UsageError, match=r"called 5432: it has http://127.0.0.1:4000"):
        urls(recorded, "5432=http://127.0.0.1:1")


@pytest.mark.parametrize("name", ["http://127.0.0.1:4000", "http://127.0.0.1:4000/", "127.0.0.1:4000", "4000"])
def test_named_upstream_gets_another_target(name: str) -> None:
    assert urls(TWO, f"{name}=http://127.0.0.1:9999") == ["http://127.0.0.1:3000", "http://127.0.0.1:9999"]


def test_localhost_prefers_the_address_family_in_which_users_have_addresses() -> None:
    (target,) = choose_targets((Upstream("http://localhost:4000"),), (), ())
    assert target.addresses[0] == "127.0.0.1"
    assert target.is_loopback


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("http://127.0.0.1:1",), r"2 upstreams .*3000.*4000.* --target UPSTREAM=http://127.0.0.1:1"),
        (("5000=http://127.0.0.1:1",), r"No upstream .* called 5000: it has .*3000"),
        (("3000=ftp://127.0.0.1",), "is no target: write one like"),
        (("3000=http://127.0.0.1:1/api",), "has a path"),
        (("3000=http://127.0.0.1:notaport",), "is no target"),
        (("3000=http://u@127.0.0.1:1",), "is no target"),
        (("3000=http://no.such.host.invalid",), r"host no.such.host.invalid is unknown"),
        (("3000=http://192.0.2.1:80",), r"192.0.2.1:80 is not on this machine: allow it with --allow-host 192.0.2.1"),
    ],
)
def test_target_that_cannot_be_is_refused_in_one_sentence(asked: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        urls(TWO, *asked)


def test_host_that_is_allowed_is_taken() -> None:
    assert urls(ONE, "http://192.0.2.1:80", allowed=("192.0.2.1",)) == ["http://192.0.2.1:80"]
