"""Real PostgreSQL clients through the recorder: what it saw is what the server itself counted and timed."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nestperf.capture.model import Query
from nestperf.capture.reader import Capture
from tests.conftest import Recorder
from tests.postgres import Postgres

pytestmark = pytest.mark.peer("postgres")
NODE = Path(__file__).parent / "node"


class Recorded:
    """A database of its own, and the recorder in front of it."""

    def __init__(self, postgres: Postgres, recorder: Recorder) -> None:
        self.postgres = postgres
        self.recorder = recorder
        self.direct = postgres.fresh_database()
        self.url = postgres.at(self.direct, recorder.ports[0])
        self.name = self.direct.rpartition("/")[2]

    def queries(self) -> list[Query]:
        """End the recording; its queries to this database, in order."""
        assert self.recorder.stop() == 0, self.recorder.output
        with Capture.open(self.recorder.capture) as capture:
            capture.check()
            assert capture.run.losses == {}
            self.texts = {statement.id: statement.text for statement in capture.statements()}
            return [query for query in capture.queries() if query.database == self.name]

    def counted(self) -> Counter[str]:
        """How often the server ran what it ran in this database, by its own first word in lower case."""
        found: Counter[str] = Counter()
        answer = self.postgres.run(
            "psql", "-At", "-F", "\t", self.postgres.server.url, "-c",
            "select s.calls, s.query from pg_stat_statements s join pg_database d on d.oid = s.dbid "
            f"where d.datname = '{self.name}'",
        )  # fmt: skip
        for line in re.split(r"\n(?=\d+\t)", answer.strip()):
            calls, _, text = line.partition("\t")
            if calls:
                found[first_word(text)] += int(calls)
        return found

    def seen(self, queries: list[Query]) -> Counter[str]:
        """The same of the capture; failed and skipped ones are not in the server's statistics either."""
        return Counter(
            first_word(self.texts.get(query.statement_id or 0, ""))
            for query in queries
            if query.outcome == "ok" and query.protocol != "prepare"
        )


def first_word(sql: str) -> str:
    words = sql.split()
    return words[0].lower().rstrip(";") if words else ""


