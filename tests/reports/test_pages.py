"""Watched pages: what is judged, what is shown, and what a slow load waited for."""

from __future__ import annotations

from typing import Any

import pytest

from nestperf.capture.model import Body, Kind, Outcome, Page, Resource, Row, Timing
from nestperf.pages.rules import SETTING, RenderRule, rules_as_settings
from nestperf.verdicts import Verdict
from reports.expressions import SCORE
from reports.measures import Measures
from reports.page_waterfalls import BROWSER
from reports.pages import Pages, read_pages, summarize_pages
from reports.render.html.watched import waterfalls
from reports.render.pages import render_named, render_pages, slowest_sentence
from reports.rules import Absent, Why
from reports.samples import Samples
from reports.thresholds import Threshold, parse_thresholds
from reports.verdict import judge_samples
from tests.reports.conftest import MS, S, Write, exchange

_PAGE = Page(
    id=1, session_id=None, client_id=None, upstream=0, exchange_id=None, kind="load", url="http://localhost:4000/board",
    route="/board", profile="", cpu_factor=None, round=None, cache=None, hidden=False, started_ns=0, first_byte_ns=None,
    dom_loaded_ns=None, load_ns=None, fcp_ns=None, lcp_ns=None, lcp_element=None, cls=0.0, inp_ns=None,
    inp_element=None, interactions=0, long_tasks=0, long_tasks_ns=0, errors=0, ended_ns=None, clock_error_ns=None,
    screenshot=None,
)  # fmt: skip


def page(number: int, load_ms: float | None = 500, **changes: Any) -> Page:
    """One load, a second after the one before it."""
    begun = number * S
    load = None if load_ms is None else begun + round(load_ms * MS)
    return _PAGE._replace(**{"id": number, "started_ns": begun, "load_ns": load, **changes})


def resource(number: int, page_id: int, begin_ms: float, end_ms: float, **changes: Any) -> Resource:
    """Something that the page of that number asked for, milliseconds since it began."""
    begin, end = (page_id * S + round(ms * MS) for ms in (begin_ms, end_ms))
    made = Resource(number, page_id, None, f"http://localhost:4000/r{number}", "script", begin, None, end, 10, False)
    return made._replace(**changes)


def render(number: int, page_id: int, took_ms: float | None, **changes: Any) -> Timing:
    """A picture of the list of requests."""
    took = None if took_ms is None else round(took_ms * MS)
    return Timing(number, page_id, "render", "list", page_id * S, took, None, 10, None)._replace(**changes)


def threshold(expression: str, **keys: Any) -> Threshold:
    lines = "".join(f"{key} = {value!r}\n".replace("True", "true") for key, value in keys.items())
    (found,) = parse_thresholds(f"[[threshold]]\nexpression = '''{expression}'''\n{lines}", "t").thresholds
    return found


def measured(written: Write, rows: list[Row], expression: str, **keys: Any) -> tuple[list[int], int]:
    settings = keys.pop("settings", {})
    with written(rows, f"{hash(expression)}.db", settings=settings) as capture:
        times = Measures(Samples.read(capture)).times(threshold(expression, **keys))
    return list(times.ordered), times.failed


@pytest.mark.parametrize(
    ("expression", "keys", "expected"),
    [
        ("p95(load) < 2s", {}, [400, 500, 900]),
        ("p95(load) < 2s", {"route": "/list"}, [900]),
        ("p95(load) < 2s", {"profile": "slow"}, [500]),
        ("p95(load) < 2s", {"cache": "warm"}, [400]),
        ("p95(navigation) < 2s", {}, [70]),
        ("p95(fcp) < 2s", {}, [200]),
        ("p95(lcp) < 2s", {}, [300]),
        ("p95(inp) < 2s", {}, [24]),
    ],
)
def test_times_of_pages_are_those_that_were_loaded_and_seen(
    written: Write, expression: str, keys: dict[str, Any], expected: list[int]
) -> None:
    rows: list[Row] = [
        page(1, 500, profile="slow", fcp_ns=S + 200 * MS, lcp_ns=S + 300 * MS, inp_ns=24 * MS),
        page(2, 400, cache="warm"),
        page(3, 900, route="/list"),
        page(4, 9000, hidden=True),
        page(5, None, ended_ns=6 * S),
        page(6, 70, kind="navigation"),
    ]
    assert measured(written, rows, expression, **keys) == ([ms * MS for ms in expected], 0)


