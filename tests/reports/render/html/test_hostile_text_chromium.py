"""Text that strangers wrote, wherever a capture holds some: it never runs, breaks nothing, and stays short."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nestperf.capture.model import Client, Kind, Outcome, Row, Statement, Upstream
from tests.reports.conftest import MS, S, exchange, packet, query, session, socket
from tests.reports.render.html.conftest import Capture, Open, Opened, render, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.peer("chromium")

RUNS = "window.canary=(window.canary||0)+1"
HOSTILE = (
    f"<script>{RUNS}</script>",
    f"</script><script>{RUNS}</script>",
    f"<!--<script>{RUNS}</script>",
    f'"><img src=x onerror="{RUNS}">',
    f"'><svg onload='{RUNS}'>",
    f"</title></style></textarea><img src=x onerror={RUNS}>",
    f'<a href="javascript:{RUNS}">press</a>',
    f"<b onmouseover={RUNS}>bold</b>",
    "%{x} %{customdata} {{7*7}} ${7*7}",
    "\x1b[2J\x1b]0;title\x07\u202etxt.exe\u2028\u2029\x00",
    "&lt;b&gt;&#60;script&#62;",
    "@red",
)
LONG = "<i>" + "A" * 1_000_000


def hostile_rows() -> list[Row]:
    """Every field that holds captured text holds each of them."""
    rows: list[Row] = []
    for place, text in enumerate((*HOSTILE, LONG)):
        rows.append(Client(place + 1, text, text, text))
        rows.append(
            session(place + 1, label=text, identity=text, client_id=place + 1, intended_ns=0, started_ns=0,
                    ended_ns=(40 + place) * S, source_session=1)
        )  # fmt: skip
        for turn in range(24):
            number = place * 100 + turn + 1
            failed = turn % 8 == 7
            rows.append(
                exchange(
                    number, 10 + turn, sent_ns=(turn * 50 + place * 3) * MS, intended_ns=turn * 50 * MS,
                    route=f"/{text}", target=f"/{text}?{text}", method=text[:20] if turn % 2 else "GET",
                    authority=text, reason=text,
                    kind=Kind.PAGE if turn == 5 else Kind.CALL, session_id=place + 1, client_id=place + 1,
                    outcome=Outcome.MISMATCH if failed else Outcome.OK, detail=text,
                )
            )  # fmt: skip
        rows.append(
            socket(place + 1, session_id=place + 1, client_id=place + 1, target=f"/{text}", protocol=text[:80],
                   close_reason=text, detail=text, closed_ns=20 * S, sid=text,
                   closed_by="cut" if place % 2 else "server")
        )  # fmt: skip
        rows.append(packet(place * 10 + 1, place + 1, 50, type="connect", event=None, namespace=text))
        rows.append(packet(place * 10 + 2, place + 1, 900, event=text, namespace=text, payload=f'["{place}"]'))
        rows.append(packet(place * 10 + 3, place + 1, 950, event=text, namespace=text, sender="client", ack_id=1))
        rows.append(packet(place * 10 + 4, place + 1, 5000, event=HOSTILE[0], namespace=text, payload="[]"))
        rows.append(Statement(place + 1, text, f"f{place}"))
        rows += [query(place * 10 + turn + 1, 20 + turn, 2, statement_id=place + 1, database=text) for turn in range(6)]
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def capture(folder: Path) -> Capture:
    bad = HOSTILE[1] + HOSTILE[3]
    return write(
        folder / "hostile.db", hostile_rows(), purpose="replay", vantage="client", state=bad[:60], uid=bad, version=bad,
        source_path=bad, source_uid="nobody", upstreams=tuple(Upstream(f"http://{text}") for text in HOSTILE),
        settings={"users": 13, bad: bad}, losses={bad: 3}, invalid=(bad, LONG), certificate={"given_up": bad,
        "limit": bad, "source_addresses": bad, "visits": {bad: 3}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(folder: Path, capture: Capture, open_page: Open) -> Opened:
    name = HOSTILE[3].replace("\\", "").replace('"', '\\"')
    promises = "".join(
        f'[[threshold]]\nname = "{title}"\nexpression = "{expression}"\nsource = "{name}"\nnote = "{name}"\n\n'
        for title, expression in ((name, "p95(latency) < 1ms"), ("b" + name, "rate(failed) < 1%"),
                                  ("c" + name, "max(query_time) < 1ms"), ("d" + name, "max(latency) < 500m"))
    ) + f'[[unchecked]]\nname = "{name}"\nreason = "{name}"\n'  # fmt: skip
    path = render(folder, capture.path, promises=promises)
    assert path.stat().st_size < 8_000_000
    return open_page(path)


def test_nothing_of_it_runs(page: Opened) -> None:
    page.open_all()
    for figure in ("latency-over-time", "events", "connections", "waterfall-0"):
        place = page.page.locator(f"#{figure}")
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        assert box is not None
        for step in range(8):
            page.page.mouse.move(box["x"] + box["width"] * (step + 1) / 9, box["y"] + box["height"] * 0.5)
    assert page.page.evaluate("window.canary") is None
    assert page.wrong == []


def test_it_makes_no_element_of_its_own(page: Opened) -> None:
    assert page.count("main img, main a[href^='javascript'], main b[onmouseover], main iframe, main object") == 0
    assert page.count("[onerror], [onload], [onmouseover]") == 0
    scripts = page.page.evaluate("[...document.scripts].map(script => script.type || 'runs')")
    assert scripts.count("runs") == 2
    assert set(scripts) == {"runs", "application/json"}


def test_it_is_there_to_be_read_as_it_was_written(page: Opened) -> None:
    text = page.page.locator("#routes").inner_text()
    for hostile in HOSTILE[:8]:
        assert f"/{hostile}" in text, hostile
    assert "/&lt;b&gt;&#60;script&#62;" in text
    assert "\\e[2J" in text


def test_figures_write_it_as_text_too(page: Opened) -> None:
    labels = page.page.locator("#events .ytick text").all_text_contents()
    assert any("<script>" in label for label in labels)
    assert page.count("#events .ytick text a") == 0


def test_controls_and_directions_do_not_reach_the_page(page: Opened) -> None:
    text = page.page.evaluate("document.documentElement.outerHTML.replaceAll(/<script>[^]*?<\\/script>/g, '')")
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2028\u2029]", text)


def test_a_megabyte_in_one_line_is_shortened(page: Opened) -> None:
    longest = page.page.evaluate(
        "Math.max(...[...document.querySelectorAll('main *')].filter(one => !one.children.length && one.tagName !== "
        "'SCRIPT').map(one => one.textContent.length))"
    )
    assert longest < 2_000
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_colour_s_name_in_captured_text_stays_text(page: Opened) -> None:
    assert "/@red" in page.page.locator("#routes").inner_text()


WALLS = (
    "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.second = 1' }))",
    "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.second = 1\">')",
    "document.body.insertAdjacentHTML('beforeend', '<button id=t onclick=\"window.second = 1\">'); t.click()",
)


def test_what_got_in_all_the_same_would_not_run(folder: Path, page: Opened, chromium: Browser) -> None:
    context = chromium.new_context()
    other = context.new_page()
    refused: list[str] = []
    other.on("console", lambda said: refused.append(said.text))
    other.goto((folder / "hostile.html").as_uri(), timeout=120_000)
    for place, wall in enumerate(WALLS, 1):
        other.evaluate(wall)
        for _ in range(600):
            if sum("Content Security Policy" in text for text in refused) >= place:
                break
            other.wait_for_timeout(50)
    assert len(refused) >= len(WALLS)
    assert other.evaluate("window.second") is None
    context.close()
