"""Secrets of every kind go through a recorder; not one of them stands in the raw bytes of the capture."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest

from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.model import Run
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault, secrets_path
from nestperf.capture.writer import CaptureWriter
from proxy_addon.recorder import Recorder
from proxy_addon.tap import Record, What
from tests import canaries

OPENED = b'{"client":"127.0.0.1","upstream":0}'


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Vault]:
    path = tmp_path_factory.mktemp("canaries") / "qa.db"
    vault = Vault.create(path)
    writer = CaptureWriter.create(path, Run("u", "record", "proxy", "running", "0", time.time_ns()), vault=vault)
    recorder = Recorder(Contents(Redactor(vault), writer.add), writer.add, Clock(0, 0))
    spoken = [
        [("client", asked), ("server", told)]
        for asked, told in (
            *(first for first, _ in canaries.LATE.values()),
            *canaries.EXCHANGES.values(),
            *(second for _, second in canaries.LATE.values()),
            canaries.NUMBER,
            canaries.AFTER_NUMBER,
            canaries.POLL,
        )
    ]
    visits = [list(canaries.visit()), list(canaries.deflated_visit()), [("client", canaries.MALFORMED)]]
    for number, steps in enumerate([*spoken, *visits], 1):
        recorder.feed(Record(What.OPENED, number, 1, 0, OPENED))
        for sender, payload in steps:
            what = What.CLIENT_BYTES if sender == "client" else What.SERVER_BYTES
            recorder.feed(Record(what, number, 2, 0, payload))
    writer.commit()
    recorder.finish()
    assert set(recorder.tally.losses) <= {"undecodable"}
    assert recorder.tally.exchanges >= len(spoken) + 2
    writer.close()
    return path, vault


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
