"""Logs that a real PostgreSQL wrote, in each of its formats, imported: the queries are those that were asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from nestperf.capture.model import Query
from nestperf.capture.reader import Capture
from nestperf.cli import run
from nestperf.demo.postgres import PostgresServer, find_binaries

pytestmark = pytest.mark.peer("postgres")

SETTINGS = {
    "logging_collector": "on",
    "log_destination": "stderr,csvlog,jsonlog",
    "log_directory": "logs",
    "log_rotation_age": "0",
    "log_rotation_size": "0",
    "log_timezone": "UTC",
}


class LoggingServer:
    """A server whose way of logging can be changed while it runs."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server

    def log(self, name: str, **settings: str) -> Path:
        """Log from now on so, into files of that name (`.log`, `.csv`, `.json`); the first of them."""
        asked = {"log_filename": f"{name}.log", **settings}
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            for key, value in asked.items():
                # A utility statement takes no parameters; these are ours.
                connection.execute(f"alter system set {key} = '{value}'")
            connection.execute("select pg_reload_conf()")
            connection.execute("select pg_rotate_logfile()")
        path = self.server.folder / "cluster" / "logs" / f"{name}.log"
        # Sessions that begin now have the settings; what they log goes into the new files as soon as these are there.
        self._wait(lambda: path.exists() and path.with_suffix(".json").exists(), f"{path} is not there")
        with psycopg.connect(self.server.url) as connection:
            for key, value in settings.items():
                (told,) = connection.execute("select current_setting(%s)", (key,)).fetchone() or ("",)
                assert told == value
        return path

    def wait_until(self, path: Path, sign: str) -> None:
        """The collector writes when it comes to it."""
        self._wait(lambda: sign in path.read_text(), f"{sign} is not in {path}")

    def _wait(self, condition: object, otherwise: str) -> None:
        assert callable(condition)
        deadline = time.perf_counter() + 60
        while not condition():
            assert time.perf_counter() < deadline, otherwise
            time.sleep(0.05)


@pytest.fixture(scope="module")
def logging_server() -> Iterator[LoggingServer]:
    binaries = find_binaries()
    assert binaries is not None
    with PostgresServer(binaries, SETTINGS) as server:
        yield LoggingServer(server)


def ask(url: str, name: str) -> None:
    """What an application asks: simple, extended and prepared queries, a failed one, one of several lines."""
    with psycopg.connect(url, autocommit=True, application_name=name) as connection:
        connection.execute("select 'canary-literal-4711' as simple,\n\tpg_sleep(0.02)")
        connection.execute("select %s::int as extended, pg_sleep(0.03)", (7,), prepare=False)
        for number in range(3):
            connection.execute("select %s::text as prepared", (f"canary-{number}",), prepare=True)
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("select * from nowhere")
    with psycopg.connect(url, autocommit=True, application_name=name) as connection:
        connection.execute("select 1 as the_end")


def imported(log: Path, tmp_path: Path, *options: str) -> tuple[list[Query], dict[int, str]]:
    output = tmp_path / f"{log.name}.db"
    assert run(["import", str(log), "-o", str(output), *options]) == 0
    assert b"canary" not in output.read_bytes()
    with Capture.open(output) as capture:
        assert (capture.run.purpose, capture.run.vantage) == ("import", "server")
        texts = {statement.id: statement.text for statement in capture.statements()}
        return list(capture.queries()), texts


def of(queries: list[Query], texts: dict[int, str], word: str) -> list[Query]:
    return [query for query in queries if word in texts.get(query.statement_id or 0, "")]


@pytest.mark.parametrize("suffix", [".log", ".csv", ".json"])
def test_each_format_of_a_real_log_gives_the_queries_with_their_durations(
    logging_server: LoggingServer, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"formats{suffix[1:]}"
    log = logging_server.log(
        name,
        log_min_duration_statement="0",
        log_duration="off",
        log_statement="none",
        log_line_prefix="%m [%p] %q%u@%d ",
    ).with_suffix(suffix)
    ask(logging_server.server.url, "the application")
    logging_server.wait_until(log, "the_end")
    queries, texts = imported(log, tmp_path)
    (simple,) = of(queries, texts, "simple")
    assert simple.protocol == "simple"
    assert texts[simple.statement_id or 0] == "select ? as simple, pg_sleep(?)"
    assert 20_000_000 <= (simple.done_ns or 0) - simple.started_ns < 20_000_000_000
    (extended,) = of(queries, texts, "extended")
    assert extended.protocol == "extended"
    assert (extended.done_ns or 0) - extended.started_ns >= 30_000_000
    prepared = of(queries, texts, "prepared")
    assert [query.protocol for query in prepared] == ["extended", "prepared", "prepared"]
    assert {query.database for query in (simple, extended)} == {logging_server.server.url.rpartition("/")[2]}
    assert simple.connection == extended.connection != of(queries, texts, "the_end")[0].connection
    assert {query.source for query in queries} == {"log"}
    if suffix != ".log":
        assert simple.application == "the application"
    assert "1 statement failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("prefix", "guessed"),
    [
        ("%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ", True),
        ("%t:%r:%u@%d:[%p]:", True),
        ("%n [%p] ", True),
        ("%m [%p] %a ", False),
        ("<%c %m %-12a|%d> ", False),
    ],
)
def test_other_prefixes_are_found_out_or_told(
    logging_server: LoggingServer, tmp_path: Path, prefix: str, guessed: bool
) -> None:
    name = "prefix-" + "".join(letter for letter in prefix if letter.isalpha())
    log = logging_server.log(name, log_min_duration_statement="0", log_line_prefix=prefix)
    ask(logging_server.server.url, "shop")
    logging_server.wait_until(log, "the_end")
    queries, texts = imported(log, tmp_path, *(() if guessed else ("--log-line-prefix", prefix)))
    (simple,) = of(queries, texts, "simple")
    assert (simple.done_ns or 0) - simple.started_ns >= 20_000_000
    assert [query.protocol for query in of(queries, texts, "prepared")] == ["extended", "prepared", "prepared"]
    assert simple.connection != of(queries, texts, "the_end")[0].connection
    if "%a" in prefix:
        assert simple.application == "shop"
    if "%d" in prefix:
        assert simple.database == logging_server.server.url.rpartition("/")[2]


def test_log_duration_beside_log_statement_is_understood(logging_server: LoggingServer, tmp_path: Path) -> None:
    log = logging_server.log(
        "announced",
        log_min_duration_statement="-1",
        log_duration="on",
        log_statement="all",
        log_line_prefix="%m [%p] ",
    )
    ask(logging_server.server.url, "shop")
    logging_server.wait_until(log, "the_end")
    queries, texts = imported(log, tmp_path)
    (simple,), (extended,) = of(queries, texts, "simple"), of(queries, texts, "extended")
    assert (simple.protocol, extended.protocol) == ("simple", "extended")
    assert (simple.done_ns or 0) - simple.started_ns >= 20_000_000
    assert (extended.done_ns or 0) - extended.started_ns >= 30_000_000
    assert [query.protocol for query in of(queries, texts, "prepared")] == ["extended", "prepared", "prepared"]
