"""`nestperf import` as people call it: what comes of files, and what is said where they cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nestperf.capture.model import Exchange, Query, Run, Upstream
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault, secrets_path
from nestperf.capture.writer import CaptureWriter
from nestperf.cli import run
from tests.capture.har.test_entries import entry
from tests.capture.har.test_reading import har_of
from tests.reports.conftest import exchange, query

START_S = 1_795_962_758


def at(second: int, **changes: Any) -> dict[str, Any]:
    """An entry that began so many seconds after the first."""
    return entry(startedDateTime=f"2026-11-29T14:32:{38 + second:02}Z", **changes)


def har(path: Path, *entries: object) -> Path:
    path.write_text(har_of(*entries))
    return path


def log(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"2026-11-29 14:32:{line}\n" for line in lines))
    return path


def targets(path: Path) -> list[str]:
    with Capture.open(path) as capture:
        return [one.target for one in capture.exchanges()]


def test_entries_in_any_order_are_imported_in_order_of_time(tmp_path: Path) -> None:
    order = [5, 2, 9, 0, 1, 7]
    entries = [at(second, request__url=f"https://app.test/{second}") for second in order]
    assert run(["import", str(har(tmp_path / "a.har", *entries)), "-o", str(tmp_path / "a.db")]) == 0
    assert targets(tmp_path / "a.db") == [f"/{second}" for second in sorted(order)]
    with Capture.open(tmp_path / "a.db") as capture:
        capture.check()
        assert (capture.run.purpose, capture.run.vantage, capture.run.state) == ("import", "client", "finished")
        assert capture.run.settings["imported"] == [{"file": "a.har", "format": "har", "creator": "WebInspector"}]
        assert all(one.relay_ns is None for one in capture.exchanges())


def test_several_files_are_one_capture_with_a_session_each(tmp_path: Path) -> None:
    one = har(
        tmp_path / "ann.har", at(0, request__url="https://app.test/a1"), at(2, request__url="https://app.test/a2")
    )
    other = har(tmp_path / "bob.har", at(1, request__url="https://app.test/b1"))
    logged = log(tmp_path / "pg.log", "39.500 UTC [7] LOG:  duration: 20.000 ms  statement: select 1")
    assert run(["import", str(one), str(other), str(logged), "-o", str(tmp_path / "all.db")]) == 0
    assert targets(tmp_path / "all.db") == ["/a1", "/b1", "/a2"]
    with Capture.open(tmp_path / "all.db") as capture:
        assert [session.label for session in capture.sessions()] == ["ann.har Mozilla", "bob.har Mozilla"]
        (told,) = capture.queries()
        assert (told.source, told.done_ns) == ("log", 1_486_000_000)  # after the first was sent, at .014


def test_only_takes_the_applications_that_were_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = har(
        tmp_path / "a.har", at(0), at(1, request__url="https://ads.test/x"), at(2, request__url="http://app.test:81/")
    )
    assert run(["import", str(file), "-o", str(tmp_path / "a.db"), "--only", "https://app.test"]) == 0
    assert targets(tmp_path / "a.db") == ["/api/items?x=1"]
    assert "left out 2 exchanges with other applications" in capsys.readouterr().out
    assert run(["import", str(file), "-o", str(tmp_path / "b.db"), "--only", "app.test"]) == 0
    assert len(targets(tmp_path / "b.db")) == 2
    assert run(["import", str(file), "-o", str(tmp_path / "c.db"), "--only", "nobody.test"]) == 3
    assert "3 exchanges with other applications left out" in capsys.readouterr().err


def test_what_was_left_out_is_counted_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = har(tmp_path / "a.har", at(0), at(1, _fromCache="disk"), at(2, request__url=""), at(3, request__postData={}))
    assert run(["import", str(file), "-o", str(tmp_path / "a.db")]) == 0
    said = capsys.readouterr().out
    assert "a.har: left out 1, each of which came from the browser's cache." in said
    assert "a.har: LEFT OUT 1 that make no sense, such as entry 3 of a.har: no URL." in said
    assert "a.har: of 1 body it tells only the size." in said
    assert "a.har: no cookie and no Authorization in it" in said


def test_secrets_are_replaced_unless_it_is_a_lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = [{"name": "Cookie", "value": "sid=canary-cookie-4711"}, {"name": "X-Shop", "value": "canary-shop-4711"}]
    file = har(tmp_path / "a.har", at(0, request__headers=fields))
    assert run(["import", str(file), "-o", str(tmp_path / "a.db"), "--redact", "x-shop"]) == 0
    assert b"canary" not in (tmp_path / "a.db").read_bytes()
    vault = Vault.open(tmp_path / "a.db")
    assert vault is not None
    assert {"canary-cookie-4711", "canary-shop-4711"} <= set(vault.values)
    assert "canary" not in capsys.readouterr().out
    assert run(["import", str(file), "-o", str(tmp_path / "b.db"), "--no-redact"]) == 0
    assert "SECRETS STAND IN IT" in capsys.readouterr().out
    assert not secrets_path(tmp_path / "b.db").exists()


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        ("", 3, "is neither a HAR, nor a flow file of mitmproxy, nor a log of PostgreSQL"),
        ("just text", 3, "is neither a HAR"),
        ('{"log": {"entries": [', 3, "is no whole HAR"),
        ("2026-11-29 14:32:38 UTC [1] LOG:  checkpoint starting\n", 3, "holds no durations: set log_min_duration"),
        ("LOG:  duration: 1.000 ms  statement: select 1\n", 3, "log_line_prefix with a time"),
    ],
)
def test_file_that_cannot_be_used_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, code: int, sentence: str
) -> None:
    (tmp_path / "given").write_text(content)
    assert run(["import", str(tmp_path / "given"), "-o", str(tmp_path / "a.db")]) == code
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given"]


def test_file_that_is_broken_further_on_leaves_nothing_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = har_of(*[at(0)] * 50)
    (tmp_path / "a.har").write_text(whole[: len(whole) - 100])
    assert run(["import", str(tmp_path / "a.har"), "-o", str(tmp_path / "a.db")]) == 3
    assert "is no whole HAR" in capsys.readouterr().err
    assert not (tmp_path / "a.db").exists()


def test_usage_is_refused_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = har(tmp_path / "a.har", at(0))
    (tmp_path / "there.db").write_text("mine")
    assert run(["import", str(file), "-o", str(tmp_path / "there.db")]) == 2
    assert (tmp_path / "there.db").read_text() == "mine"
    assert run(["import", str(tmp_path / "nowhere.har")]) == 3
    secrets_path(tmp_path / "x.db").write_text("of somebody else")
    assert run(["import", str(file), "-o", str(tmp_path / "x.db")]) == 2
    assert secrets_path(tmp_path / "x.db").read_text() == "of somebody else"
    secrets_path(tmp_path / "x.db").unlink()
    assert run(["import", str(file), "--into", str(tmp_path / "there.db")]) == 2
    assert run(["import", str(file), "-o", str(tmp_path / "x.db"), "--log-line-prefix", "%p"]) == 0
    capsys.readouterr()


def recording(path: Path, *rows: Exchange | Query) -> Path:
    writer = CaptureWriter.create(
        path,
        Run("a1", "record", "proxy", "finished", "0.1.0", (START_S - 2) * 10**9, 10 * 10**9, (Upstream("http://a:1"),)),
    )
    writer.extend(rows)
    writer.close()
    return path


def test_queries_of_a_log_are_added_to_the_recording_they_ran_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = recording(tmp_path / "qa.db", exchange(1, 100, sent_ns=3 * 10**9))
    file = log(
        tmp_path / "pg.log",
        "20.000 UTC [7] LOG:  duration: 1.000 ms  statement: select 'before'",
        "39.060 UTC [7] LOG:  duration: 20.000 ms  statement: select * from t where id = 4711",
        "59.000 UTC [7] LOG:  duration: 1.000 ms  statement: select 'after'",
    )
    assert run(["import", str(file), "--into", str(db)]) == 0
    assert "Added 1 query" in capsys.readouterr().out
    with Capture.open(db) as capture:
        (told,) = capture.queries()
        assert (told.started_ns, told.done_ns, told.connection) == (3_040_000_000, 3_060_000_000, 2)
        assert capture.run.purpose == "record"
    assert run(["report", str(db), "--format", "json"]) in (0, 4)
    report = json.loads(capsys.readouterr().out)
    assert report["queries"]["links"]["linked"] == 1
    assert run(["import", str(file), "--into", str(db)]) == 2
    assert "has the queries of pg.log already" in capsys.readouterr().err


def test_queries_that_were_recorded_are_not_added_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = recording(tmp_path / "qa.db", exchange(1, 100), query(1, 5))
    file = log(tmp_path / "pg.log", "39.000 UTC [7] LOG:  duration: 20.000 ms  statement: select 1")
    assert run(["import", str(file), "--into", str(db)]) == 2
    assert "as they crossed the wire" in capsys.readouterr().err
    other = recording(tmp_path / "other.db", exchange(1, 100))
    late = log(tmp_path / "late.log", "59.000 UTC [7] LOG:  duration: 20.000 ms  statement: select 1")
    assert run(["import", str(late), "--into", str(other)]) == 3
    assert "No query ran while" in capsys.readouterr().err
