"""Recorded reads asked again of a real PostgreSQL: the same queries, the server's own refusal of writes, every way to
log in that it has, and a password that stands nowhere."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from nestperf.capture.model import Client, HeaderSet, Query, Upstream
from nestperf.capture.reader import Capture
from nestperf.capture.writer import CaptureWriter
from nestperf.cli import run as nestperf
from nestperf.demo.postgres import PostgresServer, find_binaries
from nestperf.errors import CaptureError
from tests.conftest import Recorder, start_recorder
from tests.interop.test_postgres import Recorded
from tests.postgres import Postgres
from tests.reports.conftest import exchange
from tests.tls import Certificates

pytestmark = pytest.mark.peer("postgres")
Told = tuple[int, str]


@pytest.fixture
def replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """`nestperf replay RECORDING --database URL ...` into `again.db`: exit code and what it printed. Judged by what a
    busy machine keeps too."""
    patient = tmp_path / "patient.toml"
    patient.write_text('[[threshold]]\nexpression = "max(query_time) < 60s"\n')

    def run(recording: Path, url: str, *arguments: object) -> Told:
        output = ("-o", str(tmp_path / "again.db"), "--force")
        if "--thresholds" not in arguments:
            arguments = (*arguments, "--thresholds", patient)
        code = nestperf(["replay", str(recording), "--database", url, *output, *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def asked_of(path: Path) -> list[Query]:
    with Capture.open(path) as capture:
        capture.check()
        assert (capture.run.purpose, capture.run.vantage) == ("replay", "client")
        return list(capture.queries())


class Users(NamedTuple):
    """A recording, with values, of reads by every protocol and of what is not asked again."""

    recorded: Recorded
    queries: list[Query]

    @property
    def capture(self) -> Path:
        return self.recorded.recorder.capture

    @property
    def url(self) -> str:
        return self.recorded.direct


@pytest.fixture(scope="module")
def users(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Users:
    capture = tmp_path_factory.mktemp("users") / "users.db"
    recorder = start_recorder(capture, f"postgres://127.0.0.1:{postgres.server.port}", "--pg-parameters")
    recorded = Recorded(postgres, recorder)
    with psycopg.connect(recorded.url, autocommit=True) as connection:
        connection.execute("create table users (id int primary key, name text, token text)")
        connection.execute("insert into users select n, 'n ' || n, 'canary-token-' || n from generate_series(1, 50) n")
        for number in range(1, 9):  # from the sixth on prepared
            connection.execute("select * from users where id = %s and name like 'n%%' limit 5", (number,))
        connection.execute("select n from unnest(%s::int[]) n", ([3, 4, 5],))
        connection.execute("select * from users where token = %s", ("canary-token-7",))
        connection.execute("select count(*) from users where name = %s", ("Ann 'é' \\",), binary=True)
        connection.execute("select * from users where id = 5 for update")
        connection.execute("with gone as (delete from users where id > 40 returning id) select * from gone")
        connection.execute("select pg_sleep(0.01)")
    return Users(recorded, recorded.queries())


def test_reads_are_asked_as_recorded_and_the_server_refuses_writes(
    users: Users, replay: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    postgres, texts_before = users.recorded.postgres, users.recorded.texts
    postgres.run("psql", "-q", postgres.server.url, "-c", "select pg_stat_statements_reset()")
    code, told = replay(users.capture, users.url, "--loops", "5", "--concurrency", "10")
    assert code == 0, told
    assert "13 recorded reads" in told
    assert "The one required promise holds." in summary.read_text("utf-8")
    assert "10 writes refused by the server (SQLSTATE 25006)" in told
    assert "1 × calls a function that acts beyond its transaction, or only sleeps: select pg_sleep(?)" in told
    assert "2 × is no read (INSERT, UPDATE, COPY and the like): create table" in told
    asked = asked_of(tmp_path / "again.db")
    assert len(asked) == 5 * 13
    assert {query.connection for query in asked} <= set(range(1, 11))
    assert all(query.done_ns and query.sent_ns <= query.started_ns <= query.done_ns for query in asked)
    with Capture.open(tmp_path / "again.db") as capture:
        texts = {statement.id: statement.text for statement in capture.statements()}
    # As many rows as when it was recorded, for each statement: the values went out as they had been.
    rows: Counter[str] = Counter()
    for query in users.queries:
        rows[texts_before[query.statement_id or 0]] += query.rows
    again: Counter[str] = Counter()
    for query in asked:
        if query.outcome == "ok":
            again[texts[query.statement_id or 0]] += query.rows
    assert again == {text: 5 * count for text, count in rows.items() if text in again and count}
    # The server saw each of them in a transaction that may only read, and nothing changed.
    counted = users.recorded.counted()
    assert counted["begin"] == counted["rollback"] == 5 * 13
    assert counted["select"] == 5 * 11
    assert postgres.run("psql", "-Atc", "select count(*) from users", users.url).strip() == "40"


def test_password_and_secrets_are_in_no_file_and_no_line(
    users: Users, replay: Callable[..., Told], tmp_path: Path
) -> None:
    code, told = replay(users.capture, users.url, "--loops", "3")
    assert code == 0, told
    password = users.recorded.postgres.server.password
    for content in (told.encode(), (tmp_path / "again.db").read_bytes()):
        assert password.encode() not in content
        assert b"canary-token-7" not in content
    # Without the originals the read that needs one is left out, and says so.
    alone = tmp_path / "alone.db"
    shutil.copy(users.capture, alone)
    _, told = replay(alone, users.url)
    assert "1 × a value is a secret" in told


def test_result_is_a_capture_that_is_reported_and_judged(
    users: Users, replay: Callable[..., Told], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = tmp_path / "strict.toml"
    strict.write_text('[[threshold]]\nexpression = "max(query_time) < 1us"\n')
    code, told = replay(users.capture, users.url, "--duration", "1s", "--thresholds", strict)
    assert code == 1, told
    assert nestperf(["report", str(tmp_path / "again.db"), "--format", "json"]) in (0, 1)
    reported = capsys.readouterr().out
    assert "10 queries at once within 500 ms" in reported
    assert "select * from users where id = ? and name like ? limit ?" in reported


def test_recording_without_values_says_what_it_would_take(
    postgres: Postgres, record: Callable[..., Recorder], replay: Callable[..., Told]
) -> None:
    recorded = Recorded(postgres, record(f"postgres://127.0.0.1:{postgres.server.port}"))
    with psycopg.connect(recorded.url, autocommit=True) as connection:
        connection.execute("select * from pg_class where relname = %s", ("x",))
        connection.execute("select count(*) from pg_class")
    recorded.queries()
    code, told = replay(recorded.recorder.capture, recorded.direct)
    assert code == 4, told  # one sample, where every query counts: too few to judge
    assert "1 recorded read of 1 text" in told
    assert "1 × its values were not recorded: record with --pg-parameters: select * from pg_class" in told


def keep_asking(users: Users, output: Path) -> subprocess.Popen[str]:
    """A replay of ten minutes that has begun to ask."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nestperf", "replay", str(users.capture), "--database", users.url,
         "--duration", "10m", "-o", str(output)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.perf_counter() + 60
    while not output.exists() or not asked_soon(output):
        assert time.perf_counter() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    return process


