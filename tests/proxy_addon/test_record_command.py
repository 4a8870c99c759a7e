"""`nestperf record` as a tester meets it: what it prints, its exit codes, and that nothing recorded is lost."""

from __future__ import annotations

import asyncio
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, RemoteDisconnected
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from nestperf.capture.model import Outcome
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault, secrets_path
from nestperf.cli import run
from proxy_addon.ending import would_be_committed
from proxy_addon.live import troubles
from proxy_addon.tally import Tally
from tests.conftest import Recorder, serving


class Application(BaseHTTPRequestHandler):
    """Answers every GET with the path it was asked for, and sets a cookie."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f'{{"path":"{self.path}","token":"tok-{self.path[1:]}-abcdefgh"}}'.encode()
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Set-Cookie", "session=cookie-value-1234; Path=/; HttpOnly")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture
def application() -> Iterator[int]:
    with serving(Application) as port:
        yield port


def get(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(
            "GET", path, headers={"Authorization": "Bearer secret-token-99", "Cookie": "a=cookie-in-clear"}
        )
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def run_record(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nestperf", "record", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_record_ended_by_a_signal_keeps_everything_and_says_what_it_saw(
    number: int, application: int, record: Callable[..., Recorder]
) -> None:
    recorder = record(f"http://127.0.0.1:{application}")
    assert [get(recorder.ports[0], path) for path in ("/one", "/two", "/broken")] == [200, 200, 500]
    assert recorder.stop(number) == 0
    assert "Recorded 3 exchanges, 1 http_error" in recorder.output
    assert "nestperf added" in recorder.output
    assert f"nestperf replay {recorder.capture}" in recorder.output
    with Capture.open(recorder.capture) as capture:
        assert [exchange.target for exchange in capture.exchanges()] == ["/one", "/two", "/broken"]
        assert capture.run.state == "finished"
    names = sorted(name.name for name in recorder.capture.parent.iterdir())
    assert names == ["recording-0.db", "recording-0.db.secrets"]


def test_record_secrets_stand_only_in_the_secrets_file(application: int, record: Callable[..., Recorder]) -> None:
    recorder = record(f"http://127.0.0.1:{application}")
    get(recorder.ports[0], "/one")
    recorder.stop()
    secrets = (b"secret-token-99", b"cookie-in-clear", b"cookie-value-1234", b"tok-one-abcdefgh")
    content = recorder.capture.read_bytes() + recorder.output.encode()
    assert not [secret for secret in secrets if secret in content]
    path = secrets_path(recorder.capture)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not [secret for secret in secrets if secret not in path.read_bytes()]
    vault = Vault.open(recorder.capture)
    assert vault is not None
    with Capture.open(recorder.capture) as capture:
        (exchange,) = capture.exchanges()
        headers = dict(capture.headers(exchange.request_headers))
        assert vault.reveal(headers["Authorization"]) == "Bearer secret-token-99"
        body = capture.body(exchange.response_body)
        assert body is not None
        assert body.content is not None
        assert vault.reveal_bytes(body.content) == b'{"path":"/one","token":"tok-one-abcdefgh"}'


def test_secrets_that_git_would_commit_are_said(tmp_path: Path) -> None:
    path = tmp_path / "qa.db.secrets"
    assert not would_be_committed(path)
    path.write_text("")
    assert not would_be_committed(path)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    assert would_be_committed(path)
    (tmp_path / ".gitignore").write_text("*.secrets\n")
    assert not would_be_committed(path)


def test_record_several_upstreams_keeps_them_apart(application: int, record: Callable[..., Recorder]) -> None:
    recorder = record(f"http://127.0.0.1:{application}", f"http://localhost:{application}")
    for port in recorder.ports:
        get(port, f"/{port}")
    recorder.stop()
    with Capture.open(recorder.capture) as capture:
        assert [(e.upstream, e.target) for e in capture.exchanges()] == [
            (index, f"/{port}") for index, port in enumerate(recorder.ports)
        ]
        assert [upstream.url for upstream in capture.run.upstreams] == [
            f"http://127.0.0.1:{application}",
            f"http://localhost:{application}",
        ]


def test_record_listens_on_both_loopback_addresses(application: int, record: Callable[..., Recorder]) -> None:
    recorder = record(f"http://127.0.0.1:{application}")
    families = set()
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as probe:
            if probe.connect_ex((address, recorder.ports[0])) == 0:
                families.add(family)
    recorder.stop()
    assert socket.AF_INET in families
    assert socket.AF_INET6 in families or not Path("/proc/net/if_inet6").exists()


def test_record_upstream_down_closes_as_it_would_and_says_connect_error(record: Callable[..., Recorder]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    recorder = record(f"http://127.0.0.1:{port}")
    with pytest.raises((RemoteDisconnected, ConnectionResetError)):
        get(recorder.ports[0], "/anything")
    recorder.stop()
    with Capture.open(recorder.capture) as capture:
        (exchange,) = capture.exchanges()
        assert (exchange.outcome, exchange.target, exchange.status) == (Outcome.CONNECT_ERROR, "/anything", None)
        assert "refused the connection" in (exchange.detail or "")


def test_record_nothing_came_by_says_where_to_go(application: int, record: Callable[..., Recorder]) -> None:
    recorder = record(f"http://127.0.0.1:{application}")
    assert recorder.stop() == 0
    assert "Nothing came by: open the address above" in recorder.output


async def test_record_ended_with_open_connections_marks_them_unfinished(record: Callable[..., Recorder]) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    recorder = record(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    reader, writer = await asyncio.open_connection("127.0.0.1", recorder.ports[0])
    writer.write(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"data: 1\n\n"), 10)
    assert await asyncio.to_thread(recorder.stop) == 0
    writer.close()
    server.close()
    with Capture.open(recorder.capture) as capture:
        (exchange,) = capture.exchanges()
        assert exchange.outcome in (Outcome.UNFINISHED, Outcome.RESET, Outcome.ABORTED)
        body = capture.body(exchange.response_body)
        assert body is not None
        assert body.content == b"data: 1\n\n"


def test_record_killed_holds_what_came_before(application: int, record: Callable[..., Recorder]) -> None:
    recorder = record(f"http://127.0.0.1:{application}")
    for number in range(20):
        get(recorder.ports[0], f"/{number}")
    time.sleep(0.3)  # what is older than 250 ms is promised to be there
    recorder.process.send_signal(signal.SIGKILL)
    recorder.process.communicate(timeout=20)
    with Capture.open(recorder.capture) as capture:
        capture.check()
        assert [exchange.target for exchange in capture.exchanges()] == [f"/{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ftp://127.0.0.1"], "Cannot record ftp://"),
        (["127.0.0.1:4000"], "http://HOST:PORT"),
        (["http://127.0.0.1:4000", "-o", "no/such/folder.db"], "does not exist"),
        (["http://127.0.0.1:4000", "-o", "."], "is a folder"),
        (["http://127.0.0.1:4000", "--listen", "192.0.2.1"], "is no address of this machine"),
        ([], "Missing argument"),
        (["http://127.0.0.1:4000", "--nonsense"], "No such option"),
        (["http://127.0.0.1:4000", "--redact", "*"], "names nearly everything"),
        (["http://127.0.0.1:4000", "--redact", "x-y", "--no-redact"], "contradict each other"),
    ],
)
def test_record_bad_input_is_one_sentence_and_exit_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["record", *arguments]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert "Traceback" not in said.err + said.out


def test_record_port_in_use_is_refused_and_leaves_no_file(application: int, tmp_path: Path) -> None:
    ended = run_record(f"{application}=http://127.0.0.1:1", "-o", str(tmp_path / "qa.db"))
    assert ended.returncode == 2
    assert f"Port {application} is in use" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_record_existing_output_is_kept_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "qa.db").write_text("precious")
    assert run(["record", "http://127.0.0.1:1", "-o", str(tmp_path / "qa.db")]) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "qa.db").read_text() == "precious"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even root cannot write: Linux's /proc")
def test_record_unwritable_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["record", "http://127.0.0.1:1", "-o", "/proc/qa.db"]) == 2
    assert "Cannot write /proc/qa.db" in capsys.readouterr().err


def test_record_redact_adds_a_name_for_the_recording_and_its_replays(
    application: int, record: Callable[..., Recorder], tmp_path: Path
) -> None:
    recorder = record(f"http://127.0.0.1:{application}", "--redact", "X-House*")
    connection = HTTPConnection("127.0.0.1", recorder.ports[0], timeout=10)
    connection.request("GET", "/one", headers={"X-Household": "household-4711"})
    connection.getresponse().read()
    connection.close()
    recorder.stop()
    replayed = tmp_path / "replayed.db"
    command = ["replay", str(recorder.capture), "-o", str(replayed)]
    subprocess.run([sys.executable, "-m", "nestperf", *command], capture_output=True, check=False, timeout=60)
    for path in (recorder.capture, replayed):
        assert b"household-4711" not in path.read_bytes()
        assert b"household-4711" in secrets_path(path).read_bytes()
        with Capture.open(path) as capture:
            assert capture.run.settings["redact"] == ["x-house*"]


def test_record_no_redact_says_so_at_both_ends_and_in_the_run(
    application: int, record: Callable[..., Recorder]
) -> None:
    recorder = record(f"http://127.0.0.1:{application}", "--no-redact")
    get(recorder.ports[0], "/one")
    recorder.stop()
    assert recorder.output.count("SECRETS STAND IN IT AS THEY CAME") == 2
    assert b"cookie-value-1234" in recorder.capture.read_bytes()
    assert not secrets_path(recorder.capture).exists()
    with Capture.open(recorder.capture) as capture:
        assert capture.run.settings["not_redacted"] is True
    replay = subprocess.run([sys.executable, "-m", "nestperf", "replay", str(recorder.capture), "-o",
                             str(recorder.capture.with_name("replayed.db"))], capture_output=True, text=True,
                            check=False, timeout=60)  # fmt: skip
    assert "SECRETS STAND IN IT" in replay.stdout.splitlines()[0]


def test_live_view_shows_that_nothing_is_redacted() -> None:
    tally = Tally()
    tally.warning = "secrets are stored as they come (--no-redact)"
    assert "secrets are stored as they come (--no-redact)" in troubles(tally)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--vitals",), "--vitals is about the pages of the browser that --browser opens: add --browser."),
        (("--browser", "--vitals", "--thresholds", "none.toml"), "Cannot read none.toml"),
    ],
)
def test_vitals_that_make_no_sense_are_refused(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["record", "http://127.0.0.1:1", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_vitals_without_playwright_say_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "playwright.async_api", None)
    assert run(["record", "http://127.0.0.1:1", "--browser", "--vitals"]) == 2
    assert "pip install 'nestperf[browser]'" in capsys.readouterr().err
