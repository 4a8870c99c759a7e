"""Where the rows of a recording go, and what they are made with on the way. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nestperf.capture.contents import Contents
from nestperf.capture.model import Row
from proxy_addon.tally import Tally


class Sink(NamedTuple):
    """Shared by all that makes rows."""

    contents: Contents
    """What bodies and heads become."""
    add: Callable[[Row], None]
    """Takes the rows."""
    stamp: Callable[[int], int]
    """Makes stamps of readings of the clock."""
    tally: Tally
    """Counts them, and gives them their ids."""
