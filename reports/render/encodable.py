"""What a terminal's encoding does not have is replaced: the arrows and dashes, on an ASCII one."""

from __future__ import annotations

import sys


def encodable(text: str) -> str:
    """`text` as standard output can print it."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
