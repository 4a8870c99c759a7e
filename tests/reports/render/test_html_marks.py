"""The page's table of marks and tests: who gave the name, when, and the routes below it."""

from __future__ import annotations

import html
import re

from nestperf.capture.model import HeaderSet, Mark, Row
from reports.render.html.marks import marks
from tests.reports.conftest import MS, exchange
from tests.reports.render.conftest import Reported

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m"


def test_table_of_marks_names_each_with_its_routes(reported: Reported) -> None:
    rows: list[Row] = [
        Mark(None, 5 * MS, None, HOSTILE, "key"),
        HeaderSet(1, '[["X-Nestperf-Test", "signs in"]]'),
        exchange(1, 3, request_headers=1),
        exchange(7, 40, route="/films"),
        exchange(8, 20, route="/<b>"),
    ]
    table = marks(reported(rows).summary, "qa.db")
    assert table is not None
    bodies = re.findall(r"<tr>(.*?)</tr>", str(table), re.DOTALL)[1:]
    assert len(bodies) == 2
    by_hand = next(body for body in bodies if "alert" in body)
    test = next(body for body in bodies if "signs in" in body)
    assert "a test" in test
    assert "<img" not in by_hand
    assert "<b>&lt;img" in by_hand
    assert "\x1b" not in by_hand
    shown = html.unescape(re.sub(r"<[^>]*>", " ", by_hand))
    assert "GET /films · p95 40.0 ms, n 1" in shown
    assert "nestperf show qa.db 7" in shown
    assert "5.00 ms" in shown


def test_without_marks_there_is_no_table(reported: Reported) -> None:
    assert marks(reported([exchange(1)]).summary, "qa.db") is None