@pytest.fixture
def recorded(postgres: Postgres, record: Callable[..., Recorder]) -> Recorded:
    return Recorded(postgres, record(f"postgres://127.0.0.1:{postgres.server.port}"))


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_is_counted_as_the_server_counts_it(recorded: Recorded, mode: str) -> None:
    run = recorded.postgres.run
    run("pgbench", "-i", "-q", "-s", "1", recorded.direct)
    run("psql", "-q", recorded.postgres.server.url, "-c", "select pg_stat_statements_reset()")
    run("pgbench", "-n", "-c", "4", "-t", "50", "-M", mode, recorded.url)
    queries = recorded.queries()
    counted, seen = recorded.counted(), recorded.seen(queries)
    if mode == "prepared":
        # Of a prepared BEGIN or END the server's statistics count only the first execution on each connection.
        assert (seen.pop("begin"), seen.pop("end")) == (200, 200)
        del counted["begin"], counted["end"]
    assert seen == counted
    assert counted["update"] == 600
    assert Counter(query.protocol for query in queries if query.protocol != "prepare")[mode] >= 200 * 5
    assert all(query.transaction_state for query in queries if query.protocol != "prepare")
    assert all(query.done_ns and query.sent_ns <= query.started_ns <= query.done_ns for query in queries)


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_durations_agree_with_the_servers_own_log(recorded: Recorded, protocol: str) -> None:
    """The server logs a simple query once, an extended one in three parts: parse, bind, execute.

    On a busy machine the relay waits for its turn longer than a query takes, which only ever adds time: no query is
    shorter than the server says, and in the quietest of many blocks the median is as long.
    """
    parameters = (7,) if protocol == "extended" else None
    filtered = " where 7 = %s" if parameters else ""
    blocks, size, parts = 24, 30, 3 if parameters else 1
    with psycopg.connect(recorded.url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute(f"set application_name = 'timed {protocol}'")
        for number in range(blocks * size):
            work = "select pg_sleep(0.004)" if number % 3 else "select count(*) from generate_series(1, 5000)"
            connection.execute(work + filtered, parameters)
    queries = [query for query in recorded.queries() if query.protocol == protocol and query.rows]
    log = recorded.postgres.server.log.read_text(errors="replace")
    logged = [float(ms) for ms in re.findall(rf"timed {protocol} LOG: +duration: ([\d.]+) ms", log)]
    logged = logged[-blocks * size * parts :]
    theirs = [sum(logged[at : at + parts]) for at in range(0, len(logged), parts)]
    ours = [((query.done_ns or 0) - query.started_ns) / 1e6 for query in queries]
    assert len(theirs) == len(ours) == blocks * size
    beyond = [one - other for one, other in zip(ours, theirs, strict=True)]
    assert min(beyond) >= -0.05  # the two processes read different clocks, and the log rounds
    apart = [abs(more) - 0.05 * other for more, other in zip(beyond, theirs, strict=True)]
    assert min(statistics.median(apart[at : at + size]) for at in range(0, len(apart), size)) <= 0.3


def test_copy_both_ways_counts_its_lines(recorded: Recorded, tmp_path: Path) -> None:
    source = tmp_path / "lines"
    source.write_text("".join(f"{number}\n" for number in range(5000)))
    script = (
        f"create table numbers (n int);\n\\copy numbers from '{source}'\n\\copy numbers to '{tmp_path / 'out'}'\n"
        "copy (select 1) to stdout;\nselect count(*) from numbers;\n"
    )
    recorded.postgres.run("psql", "-q", recorded.url, text=script)
    assert (tmp_path / "out").read_text() == source.read_text()
    queries = recorded.queries()
    copies = [query.rows for query in queries if recorded.texts[query.statement_id or 0].lower().startswith("copy")]
    assert copies == [5000, 5000, 1]
    assert [query.outcome for query in queries] == ["ok"] * len(queries)


def insert_in_pipeline(connection: psycopg.Connection[Any], *between_syncs: tuple[int, ...]) -> list[str]:
    """What libpq saw of a pipeline in which everything is sent before anything is read."""
    libpq = connection.pgconn
    libpq.enter_pipeline_mode()
    for numbers in between_syncs:
        for number in numbers:
            libpq.send_query_params(b"insert into t values ($1)", [str(number).encode()])
        libpq.pipeline_sync()
    seen: list[str] = []
    while seen.count("PIPELINE_SYNC") < len(between_syncs):
        result = libpq.get_result()
        if result is not None:
            seen.append(psycopg.pq.ExecStatus(result.status).name)
    libpq.exit_pipeline_mode()
    return seen


def test_errors_in_a_pipeline_are_the_ones_the_client_saw(recorded: Recorded) -> None:
    with psycopg.connect(recorded.url, autocommit=True) as connection:
        connection.execute("create table t (a int unique)")
        seen = insert_in_pipeline(connection, (1, 2), (1, 3))
        fine = ["COMMAND_OK", "COMMAND_OK", "PIPELINE_SYNC"]
        assert seen == [*fine, "FATAL_ERROR", "PIPELINE_ABORTED", "PIPELINE_SYNC"]
        assert connection.execute("select count(*) from t where a > %s", (0,)).fetchone() == (2,)
    queries = [query for query in recorded.queries() if query.protocol in ("extended", "prepared")]
    outcomes = [(query.outcome, query.sqlstate) for query in queries]
    assert outcomes == [("ok", None), ("ok", None), ("error", "23505"), ("skipped", None), ("ok", None)]
    assert recorded.counted()["insert"] == 2


def test_large_answer_is_counted_row_by_row_and_its_first_row_is_early(recorded: Recorded) -> None:
    with psycopg.connect(recorded.url, autocommit=True) as connection, connection.cursor() as cursor:
        rows = cursor.execute("select n, repeat('x', 50) from generate_series(1, 100000) n").fetchall()
    (query,) = [query for query in recorded.queries() if query.rows > 1]
    assert query.rows == len(rows) == 100_000
    assert query.response_bytes > 100_000 * 60
    assert query.first_row_ns is not None
    assert query.done_ns is not None
    assert query.started_ns < query.first_row_ns < query.done_ns


def test_notifications_notices_cancelled_and_binary_answers_keep_the_count(recorded: Recorded) -> None:
    with psycopg.connect(recorded.url, autocommit=True) as connection:
        connection.execute("listen news")
        connection.execute("notify news, 'a secret of 4711'")
        assert [note.channel for note in connection.notifies(timeout=2, stop_after=1)] == ["news"]
        connection.execute("do $$ begin raise notice 'hello'; end $$")
        assert connection.execute("select 1::int8, null", binary=True).fetchone() == (1, None)
        threading.Timer(0.3, connection.cancel).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(20)")
    queries = recorded.queries()
    words = [first_word(recorded.texts[query.statement_id or 0]) for query in queries]
    assert words == ["listen", "notify", "do", "select", "select"]
    assert (queries[-1].outcome, queries[-1].sqlstate) == ("error", "57014")
    assert 0.25e9 < (queries[-1].done_ns or 0) - queries[-1].started_ns < 10e9
    assert b"4711" not in recorded.recorder.capture.read_bytes()


def test_transaction_state_follows_begin_failure_and_rollback(recorded: Recorded) -> None:
    with psycopg.connect(recorded.url) as connection:
        connection.execute("select 1")
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("select * from nowhere")
        connection.rollback()
    states = [(first_word(recorded.texts[q.statement_id or 0]), q.transaction_state) for q in recorded.queries()]
    assert [state for word, state in states if word in ("begin", "rollback")] == ["open", "idle"]
    assert ("select", "open") in states


def test_encrypted_connection_is_said_with_its_remedy(postgres: Postgres, record: Callable[..., Recorder]) -> None:
    """This server refuses TLS; a client that insists sees exactly that, and one that only asks goes on in clear."""
    recorder = record(f"postgres://127.0.0.1:{postgres.server.port}")
    url = postgres.at(postgres.server.url, recorder.ports[0])
    with pytest.raises(psycopg.OperationalError, match="server does not support SSL"):
        psycopg.connect(url, sslmode="require")
    with psycopg.connect(url, sslmode="prefer") as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert recorder.stop() == 0
    with Capture.open(recorder.capture) as capture:
        assert "ok" in {query.outcome for query in capture.queries()}


def test_wrong_password_is_the_servers_answer_and_stays_out_of_the_capture(
    postgres: Postgres, record: Callable[..., Recorder]
) -> None:
    recorder = record(f"postgres://127.0.0.1:{postgres.server.port}")
    wrong = postgres.at(postgres.server.url, recorder.ports[0]).replace(postgres.server.password, "canary-password-9")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    with psycopg.connect(postgres.at(postgres.server.url, recorder.ports[0])) as connection:
        connection.execute("select 1")
    assert recorder.stop() == 0
    for path in recorder.capture.parent.glob(recorder.capture.name + "*"):
        content = path.read_bytes()
        assert b"canary-password-9" not in content
        assert postgres.server.password.encode() not in content


@pytest.mark.peer("node")
def test_nodes_own_client_is_followed(recorded: Recorded) -> None:
    ended = subprocess.run(
        ["node", str(NODE / "postgres.mjs"), recorded.url], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    queries = recorded.queries()
    assert recorded.seen(queries) == recorded.counted()
    assert Counter(query.outcome for query in queries) == {"ok": told["ok"], "error": told["failed"]}
    assert sum(query.rows for query in queries if query.outcome == "ok") == told["rows"]
