"""What names say about a value: whether it is an id, of what, and whether it is something nobody hands on.

`orderId`, `order_id`, `X-Order-Id`, `orders/…` and `{"order": {"id": …}}` all name an id of an *order*; that two places
name the same entity is evidence for a link where the value alone, a small number, is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
ID_WORDS = _set(
    """
    id ids uuid guid pk key ref reference slug handle oid gid uid pin number no sid cursor ticket
    """
)
TOKEN_WORDS = _set(
    """
    token csrf xsrf jwt secret session auth authorization nonce state code otp signature sig access refresh bearer
    middlewaretoken csrfmiddlewaretoken credential assertion challenge verifier upload
    """
)
_GENERIC = _set(
    """
    data result results item items payload response attributes node nodes edge edges row rows list content record
    records meta object entry entries value values body params args input model 0
    """
)
"""Containers that say nothing about what they hold."""
NOT_ENTITIES = _set(
    """
    api v rest graphql admin change edit view show detail new add create delete update latest current me get set
    """
)
_VERBS = _set(
    """
    created updated deleted added removed changed create update delete new get status ready done made opened
    closed
    """
)
COUNTS = _set(
    """
    page p pagesize size limit offset skip take count total amount price cost quantity qty sum width height w h x
    y z year month day hour minute second age rank rating score step index level position sort order_by per
    perpage first last max min timeout interval delay duration progress percent version v port zip postal phone
    lat lng lon time timestamp ts date at since until expires iat exp nbf ttl uptime latency bytes length weight
    currency balance salary stock
    """
)
"""Names of quantities, moments and positions: equal ones are equal by chance."""
BUILD_WORDS = _set(
    """
    build buildid release commit revision rev chunk chunks asset assets integrity etag digest checksum bundle hash
    deployment dpl
    """
)
FRESH_WORDS = _set(
    """
    request idempotency correlation trace client tmp temp temporary message operation mutation batch tab window
    instance nonce transaction local draft optimistic
    """
)
"""Of what a page makes ids itself."""


@lru_cache(maxsize=8192)
def words(name: str) -> tuple[str, ...]:
    """The words of a name in any convention, lower case.

    >>> words("X-Order-Id"), words("orderID"), words("user_ids")
    (('x', 'order', 'id'), ('order', 'id'), ('user', 'ids'))
    """
    return tuple(piece.lower() for piece in _PIECES.findall(name))


@lru_cache(maxsize=8192)
def singular(word: str) -> str:
    """`orders` to `order`, `entries` to `entry`; what ends otherwise stays."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def names_id(name: str) -> bool:
    """Whether a field of that name holds an id or a token."""
    parts = words(name)
    return bool(parts) and (parts[-1] in ID_WORDS or any(part in TOKEN_WORDS for part in parts))


def names_token(name: str) -> bool:
    """Whether a field of that name holds a token."""
    return any(part in TOKEN_WORDS for part in words(name))


def names_count(name: str) -> bool:
    """Whether a field of that name holds a quantity, a moment or a position."""
    parts = words(name)
    return bool(parts) and (parts[-1] in COUNTS or "".join(parts) in COUNTS)


def names_build(name: str) -> bool:
    """Whether a field of that name holds something that changes with a release only."""
    return any(part in BUILD_WORDS for part in words(name))


def names_invented(name: str) -> bool:
    """Whether a field of that name holds what a page makes up itself."""
    parts = words(name)
    return parts in (("id",), ("uuid",), ("guid",), ("key",)) or any(part in FRESH_WORDS for part in parts)


def entity(name: str, around: Sequence[str]) -> str:
    """Of what a value under `name` is the id; empty: unknown. `around` names its containers, outermost first.

    >>> entity("orderId", ()), entity("id", ("data", "orders")), entity("price", ())
    ('order', 'order', '')
    """
    parts = [part for part in words(name) if part != "x"]
    if len(parts) > 1 and parts[-1] in ID_WORDS:
        return singular(parts[-2])
    if parts and (parts[-1] in ID_WORDS or not name):
        for container in reversed(around):
            inner = [part for part in words(container) if part not in _VERBS and part not in _GENERIC]
            if inner and singular(inner[-1]) not in NOT_ENTITIES:
                return singular(inner[-1])
    return ""


def path_entity(segments: Sequence[str]) -> str:
    """What the thing after these path segments is one of: `("api", "v1", "orders")` to `order`."""
    for segment in reversed(segments):
        parts = [part for part in words(segment) if part.isalpha()]
        if parts and not segment[:1].isdigit() and singular(parts[-1]) not in NOT_ENTITIES:
            return singular(parts[-1])
    return ""
