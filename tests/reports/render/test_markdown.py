"""Markdown for pull requests: the verdict and what changed first, the rest folded, nothing of a capture is markup."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from reports.pages import PageFacts, PageRow, Rated
from reports.render.markdown import code, render_markdown, text
from tests.reports.conftest import MS, exchange, exchanges
from tests.reports.render.conftest import Report, Reported
from tests.reports.render.test_text import assert_golden

_OURS = re.compile(r"</?(?:details|summary|code)>|<!-- /?nestperf \w* -->")
LIMIT = 65_536
"""Characters that GitHub takes for a comment."""


def rendered(document: str) -> str:
    """As HTML, by a parser of GitHub's dialect as far as blocks and tables go; markup of ours apart."""
    return _OURS.sub("", MarkdownIt("commonmark").enable("table").render(document))


@pytest.mark.parametrize("name", ["recording", "replay", "broken", "compared"])
def test_render_markdown_is_as_it_was(name: str, request: pytest.FixtureRequest) -> None:
    report: Report = request.getfixturevalue(name)
    document = render_markdown(*report)
    assert_golden(f"{name}.md", document)
    assert len(document) < LIMIT
    page = rendered(document)
    assert not re.findall(r"<(?!/?(?:h2|h3|p|table|thead|tbody|tr|th|td|ul|li|strong|blockquote)\b)", page)


def test_markdown_says_the_verdict_then_what_changed_then_the_promises(compared: Report) -> None:
    document = render_markdown(*compared)
    order = [
        document.index(piece)
        for piece in ("## nestperf: FAIL", "### What changed", "### Promises", "<summary>1 other route")
    ]
    assert order[0] == min(order)
    assert order[1] < order[2]
    changed = document[order[1] : order[2]]
    assert "| **regression** | <code>POST /api/v1/auth/plex/verify</code> |" in changed
    assert document.index("| **fail** |") < document.index("| pass ")


def test_markdown_of_a_judgement_alone_has_no_tables_of_facts(replay: Report) -> None:
    document = render_markdown(replay.judgement)
    assert "### Promises" in document
    assert "routes</summary>" not in document


HOSTILE = (
    "/<img src=x onerror=alert(1)>|`code`|**bold**|[link](http://evil.test)|![i](//evil.test/i.png)|@octocat|#1|www.evil.test"
    "|</code></details><!-- x -->|$x$|:smile:|~~s~~|\\|\x1b[31m\n# head\r\n|&lt;b&gt;|me@evil.test|\u202e"
)


@pytest.mark.parametrize("shown", [text, code])
def test_hostile_text_is_shown_and_is_no_markup(shown: object) -> None:
    assert callable(shown)
    page = rendered(f"| a | b |\n| --- | --- |\n| {shown(HOSTILE, 2000)} | kept |")
    cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    assert len(cells) == 2
    assert cells[1] == "kept"
    assert "<" not in cells[0]
    plain = html.unescape(cells[0]).replace("\u2060", "")
    assert plain.startswith("/<img src=x onerror=alert(1)>|`code`|**bold**|[link](http://evil.test)|")
    assert plain.endswith("\\e[31m\\n# head\\r\\n|&lt;b&gt;|me@evil.test|\\u202e")


def test_hostile_capture_makes_a_page_of_our_elements_only(reported: Reported) -> None:
    rows = [exchange(number, 900, route=HOSTILE, sent_ns=number * MS) for number in range(1, 60)]
    rows.append(exchange(99, 999, route=HOSTILE + "x" * 1_000_000))
    rows += [exchange(100 + number, 1, route=f"/{number}{HOSTILE}") for number in range(200)]
    report = reported(rows, "[[threshold]]\nname = '''<b>|@x'''\nexpression = 'p95(latency) < 5ms'\n")
    document = render_markdown(replace(report.judgement, capture_name=HOSTILE, origin=HOSTILE), report.summary)
    assert len(document) < LIMIT
    page = rendered(document)
    assert not re.findall(r"<(?!/?(?:h2|h3|p|table|thead|tbody|tr|th|td|ul|li|strong|blockquote)\b)", page)
    assert not re.search(r"@\w|www\.|://", re.sub(r"<code>.*?</code>", "", document))


def test_mentions_stay_no_mentions_in_sentences() -> None:
    assert html.unescape(text("ask @octocat about #7")) == "ask @\u2060octocat about #\u20607"


def test_tables_leave_empty_columns_out(reported: Reported) -> None:
    document = render_markdown(*reported(exchanges([1] * 30), "[[threshold]]\nexpression = 'rate(failed) < 1%'\n"))
    (head,) = re.findall(r"^\|  \| route .*$", document, re.MULTILINE)
    assert head == "|  | route | n | p50 | p95 | max |"


def test_markdown_has_the_pages_that_a_browser_saw(recording: Report) -> None:
    never = Rated(0, None, "")
    late, times = Rated(3, 5_000 * MS, "poor"), (5 * MS, 6 * MS, 7 * MS)
    row = PageRow("load", "/board|x", "", "", 3, 0, 0, 0, 1, *times, never, late, never, never, "poor")
    facts = PageFacts(pages=(row,), named=(), slowest=(), impossible=())
    document = render_markdown(recording.judgement, replace(recording.summary, pages=facts))
    assert "| loads | <code>/board&#124;x</code> | 3 | 6.00 ms | 7.00 ms | 5.00 s | LCP poor | 1 |" in document
