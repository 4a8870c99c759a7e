"""The text report against golden files, at every width, and with hostile content.

After a wanted change: NESTPERF_UPDATE_GOLDEN=1 pytest tests/reports/render/test_text.py, then look at the difference.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import click
import pytest

from nestperf.capture.model import HeaderSet, Mark, Outcome, Row, Upstream
from nestperf.printable import columns_of
from reports.render.text import render_report, render_thresholds
from tests.reports.conftest import exchange, exchanges, packet, socket
from tests.reports.render.conftest import Report, Reported

GOLDEN = Path(__file__).parent / "golden"


def assert_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("NESTPERF_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("width", [80, 120])
def test_render_report_of_a_recording_is_as_it_was(recording: Report, width: int) -> None:
    assert_golden(f"recording-{width}.txt", render_report(*recording, width))


@pytest.mark.parametrize("width", [80, 120])
def test_render_report_of_a_replay_is_as_it_was(replay: Report, width: int) -> None:
    assert_golden(f"replay-{width}.txt", render_report(*replay, width))


@pytest.mark.parametrize("width", [60, 72, 80, 99, 100, 110, 120, 140, 400])
def test_render_report_stays_within_every_width(recording: Report, replay: Report, width: int) -> None:
    for report in (recording, replay):
        assert max(map(columns_of, render_report(*report, width).splitlines())) <= min(width, 140)


@pytest.mark.parametrize("width", [80, 120])
def test_render_report_of_a_broken_promise_is_as_it_was(broken: Report, width: int) -> None:
    assert_golden(f"broken-{width}.txt", render_thresholds(broken.judgement, width))


@pytest.mark.parametrize("width", [60, 72, 80, 99, 100, 110, 120, 140])
def test_render_report_of_a_broken_promise_stays_within_every_width(broken: Report, width: int) -> None:
    assert max(map(columns_of, render_report(*broken, width).splitlines())) <= width


def test_render_report_with_colour_says_the_same(replay: Report) -> None:
    coloured = render_report(*replay, 100, colour=True)
    assert "\x1b[" in coloured
    assert click.unstyle(coloured) == render_report(*replay, 100)


def test_render_thresholds_begins_the_report(replay: Report) -> None:
    alone = render_thresholds(replay.judgement, 100)
    assert alone.endswith("\n")
    assert render_report(*replay, 100).startswith(alone)


FIRST_LINES: list[tuple[str, dict[str, Any], str]] = [
    ("a good run", {}, "PASS  The one required promise holds."),
    ("a live or killed one", {"state": "running"}, "PASS  The one required promise holds. The run has not finished"),
    ("an interrupted one", {"state": "interrupted"}, "PASS  The one required promise holds. The run was interrupted"),
    ("an invalid one", {"invalid": ("The generator was late.",)},
     "INVALID  No verdict of this run counts. The generator was late."),
    ("one that lost rows", {"losses": {"frames": 12}},
     "INVALID  No verdict of this run counts. Not everything was stored; lost: 12 frames."),
]  # fmt: skip


@pytest.mark.parametrize(("run", "line"), [case[1:] for case in FIRST_LINES], ids=[case[0] for case in FIRST_LINES])
def test_render_report_says_first_how_the_run_stands(reported: Reported, run: dict[str, Any], line: str) -> None:
    thresholds = "[[threshold]]\nexpression = 'p95(latency) < 1s'"
    text = render_report(*reported(list(exchanges([10] * 100)), thresholds, **run), 140)
    assert text.startswith(line)
    assert text.splitlines()[1] == "Thresholds: promises.toml"


OTHER_FIRST_LINES = [
    ("a broken promise", "p95(latency) < 1ms", "", "FAIL  The one required promise is broken: p95(latency) < 1ms."),
    ("one that nobody can judge", "p95(latency) < 1s", "route = '/none'",
     "CAN'T TELL  The one required promise could not be judged: p95(latency) < 1s."),
    ("none required", "p95(latency) < 1s", "required = false",
     "NOTHING JUDGED  No threshold is required of this capture."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "keys", "line"),
    [case[1:] for case in OTHER_FIRST_LINES],
    ids=[case[0] for case in OTHER_FIRST_LINES],
)
def test_render_report_says_first_what_became_of_the_promises(
    reported: Reported, expression: str, keys: str, line: str
) -> None:
    report = reported(list(exchanges([10] * 100)), f"[[threshold]]\nexpression = '{expression}'\n{keys}")
    assert render_report(*report, 140).splitlines()[0] == line


def test_render_report_shows_a_limit_and_what_just_missed_it_apart(reported: Reported) -> None:
    report = reported(list(exchanges([1000.4] * 100)), "[[threshold]]\nexpression = 'p95(latency) < 1s'")
    assert "1.0004 s" in render_report(*report, 100)


def test_render_report_of_hostile_content_stays_one_harmless_report(reported: Reported) -> None:
    evil = "\x1b[2J\x1b]52;c;ZXZpbA==\x07\r\nPASS  All is well.\u202e\u2028" + "A" * 1_000_000
    rows: list[Row] = [
        exchange(1, 10, route="/" + evil, method=evil, outcome=Outcome.REFUSED),
        exchange(2, 10, route="/ok", server_call=True),
        socket(1, protocol=evil, target="/" + evil, closed_by="client", closed_ns=1),
        socket(2),
        packet(1, 1, 5000, event=evil, namespace="/" + evil),
        packet(2, 2, 5000, event=evil, namespace="/" + evil),
    ]
    report = reported(
        rows,
        purpose="replay",
        state=evil,
        invalid=(evil,),
        losses={evil: 3},
        source_path=evil,
        upstreams=(Upstream(evil),),
        certificate={"visits": {evil: 1}, "source_addresses": evil, "planned": evil},
        relay={"added_p50_ns": evil, "loop_lag_p99_ns": evil},
    )
    text = render_report(*report, 100)
    assert len(text) < 20_000
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"} for char in text if char != "\n")
    assert max(map(columns_of, text.splitlines())) <= 100
    assert sum(line.startswith("PASS") for line in text.splitlines()) == 0


def test_render_report_of_every_outcome_in_large_numbers_fits_80_columns(reported: Reported) -> None:
    rows: list[Row] = [exchange(number, 10, outcome=list(Outcome)[number % 11]) for number in range(22_000)]
    for n in range(1, 1000):
        closed_by = ("client", "server", "cut", None)[n % 4]
        closed_ns = None if closed_by is None else 1
        rows.append(socket(n, outcome=list(Outcome)[n % 11], closed_by=closed_by, closed_ns=closed_ns))
    text = render_report(*reported(rows), 80)
    assert max(map(columns_of, text.splitlines())) <= 80
    assert "Not shown for want of room: /min" in text
    assert "p95" in text


def test_render_report_of_very_many_routes_counts_the_rest(reported: Reported) -> None:
    rows: list[Row] = [exchange(number, 10, route=f"/page/{number:x}-x") for number in range(100)]
    text = render_report(*reported(rows), 100)
    assert "40 more routes: see --format json." in text
    assert text.count("GET ") == 60


def test_a_mark_shows_what_it_is_made_of_and_a_test_does_not(reported: Reported) -> None:
    rows: list[Row] = [exchange(number, number, route=f"/films/{'abc'[number % 3]}") for number in range(1, 31)]
    rows += [
        Mark(None, 0, None, "browsing", "key"),
        HeaderSet(9, '[["X-Nestperf-Test", "lists films"]]'),
        exchange(40, 7, route="/films/a", request_headers=9),
        exchange(41, 7, route="/films/b", request_headers=9),
    ]
    text = render_report(*reported(rows), 80)
    marks, tests = re.findall(r"^(?:Marks|Tests)\n(.*?)\n\n", text, re.DOTALL | re.MULTILINE)
    assert re.findall(r"^  (\S.*?)  ", marks, re.MULTILINE)[1:] == [
        "browsing",
        "· GET /films/a",
        "· GET /films/c",
        "· GET /films/b",
    ]
    assert "GET" not in tests