def test_page_whose_document_failed_is_slower_than_any_limit(written: Write) -> None:
    rows: list[Row] = [
        exchange(1, 5, kind=Kind.PAGE, status=500, outcome=Outcome.HTTP_ERROR),
        exchange(2, 5, kind=Kind.PAGE),
        page(1, 20, exchange_id=1),
        page(2, 40, exchange_id=2),
    ]
    assert measured(written, rows, "p95(load) < 2s") == ([40 * MS], 1)


def test_layout_shift_is_judged_as_a_score(written: Write) -> None:
    rows: list[Row] = [page(number, cls=0.05) for number in range(1, 30)]
    with written(rows) as capture:
        samples = Samples.read(capture)
        (judged,) = judge_samples(samples, (), parse_thresholds(TOML_OF_CLS, "t"), "c").judged
    assert (judged.verdict, judged.measured) == (Verdict.PASS, 0.05 * SCORE)
    assert judged.threshold.expression.limit == SCORE // 10


TOML_OF_CLS = "[[threshold]]\nexpression = 'p75(cls) <= 0.1'\n"


def test_renders_count_where_they_ended_and_showed_enough(written: Write) -> None:
    rules = rules_as_settings((RenderRule(name="list", selectors=("ul",), calls=("/api",), at_least=100),))
    rows: list[Row] = [
        page(1),
        page(2, hidden=True),
        render(1, 1, 30, items=100),
        render(2, 1, 40, items=20),
        render(3, 1, None, items=100, detail="it kept changing"),
        render(4, 2, 50, items=100),
        render(5, 1, 60, items=120, name="other"),
        render(6, 1, 70, kind="measure", items=None),
    ]
    assert measured(written, rows, "p95(render(list)) < 2s", settings={SETTING: rules}) == ([30 * MS], 0)
    assert measured(written, rows, "p95(render(*)) < 2s", settings={SETTING: rules}) == ([30 * MS, 60 * MS], 0)
    assert measured(written, rows, "max(measure(list)) < 2s") == ([70 * MS], 0)


def test_promises_about_pages_without_a_watched_browser_are_not_measured_and_not_required(written: Write) -> None:
    toml = "[[threshold]]\nexpression = 'p95(load) < 2s'\nrequired_if = 'pages'\n"
    with written([exchange(1, kind=Kind.PAGE)]) as capture:
        (judged,) = judge_samples(Samples.read(capture), (), parse_thresholds(toml, "t"), "c").judged
    assert (judged.verdict, judged.why, judged.absent) == (Verdict.NOT_MEASURED, Why.NOT_RECORDED, Absent.PAGES)
    assert not judged.required


def test_promise_about_a_network_that_no_page_was_loaded_over_is_not_required(written: Write) -> None:
    toml = "[[threshold]]\nexpression = 'p95(load) < 2s'\nprofile = 'wpt-3g-fast'\nrequired_if = 'pages'\n"
    with written([page(1), page(2, profile="wpt-3g")]) as capture:
        (judged,) = judge_samples(Samples.read(capture), (), parse_thresholds(toml, "t"), "c").judged
    assert (judged.verdict, judged.required) == (Verdict.NOT_MEASURED, False)
    assert judged.unmatched is not None
    assert (judged.unmatched.key, judged.unmatched.nearest) == ("profile", "wpt-3g")


def test_promise_about_a_render_that_nobody_measured_names_the_nearest(written: Write) -> None:
    toml = "[[threshold]]\nexpression = 'p95(render(lists)) < 2s'\n"
    with written([page(1), render(1, 1, 30)]) as capture:
        (judged,) = judge_samples(Samples.read(capture), (), parse_thresholds(toml, "t"), "c").judged
    assert judged.unmatched == ("render", ("lists",), "list")


def test_rule_with_a_limit_is_a_promise() -> None:
    toml = "[[render]]\nname = 'my list'\nselector = 'ul'\ncall = '/api'\nlimit = '150ms'\n"
    (found,) = parse_thresholds(toml, "t").thresholds
    assert (found.expression.quantity, found.expression.name, found.required_if) == ("render", "my list", ("pages",))
    assert found.expression.limit == 150 * MS


