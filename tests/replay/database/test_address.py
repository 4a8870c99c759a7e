"""Which database: URLs, what is read of them, and that no password comes out again."""

from __future__ import annotations

import pytest

from nestperf.errors import UsageError
from replay.database.address import parse_address


def test_everything_in_a_url_is_read() -> None:
    address = parse_address(
        "postgresql://me%40x:p%2Fw@[::1]:6000/my%20db?sslmode=verify-full&sslrootcert=/ca.pem&schema=a"
    )
    assert (address.host, address.port, address.user, address.password) == ("::1", 6000, "me@x", "p/w")
    assert (address.database, address.ssl_mode, address.ssl_root) == ("my db", "verify-full", "/ca.pem")
    assert address.url == "postgres://[::1]:6000"


def test_what_is_left_out_is_what_libpq_takes() -> None:
    address = parse_address("postgres://me@localhost", "from PGPASSWORD")
    assert (address.port, address.database, address.ssl_mode) == (5432, "me", "prefer")
    assert address.password == "from PGPASSWORD"
    assert parse_address("postgres://me:own@localhost", "from PGPASSWORD").password == "own"


def test_password_is_in_no_text() -> None:
    address = parse_address("postgres://me:canary@localhost/db")
    assert "canary" not in repr(address) + str(address) + address.url


@pytest.mark.parametrize(
    "url",
    ["", "localhost", "http://me:canary@localhost/db", "postgres://", "postgres:///db", "postgres://me:canary@h:x/db",
     "postgres://canary-host/db", "postgres://me:canary@h/db?sslmode=allow"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_address(url)
    assert "canary" not in str(refused.value)
