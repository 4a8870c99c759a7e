"""All kinds of contracts, by name. A new one is a file of its own and an entry here."""

from __future__ import annotations

from replay.checks import burst, connections, fanout, limit, load, messages, queries, reconnect
from replay.checks.contract import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        limit.KIND,
        burst.KIND,
        queries.KIND,
        connections.KIND,
        fanout.KIND,
        messages.KIND,
        load.KIND,
        reconnect.KIND,
    )
}
