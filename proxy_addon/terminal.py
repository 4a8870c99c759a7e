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
_AGAIN_S = 1.0


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
        self._again: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take keys one by one, without showing them."""
        # In the background reading fails instead of stopping the relay.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCONT, self._set)
        self._listen()

    def _listen(self) -> None:
        self._set()
        if self._is_ours:
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        else:
            self._listen_later()

    def _listen_later(self) -> None:
        self._again = asyncio.get_running_loop().call_later(_AGAIN_S, self._listen)

    @property
    def _is_ours(self) -> bool:
        """The terminal's keys are for this process."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return False

    def _set(self) -> None:
        if not self._is_ours:
            return
        with contextlib.suppress(termios.error, OSError):
            if self._found is None:
                self._found = termios.tcgetattr(self._descriptor)
            settings = termios.tcgetattr(self._descriptor)
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
        else:  # hung up, or another process has it now
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._listen_later()

    def stop(self) -> None:
        """Leave the terminal as it was."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        loop.remove_signal_handler(signal.SIGCONT)
        if self._again is not None:
            self._again.cancel()
        if self._found is not None and self._is_ours:
            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._found)
