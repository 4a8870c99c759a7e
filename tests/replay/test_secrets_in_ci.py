"""A replay whose secrets come from the environment, and one of a capture without bodies: what CI has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault, secrets_path
from nestperf.cli import run
from tests.replay.conftest import CountingServer, Recording, Replays, Request, write_json

TOKEN = "s3cr3t-token-4711-abcdef"


@pytest.fixture
def committed(server: CountingServer, recordings: Callable[..., Recording], tmp_path: Path) -> Path:
    """A recording that was handed on without its secrets; these stand in `secrets`, elsewhere."""
    recording = recordings(server.url)
    recording.exchange("GET", "/films", 0, 5, headers=(("Authorization", f"Bearer {TOKEN}"),))
    path = recording.finish()
    (tmp_path / "elsewhere").mkdir()
    secrets_path(path).rename(tmp_path / "elsewhere" / "secrets")
    return path


async def test_replay_sends_secrets_from_the_environment_and_writes_none(
    committed: Path, server: CountingServer, replay: Replays, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NESTPERF_SECRETS", (tmp_path / "elsewhere" / "secrets").read_text())
    result = await replay(committed, "--users", "2")
    assert [dict(request.headers)["Authorization"] for request in server.requests] == [f"Bearer {TOKEN}"] * 2
    assert not secrets_path(result.path).exists()
    for name in tmp_path.iterdir():
        assert not name.is_file() or TOKEN.encode() not in name.read_bytes(), name


async def test_replay_without_secrets_says_so(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", str(committed)]) == 0
    assert "NESTPERF_SECRETS is not set" in " ".join(capsys.readouterr().out.split())


async def test_plan_with_another_captures_secrets_says_so(
    committed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = Vault.create(tmp_path / "other.db")
    other.conceal("another-secret")
    other.flush()
    monkeypatch.setenv("NESTPERF_SECRETS", str(secrets_path(tmp_path / "other.db")))
    assert run(["plan", str(committed)]) == 0
    assert "The secrets are another capture's" in " ".join(capsys.readouterr().out.split())


async def test_replay_of_a_capture_without_bodies_says_what_it_needs_and_works_with_identities(
    server: CountingServer, recordings: Callable[..., Recording], replay: Replays, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    recording = recordings(server.url)
    recording.exchange("POST", "/sign-in", 0, 5, body=b'{"name": "anna"}', answer=b'{"token": "%s"}' % TOKEN.encode())
    recording.exchange("GET", "/films", 10, 15, headers=(("Authorization", f"Bearer {TOKEN}"),))
    socket = recording.socket(20, 22, 40)
    recording.packet(socket, "client", "connect", 25, "/authenticated", f'{{"token":"{TOKEN}"}}')
    slim = tmp_path / "slim.db"
    assert run(["export", str(recording.finish()), "-o", str(slim), "--without-bodies"]) == 0
    capsys.readouterr()
    assert run(["plan", str(slim)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Its bodies were taken out: what had a body is not sent" in said
    assert "1 × its body was not stored whole" in said
    assert "1 × what was said on it was taken out of the capture" in said
    (tmp_path / "users.csv").write_text("authorization\nof-one\nof-another\n")
    result = await replay(slim, "--users", "2", "--identities", str(tmp_path / "users.csv"))
    assert sorted(dict(request.headers)["Authorization"] for request in server.requests) == [
        "Bearer of-another",
        "Bearer of-one",
    ]
    with Capture.open(result.path) as capture:
        assert list(capture.sockets()) == []


async def test_replay_of_a_capture_for_replay_signs_in_anew_and_shows_nothing(
    server: CountingServer, recordings: Callable[..., Recording], replay: Replays, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    async def sign_in(counting: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        number = counting.requests.index(request)
        write_json(writer, {"token": f"live-{number}-token-abcdef", "film": {"id": 9000 + number}})

    server.behaviour = sign_in
    recording = recordings(server.url)
    answer = {"token": TOKEN, "user": {"name": "Anna Geheim"}, "film": {"id": 8123, "title": "Verborgen"}}
    form = b'{"name": "anna", "password": "s3cr3t-password-4711"}'
    recording.exchange("POST", "/sign-in", 0, 5, headers=(("Content-Type", "application/json"),), body=form,
                       answer=json.dumps(answer).encode())  # fmt: skip
    recording.exchange("GET", "/films/8123", 10, 15, headers=(("Authorization", f"Bearer {TOKEN}"),))
    path = recording.finish()
    slim = tmp_path / "slim.db"
    assert run(["export", str(path), "-o", str(slim), "--for-replay"]) == 0
    assert "What people were shown is gone" in capsys.readouterr().out
    assert not {word for word in (b"Geheim", b"Verborgen", b"s3cr3t") if word in slim.read_bytes()}
    monkeypatch.setenv("NESTPERF_SECRETS", secrets_path(path).read_text())
    await replay(slim, "--users", "2")
    signed_in = [request for request in server.requests if request.method == "POST"]
    assert [request.body for request in signed_in] == [form] * 2
    asked = {request.target: dict(request.headers)["Authorization"] for request in server.requests
             if request.method == "GET"}  # fmt: skip
    assert asked == {
        f"/films/{9000 + server.requests.index(request)}": f"Bearer live-{server.requests.index(request)}-token-abcdef"
        for request in signed_in
    }


@pytest.mark.parametrize("flag", [("--without-bodies",), ("--format", "har")])
def test_export_for_replay_is_a_capture_with_bodies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: tuple[str, ...]
) -> None:
    assert run(["export", str(tmp_path / "qa.db"), "-o", str(tmp_path / "out.db"), "--for-replay", *flag]) == 2
    assert "--for-replay makes a capture that can be replayed" in capsys.readouterr().err
