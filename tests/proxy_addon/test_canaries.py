"""Secrets of every kind go through a recorder; not one of them stands in the raw bytes of the capture."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest

from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.har.writing import write_har
from nestperf.capture.model import Run, Upstream
from nestperf.capture.reader import Capture
from nestperf.capture.redaction import Redactor, Unredacted
from nestperf.capture.vault import Vault, secrets_path
from nestperf.capture.writer import CaptureWriter
from nestperf.cli import run as nestperf
from proxy_addon.recorder import Recorder
from proxy_addon.tap import Record, What
from tests import canaries

OPENED = b'{"client":"127.0.0.1","upstream":0}'


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Vault]:
    path = tmp_path_factory.mktemp("canaries") / "qa.db"
    vault = Vault.create(path)
    record_everything(path, vault, Redactor(vault))
    return path, vault


def record_everything(path: Path, vault: Vault, redactor: Redactor) -> None:
    """A recording of all conversations."""
    upstreams = (Upstream("http://a:80"),)
    run = Run("u", "record", "proxy", "running", "0", time.time_ns(), None, upstreams)
    writer = CaptureWriter.create(path, run, vault=vault)
    recorder = Recorder(Contents(redactor, writer.add), writer.add, Clock(0, 0), upstreams)
    conversations = canaries.conversations()
    for number, steps in enumerate(conversations, 1):
        recorder.feed(Record(What.OPENED, number, 1, 0, OPENED))
        for sender, payload in steps:
            what = What.CLIENT_BYTES if sender == "client" else What.SERVER_BYTES
            recorder.feed(Record(what, number, 2, 0, payload))
    writer.commit()
    recorder.finish()
    assert set(recorder.tally.losses) <= {"undecodable"}
    assert recorder.tally.exchanges >= len(conversations) - 1
    writer.set_run(writer.run._replace(state="finished"))
    writer.close()


def test_there_are_at_least_forty_kinds() -> None:
    assert len(canaries.NAMES) + len(canaries.DERIVED) >= 40


@pytest.mark.parametrize("name", canaries.NAMES)
def test_canary_stands_only_in_the_secrets_file(name: str, capture: tuple[Path, Vault]) -> None:
    path, _ = capture
    content = path.read_bytes()
    wanted = canaries.wanted(name)
    assert not [form for form in canaries.forms(wanted) if form in content]
    assert not name.startswith("jwt") or base64.urlsafe_b64encode(canaries.canary(name).encode())[4:-4] not in content
    kept = secrets_path(path).read_text()
    assert wanted in json.dumps(kept) or wanted in kept


def test_canary_number_stays_a_number(capture: tuple[Path, Vault]) -> None:
    path, vault = capture
    assert canaries.PIN.encode() not in path.read_bytes()
    assert canaries.PIN in vault.values


def test_canaries_none_at_all_is_left_in_the_capture(capture: tuple[Path, Vault]) -> None:
    path, _ = capture
    content = path.read_bytes()
    assert b"canary-" not in content
    assert canaries.leaks(content) == []


def test_canaries_of_an_imported_har_stand_only_in_the_secrets_file(tmp_path: Path) -> None:
    """Everything in clear in a HAR, as browsers write it; not one of it in what becomes of it."""
    vault = Vault.in_memory()
    record_everything(tmp_path / "clear.db", vault, Unredacted(vault))
    with Capture.open(tmp_path / "clear.db") as capture:
        write_har(capture, tmp_path / "clear.har", None)
    clear = (tmp_path / "clear.har").read_bytes()
    assert set(canaries.leaks(clear)) >= set(canaries.NAMES) - {"interim", "trailer"}  # HAR has no place for them
    assert nestperf(["import", str(tmp_path / "clear.har"), "-o", str(tmp_path / "qa.db")]) == 0
    for name in (tmp_path / "qa.db", tmp_path / "qa.har"):
        if name.suffix == ".har":
            assert nestperf(["export", str(tmp_path / "qa.db"), "--format", "har", "-o", str(name)]) == 0
        assert b"canary-" not in name.read_bytes()
        assert canaries.leaks(name.read_bytes()) == []
