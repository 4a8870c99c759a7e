"""What is said of a fault of our own: where it happened, never what was at hand, because that may be a secret."""

from __future__ import annotations

import traceback
from pathlib import Path

_FRAMES = 8


def describe_fault(error: BaseException) -> str:
    """One line for a person and the places for whoever mends it; no values, no messages."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = "".join(f"\n  {_shown(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames)
    return (
        f"nestperf itself failed ({type(error).__name__}). What was stored before is there. Please report these lines; "
        f"NESTPERF_DEBUG=1 shows more, and may show secrets.{places}"
    )


def _shown(filename: str) -> str:
    return "/".join(Path(filename).parts[-3:])
