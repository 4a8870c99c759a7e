"""What the page says of the run itself."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from nestperf.cli import run as nestperf
from tests.reports.conftest import Write, exchange, query


def text_of(written: Write, folder: Path, **run: Any) -> str:
    path = written([exchange(1, 30), query(1, 5)], **run).path
    nestperf(["report", str(path), "--html", str(folder / "page.html")])
    body = re.sub(r"<(script|style).*?</\1>", "", (folder / "page.html").read_text(), flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", " ", body))


@pytest.mark.parametrize(
    ("vantage", "told"),
    [("proxy", "by the recorder, between"), ("client", "by the client"), ("server", "by the database, for its log")],
)
def test_page_says_who_took_the_stamps(vantage: str, told: str, written: Write, tmp_path: Path) -> None:
    assert told in text_of(written, tmp_path, vantage=vantage)


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ({"purpose": "record"}, "Recording run.db"),
        ({"purpose": "measure"}, "Measurement run.db"),
        ({"purpose": "check", "settings": {"contract": {"name": "20 at once"}}}, "Check “20 at once” run.db"),
    ],
)
def test_page_says_what_kind_of_run_it_was(run: dict[str, Any], told: str, written: Write, tmp_path: Path) -> None:
    assert told in text_of(written, tmp_path, **run)
