"""Places as people name them and rules select them: `header x-csrf-token`, `path after orders`, `json data.token`."""

from __future__ import annotations

from replay.provenance.answers import Origin
from replay.provenance.parts import Part
from replay.provenance.sendings import Slot
from replay.provenance.weight import MEDIUM, bits
from replay.steps import Http, Open, Step


def place_of(step: Step, slot: Slot) -> str:
    """Where a value goes out."""
    if slot.place == "header":
        assert isinstance(step.action, Http | Open)
        name = step.action.headers[slot.field][0].lower()
        return f"cookie {slot.name}" if name == "cookie" else f"header {name}"
    if slot.place == "target":
        if slot.kind != "segment":
            return f"query {slot.name}"
        before = "{id}" if slot.name.isdigit() or bits(slot.name) >= MEDIUM else slot.name
        return f"path after {before}" if before else "path"
    if slot.place == "payload":
        return f"packet {slot.name}".strip()
    return f"{'form' if slot.kind == 'form' else 'json'} {slot.name}".strip()


def name_of(origin: Origin) -> str:
    """Where a value was handed out."""
    keys = origin.path[1:] if origin.source == "packet" else origin.path
    path = ".".join(str(key) for key in keys if key != "")
    return " ".join([f"{origin.source} {path}".strip(), *map(_part, origin.parts)])


def _part(part: Part) -> str:
    if part.kind == "split":
        return f"[{part.nth} by {part.key!r}]"
    what = part.key or ".".join(map(str, part.path)) or (str(part.nth) if part.kind == "segment" else "")
    return f"[{part.kind} {what}]" if what else f"[{part.kind}]"
