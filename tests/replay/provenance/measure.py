"""Holds what the linker found against what is true, link by link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from replay.steps import Emit, Http, Join, Linkage, SessionPlan, Step
from tests.replay.provenance.corpus import Corpus, Truth


class Wrong(NamedTuple):
    """A link that is not there."""

    row: int
    place: str
    origin: str
    value: str


@dataclass
class Score:
    """What was found of what is true."""

    true: int = 0
    found: int = 0
    linked: int = 0
    """All that the linker linked."""
    missed: list[Truth] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    places: Counter[str] = field(default_factory=Counter)
    """True links by place, found."""

    @property
    def recall(self) -> float:
        return self.found / self.true

    @property
    def false_share(self) -> float:
        return len(self.wrong) / max(1, self.linked)


def measure(corpus: Corpus, sessions: Iterable[SessionPlan], score: Score, *, values: bool = True) -> None:
    """Add one recording; `values` False where secrets are placeholders, so that links are told by their ends alone."""
    truths: dict[tuple[int, str], list[Truth]] = {}
    for truth in corpus.truths:
        truths.setdefault((truth.row, truth.place), []).append(truth)
    linked: dict[tuple[int, str], list[Linkage]] = {}
    for session in sessions:
        rows = [_row(step) for step in session.steps]
        for link in session.links:
            source = link.event if link.source is None else rows[link.source]
            told = link._replace(step=rows[link.step], event=source)
            linked.setdefault((told.step, _place(session.steps[link.step], link.place)), []).append(told)
    for where, wanted in truths.items():
        got = linked.get(where, ())
        for truth in wanted:
            score.true += 1
            if any(_fits(truth, link, corpus.acks, values=values) for link in got):
                score.found += 1
                score.places[truth.place.partition(" ")[0]] += 1
            else:
                score.missed.append(truth)
    for where, links in linked.items():
        for link in links:
            score.linked += 1
            if not any(_fits(truth, link, corpus.acks, values=values) for truth in truths.get(where, ())):
                score.wrong.append(Wrong(*where, link.origin, link.value))


def _fits(truth: Truth, link: Linkage, acks: dict[int, int], *, values: bool) -> bool:
    sources = truth.sources | {acks[one] for one in truth.sources if one in acks}
    return (link.value == truth.value or not values) and link.event in sources


def _row(step: Step) -> int:
    action = step.action
    source = action.source if isinstance(action, Http | Join | Emit) else None
    return -1 if source is None else source


def _place(step: Step, place: str) -> str:
    """The linker's words for a place in the corpus's."""
    kind = place.partition(" ")[0]
    if isinstance(step.action, Join | Emit):
        return "payload"
    return place if kind in ("header", "cookie") else "target" if kind in ("path", "query") else "body"