def test_ctrl_c_ends_early_and_keeps_what_was_asked(users: Users, tmp_path: Path) -> None:
    output = tmp_path / "cut.db"
    process = keep_asking(users, output)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode in (0, 1, 4), told  # judged by the built-in promises, with what there was
    with Capture.open(output) as capture:
        capture.check()
        assert capture.run.state == "interrupted"
        assert capture.count(Query) == capture.run.certificate["sent"] > 0


def test_lost_connections_come_back_and_only_reads_are_counted(users: Users, tmp_path: Path) -> None:
    output = tmp_path / "lost.db"
    process = keep_asking(users, output)
    ours = "from pg_stat_activity where application_name = 'nestperf'"

    def tell(sql: str) -> str:
        return users.recorded.postgres.run("psql", "-Atc", sql, users.recorded.postgres.server.url).strip()

    moment = tell("select clock_timestamp()")
    assert tell(f"select count(pg_terminate_backend(pid)) {ours}") == "10"
    deadline = time.perf_counter() + 60
    while int(tell(f"select count(*) {ours} and backend_start > '{moment}'")) < 10:
        assert time.perf_counter() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode in (0, 1, 4), told
    with Capture.open(output) as capture:
        assert capture.run.certificate["connections"] == 20
        assert capture.count(Query) == capture.run.certificate["sent"]
        assert {query.protocol for query in capture.queries()} <= {"extended", "prepared"}
        cut = [query for query in capture.queries() if query.outcome == "unfinished" or query.sqlstate == "57P01"]
        assert len(cut) <= 10


