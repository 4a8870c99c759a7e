"""What one did and what came to the others: requests and emits, before and after the answer, and what is chance."""

from __future__ import annotations

import numpy as np

from nestperf.capture.model import Row
from reports.effects import Effect, find_effects
from reports.samples import Samples
from tests.reports.conftest import MS, S, Write, exchange, packet, socket


def people(count: int) -> list[Row]:
    """Clients with a socket each, all in /media since the beginning."""
    rows: list[Row] = []
    for number in range(1, count + 1):
        rows.append(socket(number, client_id=number))
        rows.append(packet(number, number, 1, type="connect", event=None, namespace="/media", payload=None))
    return rows


def heard(number: int, at_ms: float, by: tuple[int, ...], event: str = "created", step_ms: float = 1) -> list[Row]:
    """An event at these sockets, one after the other."""
    return [
        packet(1000 + number * 10 + who, who, at_ms + place * step_ms, event=event, namespace="/media",
               payload=f"[{number}]")
        for place, who in enumerate(by)
    ]  # fmt: skip


def posted(number: int, at_ms: float, took_ms: float = 50, **changes: object) -> Row:
    changes = {"method": "POST", "route": "/api/request", "status": 201, "client_id": 1, **changes}
    return exchange(100 + number, took_ms, sent_ns=round(at_ms * MS), **changes)


def found(written: Write, rows: list[Row]) -> tuple[Effect, ...]:
    return find_effects(Samples.read(written([*rows, exchange(999, sent_ns=120 * S)])))


def test_event_at_the_others_after_a_request_is_its_effect_with_times_on_one_clock(written: Write) -> None:
    rows = people(4)
    for number, at in enumerate((10_000, 40_000, 70_000)):
        rows += [posted(number, at), *heard(number, at + 20, (2, 3, 4)), *heard(number + 5, at + 20, (1,))]
    (effect,) = found(written, rows)
    assert (effect.cause, effect.namespace, effect.event) == ("POST /api/request", "/media", "created")
    assert (effect.causes, effect.followed, effect.before_answer) == (3, 3, 3)
    assert effect.deliveries.tolist() == sorted([20 * MS, 21 * MS, 22 * MS] * 3)
    assert effect.skews.tolist() == [2 * MS] * 3
    assert (effect.received, effect.expected) == (9, 9)


def test_what_answers_a_receivers_own_word_is_nobody_elses_effect(written: Write) -> None:
    rows = people(4)
    for number, at in enumerate((10_000, 40_000, 70_000)):
        rows.append(posted(number, at))
        for who in (2, 3, 4):
            word = {"namespace": "/media", "event": "subscribe", "sender": "client"}
            rows.append(packet(5000 + number * 10 + who, who, at + 300 + 100 * who, **word))
            rows += heard(number * 3 + who, at + 305 + 100 * who, (who,), event="current")
    assert found(written, rows) == ()


def test_event_after_the_answer_is_an_effect_too(written: Write) -> None:
    rows = people(3)
    for number, at in enumerate((10_000, 40_000, 70_000)):
        rows += [posted(number, at, 5), *heard(number, at + 20, (2, 3))]
    (effect,) = found(written, rows)
    assert effect.before_answer == 0


def test_receiver_that_hears_nothing_is_missing_from_the_reach(written: Write) -> None:
    rows = people(4)
    for number, at in enumerate((10_000, 40_000)):
        rows += [posted(number, at), *heard(number, at + 20, (2, 3))]
    (effect,) = found(written, rows)
    assert (effect.received, effect.expected) == (4, 6)


def test_emit_of_one_is_a_cause_for_the_others(written: Write) -> None:
    rows = people(3)
    for number, at in enumerate((10_000, 40_000)):
        told = packet(500 + number, 1, at, sender="client", event="refresh", namespace="/media")
        rows += [told, *heard(number, at + 5, (1, 2, 3))]
    (effect,) = found(written, rows)
    assert (effect.cause, effect.before_answer) == ("emit refresh", None)
    assert effect.received == 4, "the one who asked is no other"


def test_of_two_causes_the_one_that_is_followed_more_closely_is_taken(written: Write) -> None:
    rows = people(3)
    for number, at in enumerate((10_000, 40_000, 70_000)):
        rows += [posted(number, at), posted(number + 10, at - 900, route="/api/log"), *heard(number, at + 5, (2, 3))]
    assert [effect.cause for effect in found(written, rows)] == ["POST /api/request"]


def test_what_comes_all_the_time_is_nobodys_effect(written: Write) -> None:
    rows = [*people(3), posted(1, 10_100), posted(2, 40_350)]
    for number in range(240):
        rows += heard(number, 500 * number + 3, (2, 3))
    assert found(written, rows) == ()


def test_failed_requests_and_those_that_only_read_cause_nothing(written: Write) -> None:
    rows = people(3)
    for number, at in enumerate((10_000, 40_000, 70_000)):
        rows += [posted(number, at, status=500), posted(number + 10, at, method="GET"), *heard(number, at + 5, (2, 3))]
    assert found(written, rows) == ()


def test_capture_without_sockets_has_no_effects(written: Write) -> None:
    assert found(written, [posted(1, 10_000)]) == ()


def test_many_causes_and_receipts_are_looked_at_within_bounds(written: Write) -> None:
    rows = people(3)
    for number in range(600):
        rows += [posted(number, 1000 + number * 150, 5), *heard(number, 1002 + number * 150, (2, 3), step_ms=0.1)]
    effects = found(written, rows)
    assert all(np.isfinite(effect.deliveries).all() for effect in effects)
