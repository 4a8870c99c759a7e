"""Folds paths into routes, so that `/media/requests/17` and `/media/requests/18` are judged as one thing."""

from __future__ import annotations

import re
from functools import lru_cache

_ID_SEGMENT = re.compile(
    r"""
    [0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}  # uuid
    | [0-9]+                                                                     # integer
    | [0-9a-fA-F]{16,}                                                           # hash
    """,
    re.VERBOSE,
)
_FOLDED_FOLDERS = ("/_next/static/",)
"""Build output with hashed names: one route each."""


@lru_cache(maxsize=4096)
def route_of(target: str) -> str:
    """The route of a request target: no query, ids as `{id}`, hashed build output as one.

    >>> route_of("/api/v1/media/movie/36877?x=1")
    '/api/v1/media/movie/{id}'
    """
    path = target.partition("?")[0].partition("#")[0]
    if "://" in path[:12]:
        path = "/" + path.partition("://")[2].partition("/")[2]
    for folder in _FOLDED_FOLDERS:
        if path.startswith(folder):
            return folder + "*"
    return "/".join("{id}" if _ID_SEGMENT.fullmatch(segment) else segment for segment in path.split("/"))
