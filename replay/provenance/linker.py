"""Links every value that a session sent to the latest answer or packet before it that had handed it out.

One pass through the session in order of time. A value that the client had sent before anybody handed it out is its own
and is never linked. Whole values come before parts of them, longer ones before shorter ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import urlsplit

from nestperf.capture.kinds import SAFE_METHODS
from replay.provenance import html
from replay.provenance.answers import Answered, Heard, Offer, Origin, offers, offers_of_packet
from replay.provenance.evidence import Evidence, describe, judge, judge_followed, never_linked
from replay.provenance.names import names_build, names_id, names_invented
from replay.provenance.parts import Part, is_url
from replay.provenance.places import name_of, place_of
from replay.provenance.rules import Rule, Rules, title_of
from replay.provenance.sendings import Slot, is_asset, slots
from replay.provenance.weight import MEDIUM, PLACEHOLDER, STRONG, bits, is_number, is_placeholder, is_uuid
from replay.steps import Emit, Http, Step

_TOKEN = re.compile(r"[A-Za-z0-9]+")


class Given(NamedTuple):
    """An offer and when it came."""

    offer: Offer
    moment_ns: int
    """Since the session's start."""
    step: int | None
    """The step whose answer it was; None for what the server pushed."""
    socket: int | None
    links: tuple[str, ...] = ()
    """Of a page: all its links."""
    packet: int | None = None
    nth: int = 0
    """Of a push: how many of that name its socket had had before."""


class Link(NamedTuple):
    """A sent value and where it had come from."""

    step: int
    slot: Slot
    start: int
    end: int
    value: str
    given: Given
    origin: Origin
    others: tuple[Given, ...]
    """Earlier places that had handed out the same."""
    evidence: Evidence
    by_jar: bool = False
    """The client's cookie jar does it."""


class Invented(NamedTuple):
    """A value that the page made up and sent more than once."""

    value: str
    places: tuple[tuple[int, Slot, int, int], ...]
    """(step, slot, start, end)."""


class Unexplained(NamedTuple):
    """Something that looks dynamic and came from nowhere that was recorded in its session."""

    step: int
    slot: Slot


class Linked(NamedTuple):
    """What is known about the values of one session."""

    links: tuple[Link, ...]
    invented: tuple[Invented, ...]
    unexplained: tuple[Unexplained, ...]


def link(
    steps: Sequence[Step],
    answers: Sequence[Answered | None],
    heard: Sequence[Heard],
    start_ns: int,
    rules: Rules,
) -> Linked:
    """Link one session.

    `answers` has one entry a step; `start_ns` is the session's first moment on the clock of `Answered.done_ns`.
    """
    return _Linker(steps, answers, heard, start_ns, rules).run()