def asked_soon(output: Path) -> bool:
    """Whether some query is stored already, in a file that is being written."""
    try:
        with Capture.open(output) as capture:
            return capture.count(Query) > 0
    except CaptureError:
        return False


class Guarded:
    """A server with TLS that asks each user for another kind of login."""

    HBA = (
        "local all all trust\n"
        "host all trusted 127.0.0.1/32 trust\n"
        "host all clear 127.0.0.1/32 password\n"
        "host all hashed 127.0.0.1/32 md5\n"
        "host all nobody 127.0.0.1/32 reject\n"
        "hostssl all encrypted 127.0.0.1/32 scram-sha-256\n"
        "hostnossl all encrypted 127.0.0.1/32 reject\n"
        "host all all 127.0.0.1/32 scram-sha-256\n"
    )

    def __init__(self, server: PostgresServer, postgres: Postgres, ca: Path) -> None:
        self.server = server
        self.postgres = postgres
        self.ca = ca

    def url(self, user: str, password: str = "pässword-canary", more: str = "") -> str:
        return f"postgres://{user}:{password}@127.0.0.1:{self.server.port}/nest{more}"


@pytest.fixture(scope="module")
def guarded(certificates: Certificates) -> Iterator[Guarded]:
    binaries = find_binaries()
    assert binaries is not None
    server = PostgresServer(binaries)
    pem = str(server.give("server.pem", certificates.server.read_bytes()))
    hba = str(server.give("pg_hba.conf", Guarded.HBA.encode()))
    server.settings |= {"ssl": "on", "ssl_cert_file": pem, "ssl_key_file": pem, "hba_file": hba}
    with server:
        postgres = Postgres(server, binaries)
        script = "set password_encryption = 'md5'; create role hashed login password 'pässword-canary';"
        script += "set password_encryption = 'scram-sha-256';"
        for role in ("trusted", "clear", "encrypted", "nobody", "plain"):
            script += f"create role {role} login password 'pässword-canary';"
        postgres.run("psql", "-q", "-v", "ON_ERROR_STOP=1", server.url, text=script)
        yield Guarded(server, postgres, certificates.ca)


