"""Line prefixes of PostgreSQL's log: told ones read exactly, others guessed, and no line ever breaks it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.postgres_log.prefix import Line, Prefix
from nestperf.errors import UsageError

TIME = "2026-11-29 14:25:14.123 UTC"
MESSAGE = "LOG:  duration: 1.000 ms  statement: select 'LOG:  x'"


def read(line: str, prefix: str | None = None) -> Line:
    found = Prefix(prefix).read(line)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("before", "session", "database", "application"),
    [
        (f"{TIME} [4711] ", "4711", "", ""),
        (f"{TIME} [4711] ann@shop ", "4711", "shop", ""),
        ("2026-11-29 14:25:14 CET [4711]: [3-1] user=ann,db=shop,app=web ui,client=::1 ", "4711", "shop", "web ui"),
        ("2026-11-29 14:25:14 UTC:10.0.0.7(5123):ann@shop:[4711]:", "4711", "shop", ""),
        ("1795962758.123 [4711] ", "4711", "", ""),
        ("[4711] db=shop app=cron 2026-11-29 14:25:14.123 +03 ", "4711", "shop", "cron"),
    ],
)
def test_common_prefixes_are_guessed(before: str, session: str, database: str, application: str) -> None:
    line = read(before + MESSAGE)
    assert (line.session, line.database, line.application) == (session, database, application)
    assert line.time
    assert line.severity == "LOG"
    assert line.message == "duration: 1.000 ms  statement: select 'LOG:  x'"


def test_told_prefix_is_read_exactly() -> None:
    line = read(f"{TIME}|ann|shop|my app|4711|00000|{MESSAGE}", "%m|%u|%d|%a|%p|%e|")
    assert line == Line(TIME, "4711", "shop", "my app", "LOG", "00000", line.message)


def test_what_follows_q_is_missing_where_there_is_no_session() -> None:
    prefix = "%m [%p] %q%u@%d "
    assert read(f"{TIME} [1] LOG:  checkpoint starting", prefix).database == ""
    assert read(f"{TIME} [1] ann@shop LOG:  x", prefix).database == "shop"


def test_prefix_without_a_time_is_refused_with_an_example() -> None:
    with pytest.raises(UsageError, match=r"no time stamp: log with one, e\.g\. log_line_prefix = '%m"):
        Prefix("[%p] ")


@pytest.mark.parametrize("line", ["\tfrom users", "  and more", "", "garbage: LOG:  x"])
def test_other_lines_go_on_with_the_message_before(line: str) -> None:
    assert Prefix().read(line) is None


@given(st.text(alphabet="LOG: 0123-[]@=%dbuserapp,\t") | st.text())
def test_any_line_is_read_or_not(line: str) -> None:
    for prefix in (None, "%m [%p] %q%u@%d "):
        found = Prefix(prefix).read(line)
        assert found is None or line.endswith(found.message)