class _Linker:
    """One session's pass."""

    def __init__(
        self,
        steps: Sequence[Step],
        answers: Sequence[Answered | None],
        heard: Sequence[Heard],
        start_ns: int,
        rules: Rules,
    ) -> None:
        self.steps = steps
        self.answers = answers
        self.heard = heard
        self.start_ns = start_ns
        self.rules = rules
        self.links: list[Link] = []
        self.unexplained: list[Unexplained] = []
        self._offered: dict[str, list[Given]] = {}
        self._by_token: dict[str, list[str]] = {}
        """First letters and digits of a strong value: the values."""
        self._addresses: dict[str, list[Given]] = {}
        self._pushes: Counter[tuple[int, str, str, str]] = Counter()
        self._ids: dict[str, list[Given]] = {}
        """By entity: what looked like its id."""
        self._cookies: dict[str, Given] = {}
        self._sent: list[tuple[int, str]] = []
        self._sent_pairs: dict[tuple[str, str], int] = {}
        self._ruled: list[Given] = []
        """All that was handed out, in order; kept where a rule may ask for it."""
        self._made_up: dict[str, list[tuple[int, Slot, int, int]]] = {}
        """What a rule calls fresh."""
        self._own: dict[str, list[tuple[int, Slot, int, int]]] = {}
        """UUIDs that the client sent first, and where."""
        self._build: set[str] = set()
        """Pieces of the addresses of scripts and styles."""
        self._emits = {step.action.source: step.index for step in steps if isinstance(step.action, Emit)}

    def run(self) -> Linked:
        """Go through it."""
        for is_sending, at in self._chronicle():
            if is_sending:
                self._send(self.steps[at])
            elif at < len(self.steps):
                self._receive(at)
            else:
                self._hear(self.heard[at - len(self.steps)])
        invented = [Invented(value, tuple(places)) for value, places in self._own.items() if self._is_fresh(places)]
        invented += [Invented(value, tuple(places)) for value, places in self._made_up.items()]
        fresh = {one.value for one in invented}
        unexplained = [one for one in self.unexplained if one.slot.value not in fresh]
        return Linked(tuple(self.links), tuple(invented), tuple(unexplained))

    def _chronicle(self) -> Iterator[tuple[bool, int]]:
        """(whether it is a sending, number) in order of time; what is complete at a sending's moment comes first."""
        moments = [(step.sent_ns, True, step.index) for step in self.steps]
        moments += [(answer.done_ns - self.start_ns, False, at) for at, answer in enumerate(self.answers) if answer]
        first = len(self.steps)
        moments += [(one.stamp_ns - self.start_ns, False, first + at) for at, one in enumerate(self.heard)]
        return ((is_sending, at) for _, is_sending, at in sorted(moments))

    # what comes in

    def _receive(self, at: int) -> None:
        answer, step = self.answers[at], self.steps[at]
        assert answer is not None
        links: tuple[str, ...] = ()
        if answer.text is not None and "html" in answer.media_type:
            links = tuple(html.links_of(answer.text))
            for asset in html.assets_of(answer.text):
                self._build.update(_pieces(asset))
        if is_asset(step) and isinstance(step.action, Http):
            self._build.update(_pieces(step.action.target.partition("?")[0]))
            return
        target = getattr(step.action, "target", "")
        for offer in offers(answer, target):
            self._take(Given(offer, answer.done_ns - self.start_ns, at, None, links))

    def _hear(self, packet: Heard) -> None:
        asked = self._emits.get(packet.answers) if packet.answers is not None else None
        name = (packet.socket, packet.type, packet.namespace, packet.event)
        nth = self._pushes[name]
        self._pushes[name] += 1
        for offer in offers_of_packet(packet):
            self._take(Given(offer, packet.stamp_ns - self.start_ns, asked, packet.socket, (), packet.id, nth))

    def _take(self, given: Given) -> None:
        offer = given.offer
        value = canonical(offer.value)
        if self.rules.links:
            self._ruled.append(given)
        if offer.whole and is_url(value):
            self._addresses.setdefault(_address(value), []).append(given)
        if offer.origin.source == "cookie" and offer.whole:
            self._cookies[str(offer.origin.path[0])] = given
        if never_linked(value):
            return
        if offer.entity and offer.whole and not offer.listed and names_id(offer.name):
            self._ids.setdefault(offer.entity, []).append(given)
        known = self._offered.get(value)
        if known is not None:
            known.append(given)
            return
        self._offered[value] = [given]
        if bits(value) >= STRONG and not is_number(value) and not is_placeholder(value):
            token = _TOKEN.search(value)
            if token is not None:
                self._by_token.setdefault(token[0], []).append(value)

    # what goes out

    def _send(self, step: Step) -> None:
        covered: list[tuple[str, int, int, int]] = []
        said: list[str] = []
        for slot in slots(step):
            said.append(slot.value)
            if any(
                slot.place == place and slot.field == field and start <= slot.start and slot.end <= end
                for place, field, start, end in covered
            ):
                continue
            rule = self.rules.at(step, place_of(step, slot)) if self.rules.rules else None
            if rule is not None and rule.kind == "never":
                continue
            if rule is not None and rule.kind == "fresh":
                self._made_up.setdefault(slot.value, []).append((step.index, slot, slot.start, slot.end))
                covered.append((slot.place, slot.field, slot.start, slot.end))
                continue
            if rule is not None:
                found = self._by_rule(step, slot, rule)
            else:
                found = self._whole(step, slot) or self._pieces_of(step, slot) or self._by_name(step, slot)
            for one in found:
                self.links.append(one)
                covered.append((slot.place, slot.field, one.start, one.end))
            if not found:
                self._note_own(step, slot)
        for slot in slots(step):
            self._sent_pairs.setdefault((slot.entity or slot.name, canonical(slot.value)), step.sent_ns)
        self._sent.append((step.sent_ns, "\n".join(said)))

    def _whole(self, step: Step, slot: Slot) -> list[Link]:
        value = canonical(slot.value)
        if slot.kind == "cookie":
            kept = self._cookies.get(slot.name)
            if kept is not None and canonical(kept.offer.value) == value:
                evidence = Evidence("certain", "the cookie of that name")
                return [self._link(step, slot, slot.start, slot.end, kept, (), evidence, by_jar=True)]
        if value in self._build or never_linked(value):
            return []
        followed = self._followed(step, slot)
        if followed is not None:
            return [followed]
        known = self._offered.get(value, [])
        judged = [(given, reason) for given in known if (reason := judge(slot, given.offer)) is not None]
        if not judged or self._had_before(slot, value, known[0].moment_ns):
            return []
        if is_asset(step) and all(given.offer.origin.source == "html" for given, _ in judged):
            return []
        given, evidence = max(judged, key=lambda one: _preference(slot, one[0]))
        others: tuple[Given, ...] = ()
        if bits(value) >= STRONG and not is_number(value):
            others = tuple(one for one, _ in judged if one is not given and not one.offer.listed)
        return [self._link(step, slot, slot.start, slot.end, given, others, evidence)]

    def _followed(self, step: Step, slot: Slot) -> Link | None:
        """A part of an address that had been handed out whole: a redirect, a link, a form's action, a URL in JSON."""
        if slot.place != "target" or is_asset(step) or not isinstance(step.action, Http):
            return None
        known = self._addresses.get(step.action.target)
        evidence = judge_followed(slot) if known else None
        if not known or evidence is None or self._had_before(slot, slot.value, known[0].moment_ns):
            return None
        given = max(
            known, key=lambda one: (one.offer.origin.path == ("location",), not one.offer.listed, one.moment_ns)
        )
        if slot.kind == "segment":
            inner = Part("segment", nth=step.action.target[: slot.start].count("/"))
        else:
            inner = Part("query", slot.name)
        origin = given.offer.origin._replace(parts=(*given.offer.origin.parts, inner))
        taken = given._replace(offer=given.offer._replace(value=slot.value, origin=origin))
        return self._link(step, slot, slot.start, slot.end, taken, (), evidence)

    def _pieces_of(self, step: Step, slot: Slot) -> list[Link]:
        """Strong values that are parts of what was sent, from left to right."""
        whole_only = any(wrap.before or wrap.after for wrap in slot.wrap)
        if whole_only or slot.kind == "number" or len(slot.value) < 6 or is_asset(step):
            return []
        found: list[Link] = []
        end = 0
        for match in (*_TOKEN.finditer(slot.value), *PLACEHOLDER.finditer(slot.value)):
            value, first = self._longest_at(slot.value, match)
            last = first + len(value)
            if not value or first < end:
                continue
            known = self._offered[canonical(value)]
            if canonical(value) in self._build or self._had_before(slot, value, known[0].moment_ns):
                continue
            if names_build(slot.name) or all(names_build(given.offer.name) for given in known):
                continue
            start, stop = slot.span(first, last)
            given = max(known, key=lambda one: _preference(slot, one))
            others = tuple(one for one in known if one is not given and not one.offer.listed)
            reason = f"{describe(value)} within a longer text"
            found.append(self._link(step, slot, start, stop, given, others, Evidence("certain", reason)))
            end = last
        return found

    def _by_name(self, step: Step, slot: Slot) -> list[Link]:
        """A secret whose original nobody can tell: linked where one id alone of its entity had been handed out."""
        if not is_placeholder(slot.value) or not slot.entity or self._had_before(slot, slot.value, step.sent_ns):
            return []
        known = self._ids.get(slot.entity, [])
        if not known or len({given.offer.value for given in known}) > 1:
            return []
        evidence = Evidence("possible", f"the one id of {slot.entity!r} that was handed out before")
        return [self._link(step, slot, slot.start, slot.end, known[-1], (), evidence)]

    def _by_rule(self, step: Step, slot: Slot, rule: Rule) -> list[Link]:
        """What a rule names, the latest of it before the sending, whatever its value was."""
        for given in reversed(self._ruled):
            by = "" if given.step is None else title_of(self.steps[given.step])
            if fnmatchcase(name_of(_lasting(given)), rule.origin) and (rule.by == "*" or fnmatchcase(by, rule.by)):
                return [self._link(step, slot, slot.start, slot.end, given, (), Evidence("certain", "a rule says so"))]
        return []

    def _longest_at(self, text: str, match: re.Match[str]) -> tuple[str, int]:
        """The longest offered value at a token of a text, and where it begins; empty where there is none."""
        if is_placeholder(match[0]):
            return (match[0] if canonical(match[0]) in self._offered else ""), match.start()
        best, begin = "", 0
        for value in self._by_token.get(match[0], ()):
            lead = _TOKEN.search(value)
            assert lead is not None
            first = match.start() - lead.start()
            whole = first >= 0 and text.startswith(value, first) and not text[first + len(value) :][:1].isalnum()
            if whole and len(value) > len(best):
                best, begin = value, first
        return best, begin

    def _link(
        self, step: Step, slot: Slot, start: int, end: int, given: Given, others: tuple[Given, ...],
        evidence: Evidence, *, by_jar: bool = False,
    ) -> Link:  # fmt: skip
        origin = _lasting(given)
        value = canonical(given.offer.value)
        return Link(step.index, slot, start, end, value, given, origin, others, evidence, by_jar)

    def _had_before(self, slot: Slot, value: str, offered_ns: int) -> bool:
        """Whether the client had sent it before anybody handed it out."""
        if is_number(value) or bits(value) < MEDIUM:
            sent_ns = self._sent_pairs.get((slot.entity or slot.name, value))
            return sent_ns is not None and sent_ns < offered_ns
        return any(value in said for sent_ns, said in self._sent if sent_ns < offered_ns)

    # what comes from nowhere

    def _note_own(self, step: Step, slot: Slot) -> None:
        value = slot.value
        if is_uuid(value) and value not in self._build:
            self._own.setdefault(value, []).append((step.index, slot, slot.start, slot.end))
        looks_dynamic = bits(value) >= STRONG and not never_linked(value) and not is_url(value)
        if looks_dynamic and not is_asset(step) and value not in self._build and not names_build(slot.name):
            self.unexplained.append(Unexplained(step.index, slot))

    def _is_fresh(self, places: Sequence[tuple[int, Slot, int, int]]) -> bool:
        """A page makes one up to send it with something new; an id that is only asked for exists elsewhere."""
        first, slot, _, _ = places[0]
        action = self.steps[first].action
        if len(places) < 2 or slot.kind in ("cookie", "segment") or slot.value[14] != "4":
            return False
        if isinstance(action, Http) and action.method in SAFE_METHODS and slot.kind != "header":
            return False
        return names_invented(slot.name)


