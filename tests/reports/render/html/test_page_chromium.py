"""Every picture of a page in a real Chromium, held against the rows of the capture."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from nestperf.capture.model import FAILED, Client, Exchange, Kind, Outcome, Packet, Query, Row, Session, Socket
from nestperf.capture.reader import Capture as Reader
from nestperf.console import duration
from nestperf.percentiles import nearest_rank
from reports.pages import read_pages, summarize_pages
from tests.reports.conftest import MS, S, exchange
from tests.reports.render.html.conftest import (
    USERS,
    Capture,
    Open,
    Opened,
    due,
    recording_rows,
    render,
    service,
    took,
    write,
    write_replay,
)

pytestmark = pytest.mark.peer("chromium")

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def recording(folder: Path) -> Capture:
    return write(folder / "recording.db", recording_rows(), upstreams=())


@pytest.fixture(scope="module")
def replay(folder: Path, recording: Capture) -> Capture:
    return write_replay(folder)


@pytest.fixture(scope="module")
def page(folder: Path, replay: Capture, open_page: Open) -> Opened:
    return open_page(render(folder, replay.path))


def answered(capture: Capture, kind: str) -> list[Exchange]:
    return [e for e in capture.of(Exchange) if e.kind == kind and e.outcome in (Outcome.OK, Outcome.REFUSED)]


def test_every_answer_is_a_point_at_its_time_and_height(page: Opened, replay: Capture) -> None:
    for kind in ("call", "page"):
        trace = page.trace("latency-over-time", f"{kind}s")
        points = {id_: (x, y) for id_, x, y in zip(trace["customdata"], trace["x"], trace["y"], strict=True)}
        assert points == {
            e.id: (pytest.approx(due(e) / S), pytest.approx(took(e) / MS)) for e in answered(replay, kind)
        }


def test_as_many_points_are_drawn_as_there_are_exchanges(page: Opened, replay: Capture) -> None:
    timed = [e for e in replay.of(Exchange) if e.kind in (Kind.CALL, Kind.PAGE)]
    assert page.count("#latency-over-time .xy .scatterlayer .points path.point") == len(timed)
    assert f"Every one of {len(timed)} exchanges has its point." in page.texts("#time .note")


def test_every_failure_is_a_cross_and_a_count(page: Opened, replay: Capture) -> None:
    failed = [e for e in replay.of(Exchange) if e.outcome in FAILED]
    crosses = [trace for trace in page.traces("latency-over-time") if trace.get("marker", {}).get("symbol") == "x"]
    assert sorted(id_ for trace in crosses for id_ in trace["customdata"]) == sorted(e.id for e in failed)
    assert {trace["name"] for trace in crosses} == {"http error", "timeout"}
    assert sum(page.trace("latency-over-time", "failed")["y"]) == len(failed)


def test_percentile_lines_are_of_the_calls_of_each_stretch(page: Opened, replay: Capture) -> None:
    line = page.trace("latency-over-time", "response p95")
    calls = answered(replay, "call")
    width = line["x"][1] - line["x"][0]
    drawn = {place: value for place, value in enumerate(line["y"]) if value is not None}
    first = line["x"][0] - width / 2
    stretches: dict[int, list[int]] = {}
    for e in calls:
        place = min(int((due(e) / S - first) / width + 1e-9), len(line["x"]) - 1)
        stretches.setdefault(place, []).append(took(e))
    assert drawn == {
        place: pytest.approx(nearest_rank(sorted(took), Fraction(95, 100)) / MS) for place, took in stretches.items()
    }


def test_users_under_it_are_the_sessions(page: Opened, replay: Capture) -> None:
    trace = page.trace("latency-over-time", "users")
    changes: Counter[int] = Counter()
    for s in replay.of(Session):
        changes[s.started_ns] += 1
        changes[s.ended_ns] -= 1
    there, expected = 0, []
    for moment in sorted(changes):
        there += changes[moment]
        expected.append((pytest.approx(moment / S), there))
    assert list(zip(trace["x"], trace["y"], strict=True)) == expected


def test_curves_are_nearest_ranks_and_end_where_failures_begin(page: Opened, replay: Capture) -> None:
    calls = [e for e in replay.of(Exchange) if e.kind is Kind.CALL]
    ordered = sorted(took(e) for e in answered(replay, "call"))
    (curve,) = (t for t in page.traces("percentiles") if t["name"] == f"Calls answer ({len(calls)})")
    assert len(curve["x"]) == len(ordered)
    for place, (share, value) in enumerate(zip(curve["customdata"], curve["y"], strict=True), 1):
        assert share == pytest.approx(100 * place / len(calls), abs=1e-3)
        assert value == pytest.approx(ordered[place - 1] / MS)
    assert curve["customdata"][-1] < 100


@pytest.mark.parametrize(("name", "share", "limit_ms"), [("Calls answer", 0.95, 200), ("Search is quick", 0.90, 30),
                                                         ("Never over 2 s", 1.0, 2000)])  # fmt: skip
def test_limits_are_drawn_where_they_have_to_be_kept(page: Opened, name: str, share: float, limit_ms: int) -> None:
    line = page.trace("percentiles", f"limit: {name}")
    assert line["y"] == [limit_ms, limit_ms]
    if share < 1:
        assert line["x"] == [0, pytest.approx(-math.log10(1 - share), abs=1e-6)]
    drawn = page.page.evaluate(
        """([id, name]) => {
          const place = document.getElementById(id);
          const axis = place._fullLayout.yaxis;
          const index = place.data.findIndex((trace) => trace.name === name);
          const uid = place._fullData[index].uid;
          const path = place.querySelector(`.trace${uid} path.js-line`);
          const box = path.getBoundingClientRect();
          return [box.top - place.getBoundingClientRect().top, axis._offset + axis.d2p(place.data[index].y[0])];
        }""",
        ["percentiles", f"limit: {name}"],
    )
    assert drawn[0] == pytest.approx(drawn[1], abs=2)


def test_the_measured_value_stands_at_its_percentile_with_its_interval(page: Opened, replay: Capture) -> None:
    searches = [e for e in replay.of(Exchange) if e.route == "/api/search"]
    ordered = sorted(took(e) for e in searches if e.outcome is Outcome.OK)
    measured = page.trace("percentiles", "measured: Search is quick")
    assert measured["y"] == [pytest.approx(ordered[math.ceil(0.9 * len(searches)) - 1] / MS)]
    assert measured["error_y"]["arrayminus"][0] > 0


def test_routes_are_those_of_the_capture(page: Opened, replay: Capture) -> None:
    shown = page.texts("#routes tbody tr td:first-child summary, #routes tbody tr td:first-child > b")
    wanted = {f"{e.method} {e.route}" for e in replay.of(Exchange)}
    assert {text.strip() for text in shown} == wanted


def test_routes_are_sorted_by_a_click_and_turned_by_the_next(page: Opened) -> None:
    button = page.page.locator("#routes thead th", has_text="max").locator("button")

    def values() -> list[float]:
        cells: list[str | None] = page.page.evaluate(
            "[...document.querySelectorAll('#routes tbody tr')].map(row => row.cells["
            "[...document.querySelectorAll('#routes thead th')].findIndex(th => th.innerText.startsWith('max'))]"
            ".dataset.value ?? null)"
        )
        return [float(cell) for cell in cells if cell is not None]

    button.click()
    assert values() == sorted(values(), reverse=True)
    assert page.page.locator("#routes th[aria-sort=descending]").count() == 1
    button.click()
    assert values() == sorted(values())
    assert len(set(values())) > 1


def test_routes_are_searched(page: Opened) -> None:
    field = page.page.locator("input.search[data-for=routes]")
    field.fill("search GET")
    shown = page.page.locator("#routes tbody tr:visible")
    assert shown.count() == 1
    assert "/api/search" in shown.inner_text()
    field.fill("nowhere")
    assert shown.count() == 0
    field.fill("")
    assert shown.count() == 3


def test_the_slowest_exchanges_of_a_route_come_with_their_command(page: Opened, replay: Capture) -> None:
    searches = [e for e in answered(replay, "call") if e.route == "/api/search"]
    slowest = sorted(searches, key=lambda e: -took(e))[:3]
    row = page.page.locator("#routes tbody tr", has_text="/api/search")
    row.locator("summary").click()
    commands = row.locator(".command code").all_inner_texts()
    assert commands[:3] == [f"nestperf show {replay.path} {e.id}" for e in slowest]
    failed = sorted((e for e in replay.of(Exchange) if e.outcome is Outcome.HTTP_ERROR), key=lambda e: e.sent_ns)
    assert commands[3:] == [f"nestperf show {replay.path} {e.id}" for e in failed[:3]]


def of_session(capture: Capture, number: int) -> list[Exchange]:
    return [e for e in capture.of(Exchange) if e.session_id == number]


def shown_session(page: Opened, figure: str = "waterfall-0") -> int:
    label = page.page.locator(f"#{figure}").get_attribute("aria-label") or ""
    return int(label.split("session:")[1].split(":")[0])


def test_a_waterfall_has_a_bar_for_every_request_of_the_visit(page: Opened, replay: Capture) -> None:
    number = shown_session(page)
    assert number == USERS  # the slowest
    exchanges = of_session(replay, number)
    begin = min(due(e) for e in exchanges)
    trace = page.trace("waterfall-0", "requests")
    assert {(ref, b, length) for ref, b, length in trace["customdata"]} == {
        (str(e.id), due(e) - begin, (e.done_ns or e.sent_ns) - due(e)) for e in exchanges
    }
    index = [t["name"] for t in page.traces("waterfall-0")].index("requests")
    drawn = page.page.evaluate(
        "index => document.querySelectorAll(`#waterfall-0 .trace.bars`).length && "
        "[...document.querySelectorAll('#waterfall-0 .trace.bars')]"
        ".map(trace => trace.querySelectorAll('.point').length)[index]",
        index,
    )
    assert drawn == len(exchanges)


def test_the_stretches_of_a_request_fill_it(page: Opened, replay: Capture) -> None:
    exchanges = {str(e.id): e for e in of_session(replay, shown_session(page)) if e.done_ns is not None}
    filled: Counter[str] = Counter()
    for trace in page.traces("waterfall-0"):
        if trace["name"] in ("before sending", "connect", "send", "wait", "transfer"):
            for ref, _, length in trace["customdata"]:
                filled[ref] += length
    for ref, e in exchanges.items():
        assert filled[ref] == took(e)


def test_the_recorded_visit_lies_beside_the_replayed_one(page: Opened, recording: Capture, replay: Capture) -> None:
    recorded = page.trace("waterfall-0", "as recorded")
    assert {ref for ref, _, _ in recorded["customdata"]} == {str(e.id) for e in recording.of(Exchange)}
    played = page.trace("waterfall-0", "requests")
    sources = {str(e.id): e.source_exchange for e in replay.of(Exchange)}
    row_of_step = {sources[ref]: y for (ref, _, _), y in zip(played["customdata"], played["y"], strict=True)}
    for (ref, _, _), y in zip(recorded["customdata"], recorded["y"], strict=True):
        assert row_of_step[int(ref)] == y


def test_time_goes_only_forward_on_the_folded_axis(page: Opened) -> None:
    trace = page.trace("waterfall-0", "requests")
    bars = sorted((begin, base) for (_, begin, _), base in zip(trace["customdata"], trace["base"], strict=True))
    assert [base for _, base in bars] == sorted(base for _, base in bars)
    pauses = page.page.evaluate("document.getElementById('waterfall-0').layout.shapes.length")
    assert pauses >= 5  # the user thinks 900 ms between steps
    assert max(base for _, base in bars) < 3  # of nearly six seconds


def test_queries_lie_in_the_request_that_asked_for_them(folder: Path, recording: Capture, open_page: Open) -> None:
    opened = open_page(render(folder, recording.path))
    queries = opened.trace("waterfall-0", "queries")
    assert {(ref, begin, length) for ref, begin, length in queries["customdata"]} == {
        (f"query:{q.id}", q.sent_ns, q.done_ns - q.sent_ns) for q in recording.of(Query)
    }
    requests = opened.trace("waterfall-0", "requests")
    row_of = {ref: y for (ref, _, _), y in zip(requests["customdata"], requests["y"], strict=True)}
    assert queries["y"] == [row_of["2"], row_of["2"], row_of["4"]]


def test_sockets_and_their_packets_are_on_the_same_axis(page: Opened, replay: Capture) -> None:
    number = shown_session(page)
    begin = min(due(e) for e in of_session(replay, number))
    sockets = {s.id: s for s in replay.of(Socket) if s.session_id == number}
    lanes = page.trace("waterfall-0", "socket open")
    assert {(ref, b, length) for ref, b, length in lanes["customdata"]} == {
        (f"socket:{s.id}", s.opened_ns - begin, s.closed_ns - s.opened_ns) for s in sockets.values()
    }
    for name, sender in (("from server", "server"), ("to server", "client")):
        stamps = sorted(page.trace("waterfall-0", name)["customdata"])
        assert stamps == sorted(
            p.stamp_ns - begin for p in replay.of(Packet) if p.socket_id in sockets and p.sender == sender
        )


def test_events_are_counted_on_their_rows(page: Opened, replay: Capture) -> None:
    drawn = Counter[str]()
    labels = page.page.evaluate("document.getElementById('events').layout.yaxis.ticktext")
    for trace in page.traces("events"):
        for y, n in zip(trace["y"], trace["customdata"], strict=True):
            drawn[labels[y].split(" ")[0]] += n
    assert drawn == Counter(p.event for p in replay.of(Packet) if p.type == "event")


def test_broadcasts_show_their_spread_and_whom_they_missed(page: Opened) -> None:
    (short,) = page.traces("fan-out")
    assert short["name"] == "did not reach everybody"
    assert short["y"] == [pytest.approx(12)]
    assert short["text"] == ["news: 4 of 5"]


def test_connections_are_the_sockets_with_what_was_lost_and_came_again(page: Opened, replay: Capture) -> None:
    bars = page.trace("connections", "open")
    assert set(bars["customdata"]) == {f"socket:{s.id}" for s in replay.of(Socket)}
    assert page.count("#connections .trace.bars .point") == len(replay.of(Socket))
    lost = page.trace("connections", "lost")
    assert lost["x"] == [pytest.approx((2 * 1_100 * MS + 3 * S) / S)]
    assert "7 sockets, 1 lost, 1 reconnect." in page.texts("#sockets .note")


def test_load_levels_are_medians_of_what_was_under_way(page: Opened, replay: Capture) -> None:
    work: list[Exchange] = [e for e in replay.of(Exchange) if e.kind in (Kind.CALL, Kind.PAGE)]

    def under_way(at: int) -> int:
        begun = sum(e.sent_ns <= at for e in work)
        ended = sum(e.done_ns is not None and e.done_ns <= at for e in work)
        return max(1, begun - ended)

    ok = [e for e in work if e.route == "/api/search" and e.outcome is Outcome.OK]
    loads = {e.id: under_way(e.sent_ns) for e in ok}
    (trace,) = page.traces("latency-under-load")
    assert sum(trace["customdata"]) == len(ok)
    for x, y, n in zip(trace["x"], trace["y"], trace["customdata"], strict=True):
        same = sorted(service(e) for e in ok if loads[e.id] == x)
        if len(same) == n:
            assert y == pytest.approx(same[math.ceil(n / 2) - 1] / MS)
    assert page.count("#load tbody tr") == 1


def test_the_verdict_comes_first_and_says_what_is_broken(page: Opened, replay: Capture) -> None:
    assert page.page.locator("main > *").first.get_attribute("id") == "verdict"
    assert page.page.locator("h1").inner_text() == "FAIL"
    assert "Search is quick" in page.page.locator(".verdict .lead").inner_text()
    opened = page.page.locator("#promises tr", has_text="Search is quick").locator("details[open]")
    assert f"nestperf show {replay.path}" in opened.inner_text()


def test_promises_show_limit_measured_and_samples(page: Opened, replay: Capture) -> None:
    searches = [e for e in replay.of(Exchange) if e.route == "/api/search"]
    cells = page.page.locator("#promises tbody tr", has_text="Search is quick").locator("> td").all_inner_texts()
    assert cells[0].split() == ["✕", "fail"]
    assert cells[2] == "< 30 ms"
    ordered = sorted(took(e) for e in searches if e.outcome is Outcome.OK)
    assert cells[3] == duration(ordered[math.ceil(0.9 * len(searches)) - 1])
    assert cells[-1] == str(len(searches))
    assert page.count("#promises svg.gauge") >= 2


def test_what_was_not_measured_says_how_to_get_it(page: Opened) -> None:
    text = page.page.locator("#not-measured").inner_text()
    assert "99.9 % uptime" in text
    assert "a capture is minutes long" in text


def test_the_certificate_is_there(page: Opened) -> None:
    text = page.page.locator("#certificate").inner_text()
    assert "50 planned, 48 sent, 2 dropped" in text


def test_a_section_without_anything_says_what_would_fill_it(page: Opened) -> None:
    assert "--baseline" in page.page.locator("#baseline .empty").inner_text()


def test_a_baseline_is_drawn_over_the_curve_and_route_by_route(folder: Path, replay: Capture, open_page: Open) -> None:
    old = write_replay(folder, "old.db", uid="c3")
    opened = open_page(render(folder, replay.path, "--baseline", str(old.path)))
    calls = [e for e in replay.of(Exchange) if e.kind is Kind.CALL]
    new = next(t for t in opened.traces("percentiles") if t["name"] == f"Calls answer ({len(calls)})")
    baseline = next(t for t in opened.traces("percentiles") if t["name"] == f"Calls answer, baseline ({len(calls)})")
    assert baseline["line"]["dash"] == "dot"
    assert (baseline["x"], baseline["y"]) == (new["x"], new["y"])
    (changes,) = opened.traces("changes")
    assert changes["x"] == [pytest.approx(1.0)]
    assert opened.count("#changed tbody tr") == 3


def test_the_theme_follows_the_system_and_the_button(folder: Path, replay: Capture, open_page: Open) -> None:
    path = folder / "replay.html"
    if not path.exists():
        render(folder, replay.path)
    opened = open_page(path, color_scheme="dark")
    look = (
        "() => [getComputedStyle(document.body).backgroundColor, document.getElementById('events').layout.font.color]"
    )
    dark = opened.page.evaluate(look)
    assert sum(int(part) for part in dark[0].strip("rgb()").split(",")) < 200
    opened.page.click("#theme")
    light = opened.page.evaluate(look)
    assert sum(int(part) for part in light[0].strip("rgb()").split(",")) > 600
    assert dark[1] != light[1]
    opened.page.click("#theme")
    assert opened.page.evaluate(look) == dark


def test_a_phone_never_scrolls_sideways(folder: Path, replay: Capture, open_page: Open) -> None:
    path = folder / "replay.html"
    if not path.exists():
        render(folder, replay.path)
    opened = open_page(path, width=360)
    opened.open_all()
    wide = opened.page.evaluate(
        "[document.documentElement.scrollWidth, "
        "...[...document.querySelectorAll('section, .verdict, .tile, figure, .plot svg')]"
        ".map(one => Math.round(one.getBoundingClientRect().right))]"
    )
    assert max(wide) <= 360
    cut = opened.page.evaluate(
        "[...document.querySelectorAll('.plot')].filter(place => place.querySelector('.main-svg')"
        ".getBoundingClientRect().bottom > place.getBoundingClientRect().bottom + 1).map(place => place.id)"
    )
    assert cut == []
    widths = opened.page.evaluate("[...document.querySelectorAll('.plot')].map(place => place._fullLayout._size.w)")
    assert min(widths) > 120


def test_on_paper_everything_is_open_drawn_and_light(folder: Path, replay: Capture, open_page: Open) -> None:
    path = folder / "replay.html"
    if not path.exists():
        render(folder, replay.path)
    opened = open_page(path, color_scheme="dark")
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.count("details:not([open])") == 0
    assert opened.count(".plot:not([data-drawn])") == 0
    assert opened.page.evaluate("document.documentElement.dataset.theme") == "light"
    opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.count("details:not([open])") > 0
    assert opened.page.pdf(format="A4")[:5] == b"%PDF-"


def test_a_watched_load_is_drawn_with_what_it_asked_for(folder: Path, open_page: Open) -> None:
    path = SAMPLES / "capture-format-7.db"
    with Reader.open(path) as capture:
        facts = summarize_pages(capture, read_pages(capture))
    assert facts is not None
    opened = open_page(render(folder, path))
    assert opened.count("#pages tbody tr") == len(facts.pages)
    slowest = next(page for page in facts.slowest if page.bars)
    bodies = opened.trace("page-0", "to its first byte")
    assert [(y, base, x) for y, base, x in zip(bodies["y"], bodies["base"], bodies["x"], strict=True)] == [
        (
            place,
            pytest.approx(bar.begin_ns / S, abs=1e-6),
            pytest.approx(((bar.first_byte_ns or bar.end_ns) - bar.begin_ns) / S, abs=1e-6),
        )
        for place, bar in enumerate(slowest.bars)
    ]
    assert opened.trace("page-0", "the load waited for it")["y"] == [
        place for place, bar in enumerate(slowest.bars) if bar.waited_for
    ]
    (loaded,) = (trace for trace in opened.traces("page-0") if trace["name"].startswith("loaded"))
    assert loaded["x"] == [pytest.approx(slowest.load_ns / S, abs=1e-6)] * 2
    with Reader.open(path) as capture:
        pages = [page for page in capture.pages() if page.client_id == 1]
        begin = min(e.sent_ns for e in capture.exchanges() if e.client_id == 1)
    loads = opened.trace("waterfall-0", "page loads")
    assert pages
    assert {(ref, b, length) for ref, b, length in loads["customdata"]} == {
        (f"page {p.id}", p.started_ns - begin, (p.load_ns or p.ended_ns or p.started_ns) - p.started_ns) for p in pages
    }


def test_labels_have_room_beside_a_waterfall(folder: Path, open_page: Open) -> None:
    target = "/api/stream?n=5&access_token=nps_9bdfd8_364_and_more"
    asked = [exchange(n, 20, client_id=1, target=target, method=m) for n, m in enumerate(("GET", "OPTIONS"), 1)]
    rows: list[Row] = [Client(1, "127.0.0.1", "Firefox/1", ""), *asked]
    opened = open_page(render(folder, write(folder / "long.db", rows, upstreams=()).path))
    left = opened.page.evaluate(
        "[...document.querySelectorAll('#waterfall-0 .ytick text')].map(text => text.getBoundingClientRect().left"
        " - document.getElementById('waterfall-0').getBoundingClientRect().left)"
    )
    assert len(left) == 2
    assert min(left) >= 0
