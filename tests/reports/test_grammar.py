"""What a threshold may say, and where the caret stands when it says something else."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.errors import ExitCode
from reports.expressions import Comparison, Expression, Statistic
from reports.grammar import ExpressionRefused, parse_expression

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("p95(latency) < 1s", {"statistic": Statistic.PERCENTILE, "percentile": Fraction(95, 100), "limit": 10**9}),
    ("p99.9(ttfb)<=1.5ms", {"percentile": Fraction(999, 1000), "quantity": "ttfb", "limit": 1_500_000}),
    ("  p50 ( service_time )\t>\n2 us ", {"comparison": Comparison.MORE, "limit": 2_000}),
    ("max(response_time) < 800µs", {"statistic": Statistic.MAX, "limit": 800_000}),
    ("max(response_time) < 800μs", {"limit": 800_000}),
    ("min(send_lag) >= 0ns", {"statistic": Statistic.MIN, "limit": 0, "comparison": Comparison.AT_LEAST}),
    ("avg(session_time) < 2m", {"statistic": Statistic.AVG, "limit": 120 * 10**9}),
    ("rate(failed) < 1%", {"statistic": Statistic.RATE, "quantity": "failed", "limit": Fraction(1, 100)}),
    ("rate(limited) <= 0.5 %", {"limit": Fraction(1, 200)}),
    ("rate(lost) == 0%", {"comparison": Comparison.EQUAL, "limit": 0}),
    ("count(exchanges) >= 1000 per 1m", {"limit": 1000, "per_ns": 60 * 10**9}),
    ("count(users) >= 50", {"quantity": "users", "limit": 50, "per_ns": None}),
    ("count(failed) == 0", {"comparison": Comparison.EQUAL}),
    ("reach(service:status) == 100%", {"statistic": Statistic.REACH, "event": "service:status", "limit": 1}),
    ("max(delivery(request:{id}:status)) < 1s", {"quantity": "delivery", "event": "request:{id}:status"}),
    ('max(gap("two words (and) more")) <= 60s', {"quantity": "gap", "event": "two words (and) more"}),
    ("max(gap(service:status*)) <= 60s", {"event": "service:status*"}),
    ("p95 < 1s", {"quantity": "latency", "limit": 10**9}),
    ("p95 <= 1.2 * baseline", {"quantity": "latency", "limit": Fraction(6, 5), "of_baseline": True}),
    ("avg(ttfb) < baseline", {"limit": 1, "of_baseline": True}),
    ("rate(failed) <= 2 × baseline", {"statistic": Statistic.RATE, "limit": 2, "of_baseline": True}),
    ("count(exchanges) >= 0.9*baseline per 1m", {"of_baseline": True, "per_ns": 60 * 10**9}),
]


@pytest.mark.parametrize(("text", "expected"), GOOD, ids=[text for text, _ in GOOD])
def test_parse_expression_of_the_grammar_gives_its_parts(text: str, expected: dict[str, Any]) -> None:
    expression = parse_expression(text)
    assert {name: getattr(expression, name) for name in expected} == expected
    assert expression.text == text.strip()


BAD = [
    ("", 0, "expected p95"),
    ("   ", 3, "expected p95"),
    ("P95(latency) < 1s", 0, "expected p95"),
    ("median(latency) < 1s", 0, "expected p95"),
    ("p100(latency) < 1s", 0, "between p0 and p100"),
    ("p0(latency) < 1s", 0, "between p0 and p100"),
    ("p95", 3, "expected <, <="),
    ("p95 latency < 1s", 4, "expected <, <="),
    ("rate < 1%", 5, "expected `(` after `rate`"),
    ("p95(latency < 1s", 12, "expected `)` after `p95(latency`"),
    ("p95(latencies) < 1s", 4, "expected one of latency, service_time"),
    ("p95(failed) < 1%", 4, "expected one of latency, service_time"),
    ("rate(latency) < 1%", 5, "expected one of failed"),
    ("count(queries) > 1", 6, "expected one of exchanges"),
    ("reach() == 100%", 6, "expected the name of an event"),
    ('reach("open) == 100%', 6, "expected the name of an event"),
    ('reach("\\x") == 100%', 6, "not closed as JSON"),
    ("max(delivery) < 1s", 12, "expected `(` after `delivery`"),
    ("p95(latency) 1s", 13, "expected <, <="),
    ("p95(latency) = 1s", 13, "expected <, <="),
    ("p95(latency) != 1s", 13, "expected <, <="),
    ("p95(latency) == 1s", 13, "never equal"),
    ("p95(latency) < fast", 15, "expected a time, such as 1s"),
    ("p95(latency) < -1s", 15, "expected a time"),
    ("p95(latency) < 1", 16, "expected a unit of time"),
    ("p95(latency) < 1000", 19, "expected a unit of time"),
    ("p95(latency) < 1h", 16, "expected a unit of time"),
    ("p95(latency) < 1%", 16, "expected a unit of time"),
    ("rate(failed) < 0.01", 15, "a share is compared with a percentage"),
    ("rate(failed) < 101%", 15, "at most 100%"),
    ("rate(failed) == 5%", 16, "only be required to equal 0% or 100%"),
    ("count(users) >= 50%", 18, "a plain number"),
    ("count(users) >= 50 per 1m", 19, "can be per time"),
    ("rate(failed) < 1% per 1m", 18, "can be per time"),
    ("count(exchanges) > 5 every 1m", 21, "expected nothing more, or `per 1m`"),
    ("count(exchanges) > 5 per minute", 25, "expected a time"),
    ("count(exchanges) > 5 per 1ns", 25, "at least 1ms"),
    ("p95(latency) < 1s )", 18, "expected nothing more"),
    ("p95(latency) < 1s, p99(latency) < 2s", 17, "expected nothing more"),
    ("count(exchanges) > " + "9" * 19, 19, "at most 18 digits"),
    ("p95(latncy) < 1s", 4, "did you mean latency?"),
    ("median(latency) < 1s", 0, "did you mean p50?"),
    ("mean(latency) < 1s", 0, "did you mean avg?"),
    ("count(requests) > 1", 6, "did you mean exchanges?"),
    ("p95 <= 1.2 * basline", 13, "expected `baseline`"),
    ("p5a(latency) < 1s", 0, "expected p95"),
    ("p95 <= 0 * baseline", 7, "more than 0"),
    ("count(users) == baseline", 16, "nothing equals its baseline"),
    ("p95 <= baseline * 1.2", 16, "expected nothing more"),
]


@pytest.mark.parametrize(("text", "column", "sentence"), BAD, ids=[text[:40] or "nothing" for text, _, _ in BAD])
def test_parse_expression_outside_the_grammar_is_refused_with_a_caret(text: str, column: int, sentence: str) -> None:
    with pytest.raises(ExpressionRefused) as refusal:
        parse_expression(text)
    first, shown, caret = str(refusal.value).split("\n")
    assert sentence in first
    assert caret.index("^") - 4 == column == refusal.value.column
    assert shown[4:].rstrip() == text.rstrip()
    assert refusal.value.exit_code is ExitCode.USAGE


def test_refusal_of_a_line_with_controls_shows_them_as_blanks() -> None:
    with pytest.raises(ExpressionRefused) as refusal:
        parse_expression("p95(latency)\n<\x1b[2J fast")
    assert "\x1b" not in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 3


@given(st.text(alphabet='p95 (latency)<>=%.msrateconugh:"\\\x1bé', max_size=40))
def test_parse_expression_of_any_text_gives_an_expression_or_the_refusal(text: str) -> None:
    column = 0
    try:
        assert isinstance(parse_expression(text), Expression)
    except ExpressionRefused as refusal:
        column = refusal.column
    assert 0 <= column <= len(text)


@given(
    percentile=st.decimals("0.1", "99.9", places=1),
    comparison=st.sampled_from(["<", "<=", ">", ">="]),
    number=st.integers(0, 10**6),
    unit=st.sampled_from(["ns", "us", "ms", "s", "m"]),
)
def test_parse_expression_of_a_percentile_keeps_every_part(
    percentile: object, comparison: str, number: int, unit: str
) -> None:
    expression = parse_expression(f"p{percentile}(latency) {comparison} {number}{unit}")
    factor = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9}[unit]
    assert expression.percentile == Fraction(str(percentile)) / 100
    assert (expression.comparison.value, expression.limit) == (comparison, Fraction(number * factor))


def test_holds_at_the_limit_is_exact() -> None:
    limit = parse_expression("rate(failed) < 1%").limit
    assert not Comparison.LESS.holds(Fraction(1, 100), limit)
    assert Comparison.AT_MOST.holds(Fraction(1, 100), limit)