def test_pages_are_summed_up_by_route_and_rated_by_their_worst(written: Write) -> None:
    rows: list[Row] = [
        page(1, 500, fcp_ns=S + 100 * MS, lcp_ns=S + 4500 * MS, cls=0.2, errors=2),
        page(2, 700, fcp_ns=2 * S + 100 * MS, lcp_ns=2 * S + 5000 * MS, cls=0.02),
        page(3, None, ended_ns=4 * S),
        page(4, 90, route="/list", hidden=True),
    ]
    with written(rows) as capture:
        facts = summarize_pages(capture, read_pages(capture))
    assert facts is not None
    board, hidden = facts.pages
    assert (board.n, board.unloaded, board.errors, board.load_p75_ns, board.load_max_ns) == (
        *(3, 1, 2, 700 * MS),
        700 * MS,
    )
    assert [one.rating for one in (board.fcp, board.lcp, board.cls, board.inp)] == ["good", "poor", "fair", ""]
    assert (board.rating, hidden.hidden, hidden.rating) == ("poor", 1, "")
    text = "\n".join(render_pages(facts, 140))
    assert "LCP poor, CLS fair" in text
    assert "1 page in the background" in text


def test_slowest_load_says_what_it_waited_for(written: Write) -> None:
    rows: list[Row] = [
        page(1, 1000),
        page(2, 300),
        resource(1, 1, 0, 100, initiator="navigation", exchange_id=7),
        resource(2, 1, 120, 900, initiator="fetch", exchange_id=9),
        resource(3, 1, 130, 200),
        resource(4, 1, 300, 2000),
        resource(5, 1, 90, 90),
    ]
    with written(rows) as capture:
        facts = summarize_pages(capture, read_pages(capture))
    assert facts is not None
    (slowest,) = facts.slowest
    assert [(part.what, part.begin_ns // MS, part.length_ns // MS) for part in slowest.parts] == [
        ("/r1", 0, 100), (BROWSER, 100, 20), ("/r2", 120, 780), (BROWSER, 900, 100),
    ]  # fmt: skip
    assert [bar.waited_for for bar in slowest.bars] == [True, False, True, False, False]
    sentence = slowest_sentence(slowest)
    assert "/board took 1.00 s and waited for /r1 100 ms" in sentence
    assert sentence.endswith("(nestperf show FILE 9).")


def test_chain_of_things_that_took_no_time_ends(written: Write) -> None:
    rows: list[Row] = [page(1, 1000), *(resource(number, 1, 50, 50) for number in range(1, 5))]
    with written(rows) as capture:
        facts = summarize_pages(capture, read_pages(capture))
    assert facts is not None
    assert [part.what for part in facts.slowest[0].parts] == [BROWSER]


def test_renders_are_summed_up_by_name(written: Write) -> None:
    rows: list[Row] = [
        page(1), render(1, 1, 30), render(2, 1, 50, items=20), render(3, 1, None, detail="it kept changing"),
    ]  # fmt: skip
    with written(rows) as capture:
        facts = summarize_pages(capture, read_pages(capture))
    assert facts is not None
    (row,) = facts.named
    assert (row.n, row.p50_ns, row.max_ns, row.fewest, row.most, row.restless) == (2, 30 * MS, 50 * MS, 10, 20, 1)
    assert row.reasons == (("it kept changing", 1),)
    text = "\n".join(render_named(facts, 100))
    assert "10 … 20" in text
    assert "list, without an end: it kept changing (1)." in text


def test_capture_without_pages_has_no_facts_of_them(written: Write) -> None:
    with written([exchange(1)]) as capture:
        assert read_pages(capture) == Pages()
        assert summarize_pages(capture, read_pages(capture)) is None
    assert render_pages(None, 100) == render_named(None, 100) == []


@pytest.mark.parametrize(
    ("media_type", "state", "is_shown"),
    [
        ("image/jpeg", "whole", True),
        ("image/png", "whole", True),
        ("image/jpeg", "cut", False),
        ("text/html", "whole", False),
    ],
)
def test_the_slowest_load_comes_with_how_it_looked_where_that_was_kept(
    written: Write, media_type: str, state: str, is_shown: bool
) -> None:
    look = Body(7, "id", media_type, "", False, 4, 4, state, b"\xff\xd8<x")
    rows: list[Row] = [look, page(1, screenshot=7), resource(1, 1, 0, 100)]
    with written(rows) as capture:
        ((_, _, picture),) = waterfalls(summarize_pages(capture, read_pages(capture)))
    assert (picture is not None) is is_shown
    if picture is not None:
        assert f'src="data:{media_type};base64,/9g8eA=="' in picture
