"""What a PostgreSQL client of ours sends is what the decoder of recordings reads."""

from __future__ import annotations

from nestperf.wire import postgres_sent as sent
from nestperf.wire.observations import DatabaseOpened, QuerySeen
from nestperf.wire.postgres import PostgresDecoder
from tests.wire import postgres_bytes as pg


def test_messages_are_as_the_protocol_writes_them() -> None:
    assert sent.startup(user="nest", database="media") == pg.startup(user="nest", database="media")
    assert sent.query("select 1") == pg.query("select 1")
    assert sent.parse("select 1", "s") == pg.parse("select 1", "s")
    assert sent.bind((sent.Value(0, b"x"), sent.Value(1, None)), "s") == pg.bind(b"x", None, name="s", formats=(0, 1))
    assert pg.describe() == sent.DESCRIBE_PORTAL
    assert pg.execute() == sent.EXECUTE_ALL
    assert sent.SYNC == pg.SYNC
    assert sent.SSL_REQUEST == pg.SSL_REQUEST


def test_query_with_values_and_types_is_read_back_whole() -> None:
    decoder = PostgresDecoder(parameters=True)
    (opened,) = decoder.receive("client", sent.startup(user="nest", application_name="nestperf"), 1)
    assert opened == DatabaseOpened(1, "nest", "nest", "nestperf")
    values = (sent.Value(1, b"\0\7"), sent.Value(0, "é".encode()), sent.Value(0, None))
    ask = sent.parse("select $1, $2, $3", types=(21, 25, 0)) + sent.bind(values) + sent.EXECUTE_ALL + sent.SYNC
    decoder.receive("client", ask, 2)
    (seen,) = decoder.receive("server", pg.PARSED + pg.BOUND + pg.done("SELECT 0") + pg.ready("T"), 3)
    assert isinstance(seen, QuerySeen)
    assert (seen.text, seen.types, seen.parameters) == ("select $1, $2, $3", (21, 25, 0), values)
    assert (seen.protocol, seen.transaction, seen.sent_ns, seen.done_ns) == ("extended", "open", 2, 3)
