"""What a tester reads before, during and after a run."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Outcome, Run
from nestperf.console import duration
from replay.certificate import Counted, Pledge, Spent, Tally, certify
from replay.distribution import Distribution
from replay.pacing import Load
from replay.profile import Stage
from replay.progress import describe
from replay.summary import describe_load, describe_plan, summarize
from tests.replay.conftest import Recording

SECOND = 1_000_000_000


def tally() -> Tally:
    made = Tally()
    made.planned, made.sent, made.requests, made.alive = 12, 11, 10, 3
    made.outcomes.update({Outcome.OK: 7, Outcome.MISMATCH: 2, Outcome.LIMITED: 1})
    made.lags_ns.extend([100_000] * 11)
    made.visits.update(finished=2)
    made.trouble("GET /a: answered 401 where the recording has 200")
    made.trouble("GET /a: answered 401 where the recording has 200")
    return made


def told(made: Tally) -> str:
    certificate = certify(
        made,
        Spent(elapsed_ns=60 * SECOND, cpu_ns=SECOND, busiest_share=0.25, loop_lags_ns=Distribution()),
        Pledge(paced=True, rate="requests", counted=Counted(planned=12), end_ns=SECOND, counted_ns=60 * SECOND),
    )
    certificate["source_addresses"] = "127.5.0.1 to 127.5.0.3"
    certificate["users_alive"] = [(second * SECOND, min(second, 8)) for second in range(20)]
    certificate["limit"] = None
    run = Run("u", "replay", "client", "finished", "0", 1, certificate=certificate)
    return "\n".join(summarize(run, made))


def test_summary_says_how_much_how_it_ended_and_what_went_wrong() -> None:
    text = told(tally())
    assert "10 requests in 60.0 s (10 a minute): 7 ok, 2 mismatch, 1 limited" in text
    assert "Visits: 2 finished; from 127.5.0.1 to 127.5.0.3" in text
    assert "Asked 12.0 requests a minute, reached 0.0" in text
    assert "Users under way:  ▁▂▃▄▅▆▇████████████  at most 8" in text
    assert "12 steps planned, 11 sent, 0 dropped; 0 connections" in text
    assert "send lag p50 100 µs" in text
    assert "2% of a core, 25% in the busiest 5 s" in text
    assert "2 × GET /a: answered 401 where the recording has 200" in text


def test_summary_of_a_run_that_sent_nothing_makes_nothing_up() -> None:
    assert "0 requests in 60.0 s (0 a minute): none" in told(Tally())
    nothing = duration(None)
    assert f"send lag p50 {nothing}, p99 {nothing}, max {nothing}" in told(Tally())


def test_summary_counts_sockets_of_all_kinds() -> None:
    made = tally()
    made.sockets, made.packets_sent, made.packets_received = 2, 12, 11
    assert "2 sockets opened; 12 messages sent, 11 received" in told(made)


def test_summary_never_shows_captured_text_raw() -> None:
    made = tally()
    made.trouble("GET /\x1b[2Jgone: bad")
    assert "\x1b" not in told(made)


def test_summary_names_the_commonest_troubles_and_counts_the_others() -> None:
    made = tally()
    for number in range(9):
        made.trouble(f"trouble {number}")
    text = told(made)
    assert text.count("1 × trouble") == 4
    assert "and 5 other kinds of trouble" in text


def test_progress_shows_failures_limits_and_the_time_left() -> None:
    line = describe([tally()], 30 * SECOND, 90 * SECOND)
    assert line == "    30 s  3 users under way, 10 requests (20 a minute), 2 mismatch, 1 limited; 60 s left"
    assert describe([tally()], 91 * SECOND, 90 * SECOND).endswith("; waiting for what is in flight")
    assert "left" not in describe([tally()], 91 * SECOND, None)


def test_plan_is_described_with_what_is_not_sent(recording: Recording) -> None:
    recording.exchange("GET", "/a", 0, 1)
    recording.exchange("GET", "/b", 2, 3, server_call=True)
    socket = recording.socket(5, 6, 20)
    recording.packet(socket, "client", "event", 10, "/", "[]", event="x")
    lines = list(describe_plan(recording.plan()))
    assert lines[0] == "1 session: 1 request, 3 socket steps"
    assert "  not sent: 1 × a server-side call: the application makes it itself" in lines


def test_application_that_called_itself_through_the_recorder_has_to_do_without(recording: Recording) -> None:
    recording.listened("127.0.0.1:8401")
    recording.exchange("GET", "/page", 0, 9)
    for at in (2, 4):
        recording.exchange("GET", "/api", at, at + 1, server_call=True)
    (note,) = recording.plan().notes
    assert note.startswith("2 server-side calls came through the recorder, at 127.0.0.1:8401: the application has to")


LOADS = [
    (Load(), "1 user, every session once"),
    (Load(users=9, loops=3), "9 users, every session 3 times"),
    (Load(users=9, duration_ns=30 * SECOND), "9 users for 30 s"),
    (Load(users=5, stages=(Stage(1, SECOND), Stage(5, 2 * SECOND))), "1 user for 1 s, then 5 users for 2 s"),
    (Load(model="rate", stages=(Stage(1000 / 60, 60 * SECOND),)), "16.67 requests a second for 60 s"),
    (Load(model="sessions", stages=(Stage(1, SECOND),)), "1 session a second for 1 s"),
    (Load(model="sessions", stages=(Stage(0.5, 60 * SECOND),)), "30 sessions a minute for 60 s"),
    (Load(users=9, duration_ns=30 * SECOND, ramp_ns=SECOND, warm_up_ns=2 * SECOND),
     "after 1 s ramp and 2 s warm-up (not judged), 9 users for 30 s"),
]  # fmt: skip


@pytest.mark.parametrize(("load", "sentence"), LOADS, ids=[sentence for _, sentence in LOADS])
def test_load_is_described_in_words(load: Load, sentence: str) -> None:
    assert describe_load(load) == sentence
