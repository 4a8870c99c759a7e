"""Files of thresholds: what a good one becomes, what a bad one is told, and which file is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from nestperf.capture.model import Kind
from nestperf.errors import ExitCode, UsageError
from reports.grammar import ExpressionRefused
from reports.thresholds import PURPOSES, Selector, load_thresholds, matches_any, parse_thresholds

GOOD = """
[server]
port = 1

[[threshold]]
name = "Sign-in"
source = "PRD 4.2"
note = "as fast as that"
expression = "p95(latency) < 500ms"
kind = "call"
route = ["/api/v1/auth/*", "/login"]
method = "post"
status = [200, "4xx"]
identity = "admin*"
mark = "request"
upstream = "localhost:4000"
applies = ["replay", "check"]
required = ["check"]
required_if = "sockets"
users = 20

[[threshold]]
expression = "rate(failed) < 1%"
required = false

[[unchecked]]
name = "uptime"
reason = "takes a year"
"""


def test_parse_thresholds_of_every_key_gives_data() -> None:
    thresholds = parse_thresholds(GOOD, "my.toml")
    first, second = thresholds.thresholds
    assert (first.name, first.source, first.note) == ("Sign-in", "PRD 4.2", "as fast as that")
    assert first.selector == Selector(
        kind=(Kind.CALL,),
        route=("/api/v1/auth/*", "/login"),
        method=("POST",),
        status=("200", "4xx"),
        identity=("admin*",),
        mark=("request",),
        upstream=("localhost:4000",),
    )
    assert (first.applies, first.required, first.required_if, first.users) == (
        ("replay", "check"),
        ("check",),
        ("sockets",),
        20,
    )
    assert (second.name, second.required, second.applies) == ("rate(failed) < 1%", (), PURPOSES[:3])
    assert second.selector.is_empty
    assert (thresholds.unchecked[0].name, thresholds.unchecked[0].reason) == ("uptime", "takes a year")


E = 'expression = "p95(latency) < 1s"\n'
BAD = [
    ("not TOML", "[[threshold]\n", "my.toml is not TOML"),
    ("single brackets", f"[threshold]\n{E}", "double brackets"),
    ("a list of texts", 'threshold = ["p95(latency) < 1s"]', "double brackets"),
    ("no expression", '[[threshold]]\nname = "x"', "my.toml, threshold 1 ('x'): `expression` is missing"),
    ("expression is no text", "[[threshold]]\nexpression = 5", "`expression` is 5, expected a text"),
    ("a key too many", f'[[threshold]]\n{E}rout = "/x"', "there is no key `rout`: did you mean route?"),
    ("a key like none", f"[[threshold]]\n{E}zzz = 1", "there is no key `zzz`; the keys are expression, name"),
    ("a table too many", f"[[thresholds]]\n{E}", "there is no [[thresholds]]: did you mean threshold?"),
    ("a kind misspelt", f'[[threshold]]\n{E}kind = "calls"', "upgrade: did you mean call?"),
    ("applies to nothing", f"[[threshold]]\n{E}applies = []", "`applies` is [], expected one or more of record"),
    ("one name twice", f'[[threshold]]\nname = "A"\n{E}' * 2, "thresholds 1 and 2 are both called 'A': give each a"),
    ("a long value", f'[[threshold]]\n{E}kind = "{"x" * 999}"', "…"),
    ("a hostile value", f'[[threshold]]\n{E}kind = "\\u001b[2J"', "\\x1b[2J"),
    ("unknown kind", f'[[threshold]]\n{E}kind = "api"', "`kind` is 'api', expected one or more of call, page"),
    ("empty route", f'[[threshold]]\n{E}route = ""', "`route` is '', expected a text or a list"),
    ("status as a word", f'[[threshold]]\n{E}status = "ok"', "`status` is 'ok', expected a status such as 404"),
    ("status out of range", f"[[threshold]]\n{E}status = 999", "`status` is 999"),
    ("required as a word", f'[[threshold]]\n{E}required = "sometimes"', "expected one or more of record, replay"),
    ("applies to nothing known", f'[[threshold]]\n{E}applies = "production"', "expected one or more of record"),
    ("unknown condition", f'[[threshold]]\n{E}required_if = "sunny"', "expected one or more of samples, pages"),
    ("no users", f"[[threshold]]\n{E}users = 0", "`users` is 0, expected a number of users"),
    ("users as a truth", f"[[threshold]]\n{E}users = true", "`users` is True"),
    ("unchecked without a reason", '[[unchecked]]\nname = "uptime"', "unchecked 1 ('uptime'): `reason` is missing"),
    ("a route for queries", '[[threshold]]\nexpression = "max(query_time) < 1s"\nroute = "/x"', "by upstream, not by"),
    (
        "a kind for a broadcast",
        '[[threshold]]\nexpression = "reach(e) == 100%"\nkind = "call"',
        "by namespace, not by `kind`",
    ),
    (
        "route and event",
        f'[[threshold]]\n{E}event = "e"\nroute = "/x"',
        "can be selected by event, namespace, identity, upstream, not by `route`",
    ),
    ("an event of exchanges", '[[threshold]]\nexpression = "rate(failed) < 1%"\nevent = "e"', "not by `event`"),
]


@pytest.mark.parametrize(("text", "sentence"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_parse_thresholds_of_a_bad_file_says_what_and_where(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_thresholds(text, "my.toml")
    assert sentence in str(refusal.value)
    assert str(refusal.value).startswith("my.toml")
    assert refusal.value.exit_code is ExitCode.USAGE


def test_parse_thresholds_of_a_wrong_expression_names_the_threshold_and_keeps_the_caret() -> None:
    text = f'[[threshold]]\n{E}[[threshold]]\nname = "API"\nexpression = "p95(latency) < fast"'
    with pytest.raises(ExpressionRefused) as refusal:
        parse_thresholds(text, "my.toml")
    assert str(refusal.value).splitlines() == [
        "my.toml, threshold 2 ('API'): expected a time, such as 1s or 500ms, or `1.2 * baseline`",
        "    p95(latency) < fast",
        "                   ^",
    ]


def test_load_thresholds_without_any_file_uses_the_built_in_promises(tmp_path: Path) -> None:
    thresholds = load_thresholds(None, tmp_path)
    assert "built-in MediaNest" in thresholds.origin
    names = {threshold.expression.text: threshold for threshold in thresholds.thresholds}
    assert names["p95(latency) < 1s"].source == "PRD 4.2"
    assert {"p95(latency) < 500ms", "rate(failed) < 1%", "count(users) >= 50", "count(exchanges) >= 1000 per 1m",
            "max(query_time) < 100ms", "reach(service:status) == 100%"} <= set(names)  # fmt: skip
    assert all(threshold.source for threshold in thresholds.thresholds)
    assert any("uptime" in unchecked.name for unchecked in thresholds.unchecked)


def test_load_thresholds_beside_a_working_file_uses_it(tmp_path: Path) -> None:
    (tmp_path / "nestperf.toml").write_text(GOOD)
    thresholds = load_thresholds(None, tmp_path)
    assert thresholds.origin == str(tmp_path / "nestperf.toml")
    assert len(thresholds.thresholds) == 2


def test_load_thresholds_beside_a_working_file_without_any_uses_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "nestperf.toml").write_text("[replay]\nusers = 3\n")
    assert "built-in" in load_thresholds(None, tmp_path).origin


def test_load_thresholds_of_a_named_file_prefers_it(tmp_path: Path) -> None:
    (tmp_path / "nestperf.toml").write_text(GOOD)
    (tmp_path / "mine.toml").write_text(f"[[threshold]]\n{E}")
    thresholds = load_thresholds(tmp_path / "mine.toml", tmp_path)
    assert [threshold.name for threshold in thresholds.thresholds] == ["p95(latency) < 1s"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "Cannot read"), (b"", "holds no threshold"), (b"\xff\xfe", "is not UTF-8 text")],
    ids=["missing", "empty", "binary"],
)
def test_load_thresholds_of_an_unusable_file_is_refused(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        load_thresholds(path, tmp_path)


def test_matches_any_of_patterns_takes_ids_as_they_stand() -> None:
    assert matches_any("/api/v1/media/{id}", ("/api/v1/media/{id}",))
    assert matches_any("/api/v1/media/{id}", ("/x", "/api/*"))
    assert not matches_any("/api/v1/media", ("/API/*", "media"))


def test_only_promises_about_pages_apply_to_pages_opened_over_a_slow_network_unless_they_say_so() -> None:
    text = """
    [[threshold]]
    expression = "p95(latency) < 1s"
    [[threshold]]
    expression = "p95(load) < 2s"
    [[threshold]]
    expression = "rate(failed) < 1%"
    applies = ["browse"]
    """
    parsed = parse_thresholds(text, "there").thresholds
    assert ["browse" in threshold.applies for threshold in parsed] == [False, True, True]
