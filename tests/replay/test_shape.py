"""Shapes of JSON: learnt from several answers, and the first place at which another one differs."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.model import Outcome
from replay.shape import difference, difference_of_body, learn_shapes, merge, shape_of
from tests.replay.conftest import CountingServer, Recordings, Replays, Request, answering, command, write_json

UUIDS = ("0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7")

TABLE = [
    ("the same", {"a": 1, "b": ["x"]}, {"a": 2, "b": ["y", "z"]}, None),
    ("an empty list", {"b": [{"c": 1}]}, {"b": []}, None),
    ("more members", {"a": 1}, {"a": 1, "new": True}, None),
    ("a whole number for a broken one", {"a": 1.5}, {"a": 2}, None),
    ("null was recorded", {"a": None}, {"a": {"b": 1}}, None),
    ("named by ids", {UUIDS[0]: {"n": 1}}, {UUIDS[1]: {"n": 2}}, None),
    ("a member is missing", {"data": {"id": "x"}}, {"data": {}}, "data.id is missing"),
    ("another type", {"data": [{"id": 1}]}, {"data": [{"id": "1"}]}, "data.0.id is a string, not a number"),
    ("null now", {"a": "x"}, {"a": None}, "a is null, not a string"),
    ("a boolean is no number", {"a": 1}, {"a": True}, "a is a boolean, not a number"),
    ("a list for an object", {"a": 1}, [], "the body is a list, not an object"),
    ("in a map", {UUIDS[0]: {"n": 1}}, {UUIDS[1]: {"n": "2"}}, "*.n is a string, not a number"),
]


@pytest.mark.parametrize(("recorded", "came", "found"), [case[1:] for case in TABLE], ids=[case[0] for case in TABLE])
def test_difference_of_a_table_is_exact(recorded: object, came: object, found: str | None) -> None:
    assert difference(shape_of(recorded), came) == found


def test_what_varies_in_the_recording_may_vary() -> None:
    texts = [{"a": 1, "b": "x", "list": [{"c": 1}, {"c": None, "d": 2}]}, {"a": "1", "list": []}]
    (shape,) = learn_shapes(("GET /a 200", json.dumps(text)) for text in texts).values()
    assert difference(shape, {"a": "2", "list": [{"c": None}]}) is None
    assert difference(shape, {"a": None, "list": []}) == "a is null, not a number or a string"
    assert difference(shape, {"a": 1}) == "list is missing"


def test_body_that_is_no_json_differs() -> None:
    assert difference_of_body(shape_of({}), b"<html>") == "the body is no JSON"
    assert difference_of_body(shape_of({}), b"[" * 100_000) == "the body is no JSON"


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc123"), inner, max_size=3),
    max_leaves=8,
)


@given(DOCUMENTS, DOCUMENTS)
def test_document_is_of_its_own_shape_and_of_every_merged_one(one: object, other: object) -> None:
    merged = merge(shape_of(one), shape_of(other))
    assert difference(shape_of(one), one) is None
    assert difference(merged, one) is None
    assert difference(merged, other) is None


async def test_replay_finds_a_body_of_another_shape(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    async def answer(counting: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        write_json(writer, {"data": {"name": "kim"} if request.target == "/b" else {"id": 7, "at": 99}})

    server.behaviour = answer
    recording = recordings(server.url)
    for at, target in ((0, "/a"), (10, "/b")):
        recording.exchange("GET", target, at, at + 5, answer=b'{"data": {"id": 1, "at": 5}}')
    path = recording.finish()
    plain = await replay(path)
    assert [exchange.outcome for exchange in plain.exchanges] == [Outcome.OK, Outcome.OK]
    checked = await replay(path, "--check-bodies", "--users", "2")
    outcomes = sorted((exchange.target, exchange.outcome, exchange.detail) for exchange in checked.exchanges)
    sentence = "data.at is missing, unlike in exchange 2 of the recording"
    assert outcomes == [("/a", Outcome.OK, None)] * 2 + [("/b", Outcome.MISMATCH, sentence)] * 2


async def test_replay_names_the_command_that_shows_the_first_mismatch(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    server.behaviour = answering("404 Not Found")
    recording = recordings(server.url)
    recording.exchange("GET", "/a/17", 0, 5)
    source = recording.finish()
    _, printed = await command(tmp_path, str(source), "-o", "out.db")
    assert "likely cause: an id of the recording that is not there now" in printed
    asked = re.search(r"beside its recording: `nestperf (show out\.db \d+ --source (\S+))`", printed)
    assert asked
    assert asked[2] == str(source)
    shown = subprocess.run(
        [sys.executable, "-m", "nestperf", *asked[1].split()], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert "404" in shown.stdout
    assert "200" in shown.stdout
