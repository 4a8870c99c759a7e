"""The JSON report: the same facts as the text, whole numbers, safe on a terminal."""

from __future__ import annotations

import json
from typing import Any

from nestperf import __version__
from nestperf.capture.model import Row
from nestperf.console import duration
from reports.render.json import render_json
from reports.render.text import render_report
from reports.render.units import format_count, format_share
from tests.reports.conftest import MS, exchange
from tests.reports.render.conftest import Report, Reported


def document(report: Report) -> dict[str, Any]:
    loaded = json.loads(render_json(*report))
    assert isinstance(loaded, dict)
    return loaded


def test_render_json_has_a_schema_and_the_verdict(replay: Report) -> None:
    json_report = document(replay)
    assert (json_report["schema"], json_report["nestperf"]) == (1, __version__)
    assert json_report["verdict"]["word"] == "FAIL"
    assert json_report["verdict"]["exit_code"] == 1
    assert json_report["latency"] == "response_time"
    assert json_report["capture"]["settings"] == {"users": 3}


def test_render_json_of_a_replay_holds_every_fact_of_the_text(replay: Report) -> None:
    text, json_report = render_report(*replay, 140), document(replay)
    assert json_report["verdict"]["sentence"] in " ".join(text.split())
    for judged in json_report["thresholds"]["judged"]:
        assert judged["name"] in text
        if judged["unit"] == "ns" and judged["measured"] is not None:
            assert duration(judged["measured"]) in text
        if judged["unit"] == "share" and judged["measured"] is not None:
            assert format_share(judged["measured"]) in text
    for route in json_report["routes"]:
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{route['method']} ")
                    and route["route"] in line)  # fmt: skip
        assert format_count(route["n"]) in line
        for name in ("p50_ns", "p95_ns", "p99_ns", "max_ns"):
            assert duration(route["latency"][name]) in line
    for name in ("events", "broadcasts", "sockets", "both_times"):
        assert json_report[name], name
    assert json_report["broadcasts"][0]["event"] in text


def test_render_json_keeps_times_whole_and_limits_exact(replay: Report) -> None:
    first = document(replay)["thresholds"]["judged"][0]
    assert (first["limit"], first["unit"], first["expression"]) == (10**9, "ns", "p95(latency) < 1s")
    assert first["select"] == {"kind": ["call"]}
    assert isinstance(first["measured"], int)
    assert [type(end) for end in first["interval"]] == [int, int]


def test_render_json_of_few_samples_says_why(recording: Report) -> None:
    judged = {item["name"]: item for item in document(recording)["thresholds"]["judged"]}
    assert judged["Sign-in within 50 ms"]["why"] == "too_few"
    assert judged["Sign-in within 50 ms"]["more_samples"] == 18
    assert "a verdict needs 20" in judged["Sign-in within 50 ms"]["reason"]
    assert 0 < judged["API answers within 1 s"]["confidence"] < 0.975
    assert judged["50 users at once"]["verdict"] == "not applicable"


def test_render_json_of_hostile_content_is_plain_ascii_and_short(reported: Reported) -> None:
    rows: list[Row] = [exchange(1, 10, route="/\x1b[2J\u202e" + "A" * 1_000_000)]
    report = reported(rows, certificate={"rate": float("nan"), "lag": float("inf")})
    text = render_json(*report)
    assert text.isascii()
    assert "\x1b" not in text
    assert len(text) < 20_000
    assert json.loads(text)["capture"]["certificate"] == {"rate": None, "lag": None}


def test_render_json_of_durations_names_its_unit(recording: Report) -> None:
    (route,) = (row for row in document(recording)["routes"] if "{id}" in row["route"])
    assert route["latency"]["max_ns"] == 26 * MS
    assert route["latency"]["n"] == 22
