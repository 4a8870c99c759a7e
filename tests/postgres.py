"""A real PostgreSQL for tests: databases of their own, its statistics and its log."""

from __future__ import annotations

import os
import subprocess
from itertools import count
from pathlib import Path
from typing import ClassVar

from nestperf.demo.postgres import PostgresServer


class Postgres:
    """A running server and its client programs."""

    SETTINGS: ClassVar[dict[str, str]] = {
        "shared_preload_libraries": "pg_stat_statements",
        "pg_stat_statements.track_utility": "on",
        "log_min_duration_statement": "0",
        "log_line_prefix": "%m [%p] %a ",
        "synchronous_commit": "off",
    }

    def __init__(self, server: PostgresServer, binaries: Path) -> None:
        self.server = server
        self.binaries = binaries
        self._names = count(1)

    def fresh_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test{next(self._names)}"
        self.run("psql", "-q", "-c", f"create database {name}", self.server.url)
        return self.server.url.rpartition("/")[0] + f"/{name}"

    def run(self, program: str, *arguments: str, text: str | None = None) -> str:
        """Run a client program; what it printed."""
        ended = subprocess.run(
            [str(self.binaries / program), *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=os.environ | {"PGPASSWORD": self.server.password, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"},
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def at(self, url: str, port: int) -> str:
        """The same database through a relay."""
        name = url.rpartition("/")[2]
        return self.server.url_at(port).rpartition("/")[0] + f"/{name}"