def canonical(value: str) -> str:
    """A placeholder in whatever form it is written; other values as they are."""
    return value[:-1] + "_" if is_placeholder(value) else value


def _preference(slot: Slot, given: Given) -> tuple[bool, bool, bool, bool, int, bool]:
    """The best of several places that handed out the same value: not the n-th of a list, of the same entity, an answer
    rather than a push, whole rather than a part; then the latest."""
    offer = given.offer
    same = bool(offer.entity) and offer.entity == slot.entity
    named = same or not is_number(slot.value)
    by_script = offer.origin.source != "cookie"
    return not offer.listed, named, given.step is not None, offer.whole, given.moment_ns, by_script


def _lasting(given: Given) -> Origin:
    """A place that will be found in another page too: a link by its shape instead of its number."""
    origin = given.offer.origin
    if origin.source != "html" or origin.path[0] != "link":
        return origin
    number = origin.path[1]
    assert isinstance(number, int)
    shape = shape_of(given.links[number])
    pattern = re.compile(html.shape_pattern(shape))
    before = sum(1 for one in given.links[:number] if pattern.fullmatch(one))
    return origin._replace(path=("link", shape, before))


def shape_of(address: str) -> str:
    """An address with `*` for all that looks like an id.

    >>> shape_of("/admin/polls/question/5/change/?next=list")
    '/admin/polls/question/*/change/?next=list'
    """
    return re.sub(r"(?<=[/=])[^/?&#=]+", lambda match: "*" if _varies(match[0]) else match[0], address)


def _varies(piece: str) -> bool:
    return piece.isdigit() or (not never_linked(piece) and bits(piece) >= MEDIUM)


def _address(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _pieces(address: str) -> Iterator[str]:
    """Whole segments, and what stands between dots and dashes in them."""
    for segment in address.partition("?")[0].split("/"):
        if len(segment) >= 6:
            yield segment
            yield from (piece for piece in re.split(r"[.\-_~]", segment) if len(piece) >= 6)
