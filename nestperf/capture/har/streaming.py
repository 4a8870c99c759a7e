"""Takes the entries of a HAR one by one out of a file of any size.

ijson finds the tokens. Putting them together is done here, because its own way grows with the square of the nesting,
which a hostile file chooses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import ijson

_DEEPEST = 100
"""Objects and lists within each other; HARs have some ten."""
_ENTRIES = ["", "log", "entries"]
_BEGINS = {"start_map": dict, "start_array": list}
_ENDS = frozenset({"end_map", "end_array"})

NOT_JSON = (ijson.JSONError, ValueError, OverflowError)
"""What a file that is no JSON makes of itself."""


def entries_of(file: BinaryIO) -> Iterator[Any]:
    """Whatever stands in the list `log.entries`.

    Raises:
        NOT_JSON: the file is no JSON from there on.
    """
    begin, count = file.tell(), 0
    try:
        for count, entry in enumerate(_entries(ijson.basic_parse(file, use_float=True)), 1):  # noqa: B007 - used below
            yield entry
    except UnicodeDecodeError:
        # Half a surrogate pair, which JavaScript's strings may hold, is too much for the fast parser.
        file.seek(begin)
        slow = ijson.get_backend("python").basic_parse(file, use_float=True)
        yield from itertools.islice(_entries(slow), count, None)


def _entries(events: Iterable[tuple[str, Any]]) -> Iterator[Any]:
    around: list[str] = []
    """The keys of the objects and lists that are open outside of entries."""
    key = ""
    building: list[Any] = []
    keys: list[str] = []
    for event, value in events:
        if building:
            if event == "map_key":
                keys[-1] = value
            elif event in _ENDS:
                done = building.pop()
                keys.pop()
                if not building:
                    yield done
            else:
                begins = _BEGINS.get(event)
                new = value if begins is None else begins()
                if isinstance(building[-1], dict):
                    building[-1][keys[-1]] = new
                else:
                    building[-1].append(new)
                if begins is not None:
                    if len(building) > _DEEPEST:
                        raise ValueError("nested deeper than anybody writes")
                    building.append(new)
                    keys.append("")
        elif event == "map_key":
            key = value
        elif event in _ENDS:
            around.pop()
        elif around == _ENTRIES:
            begins = _BEGINS.get(event)
            if begins is None:
                yield value
            else:
                building, keys = [begins()], [""]
        elif event in _BEGINS:
            if len(around) > _DEEPEST:
                raise ValueError("nested deeper than anybody writes")
            around.append(key)
            key = ""
