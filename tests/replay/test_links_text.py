"""What `nestperf plan` says of live values: from where, to where, why; never a value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nestperf.cli import run as nestperf
from tests.replay.conftest import Recording

TOKEN = "kQ3vX9tLw82hZbN5rYc7"
DEVICE = "Zp81mWq0xTg57LdK29sVbC"


def record(recording: Recording) -> Path:
    cookies = (("Content-Type", "application/json"), ("Set-Cookie", f"sid={TOKEN[::-1]}; Path=/"))
    recording.exchange(
        "POST", "/login", 0, 5, answer=json.dumps({"data": {"key": TOKEN}}).encode(), answer_headers=cookies
    )
    headers = (("X-Key", TOKEN), ("X-Device", DEVICE), ("Cookie", f"sid={TOKEN[::-1]}"))
    recording.exchange("GET", "/a", 10, 15, headers=headers)
    recording.exchange("GET", "/b", 20, 25, headers=headers)
    return recording.finish()


def test_plan_shows_links_with_evidence_and_what_has_no_origin(
    recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nestperf(["plan", str(record(recording))]) == 0
    printed = capsys.readouterr().out
    said = printed[printed.index("  Live values") :].rstrip().splitlines()
    assert said == [
        "  Live values",
        "    the cookie jar carries sid",
        "    json data.key  of 1 POST /login",
        "      → header x-key  of 2, 3  (certain: 20 equal characters)",
        "",
        "  Looks dynamic, came from nowhere in this session, goes out as it is",
        "    header x-device  of 2, 3",
    ]
    assert TOKEN not in printed
    assert DEVICE not in printed


def test_plan_as_json_has_the_same(recording: Recording, capsys: pytest.CaptureFixture[str]) -> None:
    assert nestperf(["plan", "--json", str(record(recording))]) == 0
    printed = capsys.readouterr().out
    (session,) = json.loads(printed)["sessions"]
    first = next(link for link in session["links"] if not link["by_cookie_jar"])
    assert first == {
        "step": 1,
        "place": "header x-key",
        "source": 0,
        "origin": "json data.key",
        "confidence": "certain",
        "reason": "20 equal characters",
        "by_cookie_jar": False,
    }
    assert {one["place"] for one in session["unexplained"]} == {"header x-device"}
    assert TOKEN not in printed


def test_plan_obeys_rules_and_lists_what_identities_bring(
    recording: Recording, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = record(recording)
    rules, people = tmp_path / "rules.toml", tmp_path / "users.csv"
    rules.write_text('[[never]]\nplace = "header x-key"\nof = "GET /b"\n')
    assert nestperf(["plan", str(path), "--rules", str(rules)]) == 0
    assert "→ header x-key  of 2  (certain" in capsys.readouterr().out
    people.write_text(f"x-device,key,sid\n{DEVICE[::-1]},{TOKEN}x,s\n")
    assert nestperf(["plan", str(path), "--identities", str(people)]) == 0
    printed = capsys.readouterr().out
    assert "x-device of the identity  of 1, 2" in printed
    assert "1 × identities bring what it was sent for" in printed
    assert DEVICE[::-1] not in printed


def test_rules_that_are_not_there_are_refused_in_one_sentence(
    recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nestperf(["plan", str(record(recording)), "--rules", "nowhere.toml"]) == 2
    assert capsys.readouterr().err == (
        "Error: Cannot read the rules in nowhere.toml (No such file or directory): name a TOML file with --rules.\n"
    )