@pytest.fixture(scope="module")
def count_recording(guarded: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of one read that any user may ask anywhere."""
    recorder = start_recorder(
        tmp_path_factory.mktemp("count") / "count.db", f"postgres://127.0.0.1:{guarded.server.port}"
    )
    with psycopg.connect(guarded.server.url_at(recorder.ports[0]), sslmode="disable", autocommit=True) as connection:
        for _ in range(25):
            connection.execute("select count(*) from pg_class")
    assert recorder.stop() == 0
    return recorder.capture


@pytest.mark.parametrize(
    ("user", "more"),
    [
        ("trusted", "?sslmode=disable"),
        ("clear", ""),
        ("hashed", "?sslmode=disable"),
        ("plain", "?sslmode=disable"),
        ("plain", "?sslmode=verify-full&sslrootcert={ca}"),
        ("encrypted", "?sslmode=require"),
        ("encrypted", ""),
    ],
)
def test_every_way_to_log_in(
    guarded: Guarded, count_recording: Path, replay: Callable[..., Told], user: str, more: str
) -> None:
    code, told = replay(count_recording, guarded.url(user, more=more.format(ca=guarded.ca)), "--concurrency", 3)
    assert code == 0, told
    assert "25 ok" in told
    assert "canary" not in told


@pytest.mark.parametrize(
    ("user", "password", "more", "sentence"),
    [
        ("plain", "wrong-canary", "", 'password authentication failed for user "plain" (SQLSTATE 28P01)'),
        ("nobody", "wrong-canary", "", "pg_hba.conf rejects connection"),
        ("encrypted", "wrong-canary", "?sslmode=disable", "pg_hba.conf rejects connection"),
        ("plain", "wrong-canary", "?sslmode=verify-full", "a certificate that is not trusted"),
    ],
)
def test_login_that_is_refused_leaves_no_file_and_says_why(
    guarded: Guarded, count_recording: Path, replay: Callable[..., Told], tmp_path: Path,
    user: str, password: str, more: str, sentence: str,
) -> None:  # fmt: skip
    code, told = replay(count_recording, guarded.url(user, password, more))
    assert code == 2
    assert sentence in told
    assert "canary" not in told
    assert not (tmp_path / "again.db").exists()


def test_connection_that_turns_to_tls_is_opaque_and_the_summary_says_how_to_see_it(
    guarded: Guarded, record: Callable[..., Recorder]
) -> None:
    recorder = record(f"postgres://127.0.0.1:{guarded.server.port}")
    for mode in ("require", "disable"):
        url = guarded.server.url_at(recorder.ports[0])
        with psycopg.connect(url, sslmode=mode, autocommit=True) as connection:
            assert connection.execute("select 4711").fetchone() == (4711,)
    assert recorder.stop() == 0
    told = re.sub(r"\s+", " ", recorder.output)
    assert "The queries of 1 database connection were not seen: the connection turned to TLS" in told
    assert "sslmode=disable" in told
    with Capture.open(recorder.capture) as capture:
        assert capture.run.losses == {}
        assert [query.outcome for query in capture.queries()] == ["ok"]


def test_contract_asks_in_rounds_that_begin_together(
    users: Users, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "visit.db"
    with Capture.open(users.capture) as capture:
        run = capture.run._replace(upstreams=(*capture.run.upstreams, Upstream("http://127.0.0.1:9")))
        writer = CaptureWriter.create(recording, run)
        writer.extend([*capture.statements(), *capture.queries(), *capture.wordings(), *capture.literals()])
        writer.extend([Client(1, "127.0.0.1", "a browser"), HeaderSet(1, '[["Host", "127.0.0.1:9"]]')])
        writer.add(exchange(1, upstream=1, client_id=1, request_headers=1, request_done_ns=1))
        writer.close()
    suite = tmp_path / "suite.toml"
    suite.write_text('[[contract]]\nkind = "queries"\nqueries = 10\nrounds = 5\nwithin = "60s"\n')
    output = ("-o", str(tmp_path / "check.db"))
    code = nestperf(["check", str(recording), "--suite", str(suite), "--database", users.url, *output])
    captured = capsys.readouterr()
    told = captured.out
    assert code == 0, told + captured.err
    assert "PASS  It is kept." in told
    assert "rounds 5 (limit 5)" in told
    with Capture.open(tmp_path / "check-queries.db") as capture:
        asked = list(capture.queries())
        assert capture.run.purpose == "check"
    assert Counter(query.connection for query in asked) == dict.fromkeys(range(1, 11), 5)
    ordered = sorted(asked, key=lambda query: query.sent_ns)
    for first in range(0, 50, 10):  # nobody begins a round before everybody has ended the one before
        assert max((query.done_ns or 0 for query in ordered[:first]), default=0) < ordered[first].sent_ns
        assert {query.connection for query in ordered[first : first + 10]} == set(range(1, 11))
    assert nestperf(["check", str(recording), "--suite", str(suite), *output, "--force"]) == 4
    assert "name it with --database URL" in capsys.readouterr().out
