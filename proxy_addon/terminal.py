"""The terminal that a recording is started from, as far as single keys can be had from it without waiting for any.

The relay's process reads them, because only the foreground may; what they mean is the recorder's business. The terminal
is left as it was found, and while another program has it nothing is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from typing import Any

from proxy_addon.spool import Spool
from proxy_addon.tap import What

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

_READ = 1024
_LOOK_S = 0.5


def has_terminal() -> bool:
    """Whether somebody can press keys and see what came of it."""
    return termios is not None and sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


class Terminal:
    """Hands the terminal's keys to a spool. Used from one event loop."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._descriptor = sys.stdin.fileno()
        self._found: list[Any] | None = None
        """The terminal's settings as they were."""
        self._listens = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take keys one by one, without showing them."""
        # In the background reading fails instead of stopping the relay.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        self._look()

    def _look(self) -> None:
        """Listen while the terminal is ours: a shell takes it away and gives it back without a word."""
        ours = self._is_ours
        if ours:
            self._set()
        if ours and not self._listens:
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        elif self._listens and not ours:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._listens = ours
        self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    @property
    def _is_ours(self) -> bool:
        """The terminal's keys are for this process."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return False

    def _set(self) -> None:
        with contextlib.suppress(termios.error, OSError):
            settings = termios.tcgetattr(self._descriptor)
            if self._found is None:
                self._found = termios.tcgetattr(self._descriptor)
            elif not settings[3] & (termios.ICANON | termios.ECHO):
                return
            settings[3] &= ~(termios.ICANON | termios.ECHO)
            settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._descriptor, termios.TCSANOW, settings)

    def _read(self) -> None:
        try:
            keys = os.read(self._descriptor, _READ)
        except OSError:
            keys = b""
        if keys:
            self._spool.put(What.KEYS, 0, time.perf_counter_ns(), 0, keys)
        else:  # hung up, or another process has it since the last look
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._listens = False

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._timer is not None:
            self._timer.cancel()
        asyncio.get_running_loop().remove_reader(self._descriptor)
        if self._found is not None and self._is_ours:
            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._found)
