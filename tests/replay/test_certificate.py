"""Was it the load it promised: percentiles, rates, and the rule that makes a run invalid."""

from __future__ import annotations

from typing import Any

import pytest

from nestperf.capture import repeats
from nestperf.capture.model import Outcome
from replay.certificate import TROUBLES, Counted, Pledge, Spent, Tally, certify, invalid_because, limited_by
from replay.distribution import Distribution

MS = 1_000_000
SECOND = 1000 * MS


def spent(elapsed_ns: int = 60 * SECOND, cpu_ns: int = 1, busiest: float | None = None) -> Spent:
    return Spent(elapsed_ns=elapsed_ns, cpu_ns=cpu_ns, busiest_share=busiest, loop_lags_ns=Distribution())


def pledge(*, paced: bool = True, **changes: Any) -> Pledge:
    return Pledge(paced=paced, rate=None, counted=Counted(), end_ns=None, counted_ns=None)._replace(**changes)


LAGS = [
    ("one late step is no bottleneck", 60, 50, True, False, 1, 90),
    ("as many as 1 % makes by chance", 60, 50, True, False, 2, 90),
    ("on time", 1, 20, True, False, 4, 90),
    ("late, but under 5 ms", 4.9, 20, True, False, 4, 90),
    ("over 5 ms, but under a tenth of the answers", 6, 100, True, False, 4, 90),
    ("over 5 ms and over a tenth", 6, 50, True, True, 4, 90),
    ("as late without pace is the generator's limit, not its fault", 60, 50, False, False, 4, 90),
    ("one of a hundred", 60, 50, True, False, 10, 1000),
    ("p99 is late", 60, 50, True, True, 11, 1000),
]


@pytest.mark.parametrize(
    ("lag", "service", "paced", "invalid", "times", "steps"), [case[1:] for case in LAGS], ids=[c[0] for c in LAGS]
)
def test_run_is_invalid_when_the_generator_was_the_bottleneck(
    lag: float, service: float, paced: bool, invalid: bool, times: int, steps: int
) -> None:
    tally = Tally()
    tally.sent = steps
    tally.lags_ns.extend([0] * (steps - times) + [round(lag * MS)] * times)
    tally.services_ns.extend([round(service * MS)] * steps)
    sentences = invalid_because(certify(tally, spent(), pledge(paced=paced)))
    assert bool(sentences) is invalid
    assert all("bottleneck" in sentence and "ask for less load" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("busiest", "paced", "invalid"), [(0.96, True, True), (0.9, True, False), (None, True, False), (1.2, False, False)]
)
def test_run_is_invalid_when_the_generators_core_was_saturated(
    busiest: float | None, paced: bool, invalid: bool
) -> None:
    certificate = certify(Tally(), spent(busiest=busiest), pledge(paced=paced))
    assert bool(invalid_because(certificate)) is invalid
    assert all("core it can use" in sentence for sentence in invalid_because(certificate))


def test_run_without_pace_says_what_its_limit_was() -> None:
    told = [limited_by(certify(Tally(), spent(busiest=share), pledge(paced=False))) for share in (0.97, 0.5, None)]
    assert told[0] is not None
    assert told[0].startswith("The generator was the limit (97% of a core")
    assert told[1] is not None
    assert told[1].startswith("The application, or the number of users, was the limit")
    assert told[2] is None
    assert limited_by(certify(Tally(), spent(busiest=0.97), pledge())) is None


def test_certificate_of_a_run_that_sent_nothing_has_no_made_up_numbers() -> None:
    certificate = certify(Tally(), spent(0, 0), pledge())
    assert certificate["send_lag_p99_ns"] is None
    assert certificate["service_p50_ns"] is None
    assert certificate["session_response_p50_ns"] is None
    assert certificate["requests_per_minute"] == 0
    assert "requests_per_minute_asked" not in certificate
    assert invalid_because(certificate) == ()


def test_requests_per_minute_are_of_the_time_that_passed() -> None:
    tally = Tally()
    tally.requests = 500
    certificate = certify(tally, spent(30 * SECOND, 3 * SECOND), pledge())
    assert certificate["requests_per_minute"] == 1000
    assert certificate["cpu_share"] == 0.1


RATES = [
    ("all on time", 1000, 59, 1000),
    ("some dropped", 900, 59, 900),
    ("all sent, but the last one a minute late", 1000, 120, 500),
]


@pytest.mark.parametrize(("sent", "last", "reached"), [row[1:] for row in RATES], ids=[row[0] for row in RATES])
def test_reached_rate_is_held_against_the_asked_one(sent: int, last: int, reached: float) -> None:
    counted = Counted(planned=1000, sent=sent, last_ns=last * SECOND)
    asked = pledge(rate="requests", counted=counted, end_ns=60 * SECOND, counted_ns=60 * SECOND)
    certificate = certify(Tally(), spent(), asked)
    assert certificate["requests_per_minute_asked"] == 1000
    assert certificate["requests_per_minute_reached"] == pytest.approx(reached, abs=0.1)


def test_nothing_connected_is_said_only_when_everything_was_refused() -> None:
    assert not Tally().nothing_connected
    tally = Tally()
    tally.outcomes[Outcome.CONNECT_ERROR] += 3
    tally.refusals["refused"] += 3
    assert tally.nothing_connected
    served = Tally()
    served.outcomes.update({Outcome.CONNECT_ERROR: 3, Outcome.OK: 1})
    served.refusals["refused"] += 3
    assert not served.nothing_connected


def test_troubles_are_counted_and_bounded() -> None:
    tally = Tally()
    for number in range(TROUBLES + 100):
        tally.trouble(f"trouble {number}")
    tally.trouble("trouble 0")
    assert len(tally.troubles) == TROUBLES
    assert tally.troubles["trouble 0"] == 2


def test_packed_exchanges_count_as_those_that_are_told_one_by_one() -> None:
    tally = Tally()
    tally.note_repeats(b"")
    at_once = repeats.pack(1, 1, 1, 9, 1, 9, 1_000, 1_100, 1_150, 1_300, 1_400, repeats.NOTHING, 1, 0)
    waited = repeats.pack(2, 1, 1, 9, 1, 9, 1_000, 1_090, 1_100, 1_150, 1_200, repeats.NOTHING, 1, 60)
    connected = repeats.pack(3, 1, 2, 9, 1, 9, 1_000, 1_500, 1_600, 1_700, 2_000, 420, 1, 0)
    tally.note_repeats(at_once + waited)
    tally.note_repeats(bytearray(connected))
    assert (tally.sent, tally.requests, tally.connections, tally.outcomes) == (3, 3, 1, {Outcome.OK: 3})
    for told, largest, smallest in (
        (tally.services_ns, 500, 110), (tally.responses_ns, 1_000, 200), (tally.lags_ns, 100, 30),
    ):  # fmt: skip
        assert len(told) == 3
        assert told.max_ns == largest
        assert told.percentile(0.01) == smallest
