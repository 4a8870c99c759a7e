"""Draws `docs/report.svg`, the picture in the README, from what `nestperf report` prints of a capture.

`python docs/picture.py demo-run/replay.db`
"""

from __future__ import annotations

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 92
LINES = 62


def draw(capture: str) -> str:
    """The report's beginning as SVG, with no font fetched from anywhere."""
    command = [sys.executable, "-m", "nestperf", "report", capture]
    printed = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=False, env={"COLUMNS": str(WIDTH), "LANG": "C.UTF-8"}
    ).stdout
    console = Console(record=True, width=WIDTH, file=StringIO())
    for line in printed.splitlines()[:LINES]:
        text = Text(line)
        text.highlight_regex(r"^PASS.*|^  pass\b", "bold green")
        text.highlight_regex(r"^FAIL.*|^  fail\b", "bold red")
        text.highlight_regex(r"^  (?:not measured|inconclusive)", "yellow")
        text.highlight_regex(r"^[A-Z][a-z]+( [a-z]+)*$", "bold")
        console.print(text)
    return re.sub(r"@font-face \{.*?\}", "", console.export_svg(title=f"nestperf report {capture}"), flags=re.DOTALL)


if __name__ == "__main__":
    Path(__file__).with_name("report.svg").write_text(draw(sys.argv[1]), "utf-8")
