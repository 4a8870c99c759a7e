"""Rate limits in fixed windows, as express-rate-limit counts them: so many requests a key, then refused until the
window ends. Pure but for its own table; the moment is an argument."""

from __future__ import annotations

from typing import NamedTuple

_SWEEP_ABOVE = 1024
"""Keys kept before ended windows are thrown away."""


class Admission(NamedTuple):
    """The answer to one request."""

    admitted: bool
    limit: int
    remaining: int
    """Requests left in this window after this one."""
    reset_s: float
    """Seconds until the window ends and `limit` requests are admitted again."""


class RateLimit:
    """`limit` requests a window of `window_s` seconds, for each key on its own."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit = limit
        self.window_s = window_s
        self._windows: dict[str, tuple[float, int]] = {}

    def admit(self, key: str, now_s: float) -> Admission:
        """Count one request; `now_s` is any clock that never steps back, in seconds."""
        ends_s, used = self._windows.get(key, (0.0, 0))
        if now_s >= ends_s:
            self._sweep(now_s)
            ends_s, used = now_s + self.window_s, 0
        used += 1
        self._windows[key] = (ends_s, used)
        return Admission(used <= self.limit, self.limit, max(0, self.limit - used), round(ends_s - now_s, 6))

    def _sweep(self, now_s: float) -> None:
        if len(self._windows) < _SWEEP_ABOVE:
            return
        self._windows = {key: window for key, window in self._windows.items() if window[0] > now_s}
