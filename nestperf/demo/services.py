"""The services behind MediaNest and how they are doing: pure, varying a little from check to check."""

from __future__ import annotations

from typing import NamedTuple

_SERVICES = (
    ("plex", "Plex", 58, 99.93),
    ("overseerr", "Overseerr", 64, 99.81),
    ("uptime-kuma", "Uptime Kuma", 23, 99.99),
    ("youtube", "YouTube downloads", 142, 98.7),
)


class Service(NamedTuple):
    """One service at its last check."""

    name: str
    display_name: str
    status: str
    response_time_ms: int
    uptime_percent: float
    last_check: str
    """ISO 8601, UTC"""

    def as_json(self) -> dict[str, object]:
        """As the API and the events write it."""
        return {
            "name": self.name,
            "displayName": self.display_name,
            "status": self.status,
            "responseTime": self.response_time_ms,
            "uptime24h": self.uptime_percent,
            "lastCheck": self.last_check,
        }


def check_services(number: int, at: str) -> tuple[Service, ...]:
    """The services as check `number` finds them; a slow answer once in a while makes one `degraded`."""
    found = []
    for place, (name, display_name, usual_ms, uptime) in enumerate(_SERVICES):
        wobble = (number * 37 + place * 53) % 41 - 20
        slow = (number + place * 3) % 11 == 10
        found.append(
            Service(
                name=name,
                display_name=display_name,
                status="degraded" if slow else "up",
                response_time_ms=max(3, usual_ms + usual_ms * wobble // 100) * (6 if slow else 1),
                uptime_percent=uptime,
                last_check=at,
            )
        )
    return tuple(found)
