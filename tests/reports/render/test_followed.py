"""Causes with their effects, and returns after abnormal ends, as people read them."""

from __future__ import annotations

import pytest

from reports.render.followed import render_effects, render_returns
from reports.render.text import render_report
from tests.reports.render.conftest import Report


def test_cause_and_effect_are_in_the_report_with_reach_and_times(followed: Report) -> None:
    told = "\n".join(render_effects(followed.summary, 160))
    assert "POST /api/request" in told
    (row,) = [line.split() for line in told.splitlines() if line.strip().startswith("created")]
    assert row[:5] == ["created", "2", "2", "2", "100"]
    assert row[6:] == ["14.0", "ms", "15.0", "ms", "15.0", "ms", "1.00", "ms", "1.00", "ms"]


def test_who_came_back_and_who_did_not_is_in_the_report(followed: Report) -> None:
    told = "\n".join(render_returns(followed.summary, 160))
    (row,) = [line.split() for line in told.splitlines() if line.strip().startswith("socket.io /")]
    assert row[2:] == ["2", "1", "500", "ms", "506", "ms", "506", "ms", "508", "ms", "508", "ms"]
    assert (
        "socket 3 (/socket.io/) was cut after 30.0 s, and its client did not come back: `nestperf show FILE socket:3`."
        in " ".join(told.split())
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_both_fit_the_terminal(followed: Report, width: int) -> None:
    text = render_report(*followed, width)
    assert "From cause to effect" in text
    assert "Returns after abnormal ends" in text
    assert max(map(len, text.splitlines())) <= width


def test_reports_without_them_have_no_such_sections(replay: Report, recording: Report) -> None:
    for report in (replay, recording):
        assert render_effects(report.summary, 120) == []
        assert render_returns(report.summary, 120) == []
