"""The tour as the recorder's relay sees it: a browser that is driven, which ends the recording when it is done.

It runs as a task on the relay's own event loop; closing it ends the browser with whatever page is open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Guest:
    """A task that the relay waits for, in the place of a browser that somebody closes."""

    def __init__(self, work: Coroutine[Any, Any, None], interrupted: Callable[[], None]) -> None:
        """To be made on a running event loop. `interrupted` is called when it is ended before it is done."""
        self._task = asyncio.get_running_loop().create_task(work)
        self._interrupted = interrupted

    @property
    def closed(self) -> bool:
        """It is done."""
        return self._task.done()

    def interrupt(self, number: int) -> bool:
        """A signal ends the tour, and with it the recording."""
        return False

    def close(self) -> None:
        """End it; what it holds is closed before the loop ends."""
        if not self._task.done():
            self._interrupted()
            self._task.cancel()

    @property
    def error(self) -> BaseException | None:
        """What ended it before it was done."""
        return self._task.exception() if self._task.done() and not self._task.cancelled() else None
