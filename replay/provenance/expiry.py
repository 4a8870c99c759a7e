"""Tokens that say themselves when they expire (RFC 7519, 4.1.4): those that a replay would send as they are. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from replay.provenance.codings import decode_base64
from replay.provenance.places import place_of
from replay.provenance.sendings import slots
from replay.steps import SessionPlan


class Expiring(NamedTuple):
    """A token and the moment from which nobody takes it."""

    place: str
    step: int
    expires_s: float
    """Seconds since 1970."""

    @property
    def moment(self) -> str:
        """That moment for people."""
        return datetime.fromtimestamp(self.expires_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def expiry_of(token: str) -> float | None:
    """When a JWT expires, seconds since 1970; None where it does not say, or is none."""
    if not token.startswith("eyJ") or token.count(".") != 2:
        return None
    claims = decode_base64(token.split(".")[1])
    try:
        expires = json.loads(claims[0]).get("exp") if claims else None
    except (ValueError, AttributeError):
        return None
    # Numbers beyond the year 9999 are no moments.
    return float(expires) if isinstance(expires, int | float) and 0 < expires < 253_402_300_800 else None


def tokens_as_recorded(session: SessionPlan) -> Iterator[Expiring]:
    """The tokens of a session that no live answer and no identity replaces."""
    jar = {(link.step, link.place) for link in session.links if link.by_jar}
    for step in session.steps:
        for slot in slots(step):
            expires_s = expiry_of(slot.value)
            if expires_s is None:
                continue
            place = place_of(step, slot)
            filled = any(
                use.place == slot.place and use.field == slot.field and use.start <= slot.start and slot.end <= use.end
                for use in step.uses
            )
            if not filled and (step.index, place) not in jar:
                yield Expiring(place, step.index, expires_s)
