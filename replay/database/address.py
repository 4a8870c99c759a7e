"""Which database to ask, as its URL says it. The password is in no text that this module makes.

Pure. Of the query of the URL only `sslmode` and `sslrootcert` count; what else drivers write there is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from nestperf.errors import UsageError

EXAMPLE = "postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE"
SSL_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a database is, and who asks it."""

    host: str
    port: int
    user: str
    password: str | None = field(repr=False)
    database: str
    ssl_mode: str = "prefer"
    """As libpq's: `prefer` takes TLS where the server offers it, `require` insists, `verify-*` also look at the
    certificate."""
    ssl_root: str | None = None
    """PEM file of trusted authorities."""

    @property
    def url(self) -> str:
        """Without user, password and database."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgres://{host}:{self.port}"


def parse_address(url: str, password: str | None = None) -> Address:
    """The address that a URL names; `password` is used where it holds none.

    Raises:
        UsageError: it is no address of a database.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
        host, user = parts.hostname, parts.username
        given = dict(parse_qsl(parts.query))
    except ValueError:
        raise UsageError(f"--database is no URL of a database: write {EXAMPLE}.") from None
    if parts.scheme not in ("postgres", "postgresql") or not host:
        raise UsageError(f"--database is no URL of a database: write {EXAMPLE}.")
    if not user:
        raise UsageError(f"--database names no user: write {EXAMPLE}.")
    mode = given.get("sslmode", "prefer")
    if mode not in SSL_MODES:
        raise UsageError(f"sslmode={mode[:40]!r} is none of {', '.join(SSL_MODES)}: correct it in --database.")
    name = unquote(user)
    return Address(
        host=host,
        port=port,
        user=name,
        password=password if parts.password is None else unquote(parts.password),
        database=unquote(parts.path.lstrip("/")) or name,
        ssl_mode=mode,
        ssl_root=given.get("sslrootcert"),
    )
