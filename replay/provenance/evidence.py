"""Whether a value that was sent is the value that was handed out, and why: one rule for each kind of value.

What weighs enough (`weight.bits`) is the same wherever it stands; a number only as the id of the same entity; short
codes where names agree; words, moments, quantities and prose never.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from replay.provenance.answers import Offer
from replay.provenance.names import names_build, names_count, names_id, names_token, words
from replay.provenance.sendings import Slot
from replay.provenance.weight import (
    MEDIUM,
    STRONG,
    bits,
    is_asset,
    is_moment,
    is_number,
    is_placeholder,
    is_uuid,
)

Confidence: TypeAlias = Literal["certain", "likely", "possible"]
_LONG_NUMBER = 5
"""Digits from which two ids are equal by chance less than once in a recording."""
_SHORT_CODE = 8.0
_LONG_WORDS = 16
"""Characters from which words may be a token that somebody made of words."""


class Evidence(NamedTuple):
    """Why a link is believed."""

    confidence: Confidence
    reason: str


def judge(slot: Slot, offer: Offer) -> Evidence | None:
    """Whether `slot` holds what `offer` gave, their values being equal; None: that may be chance."""
    value = slot.value
    if names_build(slot.name) or names_build(offer.name) or never_linked(value):
        return None
    if is_number(value):
        return _judge_number(slot, offer)
    weight = bits(value)
    if weight >= STRONG:
        return Evidence("certain", describe(value))
    if not weight:
        # Words alone: a token only where both places say that it is one.
        secret = names_token(offer.name) and names_token(slot.name)
        return Evidence("likely", f"{describe(value)}; both are named a token") if secret else None
    same = _shared_entity(slot, offer)
    both = is_id(offer) and (same != "" or is_id_slot(slot))
    named = bool(offer.name) and words(offer.name) == words(slot.name)
    if weight >= MEDIUM and (same or both or named):
        return Evidence("likely", f"{describe(value)}; {_agreement(slot, same)}")
    if weight >= _SHORT_CODE and (same or named) and both:
        return Evidence("possible", f"{describe(value)}; {_agreement(slot, same)}")
    return None


def _judge_number(slot: Slot, offer: Offer) -> Evidence | None:
    if names_count(slot.name) or names_count(offer.name) or not slot.value.isdigit():
        return None
    if not is_id(offer):
        return None
    if same := _shared_entity(slot, offer):
        confidence: Confidence = "certain" if len(slot.value) >= _LONG_NUMBER else "likely"
        return Evidence(confidence, f"a number; {_agreement(slot, same)}")
    if not is_id_slot(slot):
        return None
    # Two ids of different things may well be equal while they are small.
    if len(slot.value) >= _LONG_NUMBER and not (offer.entity and slot.entity and slot.kind != "segment"):
        return Evidence("likely", f"a number of {len(slot.value)} digits; both name an id")
    return None


def judge_followed(slot: Slot) -> Evidence | None:
    """Whether a part of an address that was handed out whole and then requested is worth following."""
    value = slot.value
    if never_linked(value) or names_count(slot.name) or names_build(slot.name):
        return None
    if is_number(value):
        is_year = len(value) == 4 and value[:2] in ("19", "20")
        return None if is_year or not value.isdigit() else Evidence("likely", "the address was handed out and followed")
    if bits(value) >= _SHORT_CODE and (bits(value) >= MEDIUM or names_id(slot.name)):
        return Evidence("certain", "the address was handed out and followed")
    return None


def never_linked(value: str) -> bool:
    """Whether equal values of this kind say nothing: moments, prose, words, file names."""
    if is_placeholder(value):
        return False
    if any(char.isspace() for char in value) or is_moment(value) or is_asset(value):
        return True
    return len(value) < _LONG_WORDS and not bits(value)


def _shared_entity(slot: Slot, offer: Offer) -> str:
    """Of what both are the id: `orderId`, `{"order": {"id": 17}}`, or sent under the thing's own name, `{"order": 17}`;
    empty where they are of different things."""
    return offer.entity if offer.entity == slot.entity or words(slot.name) == (offer.entity,) else ""


def is_id(offer: Offer) -> bool:
    """Whether an id was handed out there."""
    if offer.origin.parts and offer.origin.parts[-1].kind == "segment":
        return True
    return names_id(offer.name) or (offer.origin.source in ("cookie", "header"))


def is_id_slot(slot: Slot) -> bool:
    """Whether an id is sent there."""
    return slot.kind == "segment" or names_id(slot.name)


def describe(value: str) -> str:
    """What kind of value it is, without saying it."""
    if is_placeholder(value):
        return "the same secret"
    if is_uuid(value):
        return "a UUID"
    if value.startswith("eyJ") and value.count(".") == 2:
        return "a JWT"
    return f"{len(value)} equal characters"


def _agreement(slot: Slot, same: str) -> str:
    return f"both are of {same!r}" if same else f"both are named {slot.name!r}" if slot.name else "both name an id"
