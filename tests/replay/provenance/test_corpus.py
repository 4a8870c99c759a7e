"""What the linker finds in two hundred sessions whose every link is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.replay.conftest import plan_of
from tests.replay.provenance.applications import APPLICATIONS, build_corpus
from tests.replay.provenance.corpus import Corpus
from tests.replay.provenance.measure import Score, measure

SESSIONS = 200


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> list[Corpus]:
    return build_corpus(tmp_path_factory.mktemp("corpus"), SESSIONS, seed=1)


def test_true_links_are_found_and_decoys_are_not_linked(corpora: list[Corpus]) -> None:
    score = Score()
    for corpus in corpora:
        measure(corpus, plan_of(corpus.path).sessions, score)
    assert sum(sum(corpus.kinds.values()) for corpus in corpora) == SESSIONS
    assert score.true > 5000
    assert sum(corpus.decoys for corpus in corpora) > 1000
    assert score.recall >= 0.99, score.missed[:10]
    assert score.false_share <= 0.005, score.wrong[:10]


def test_links_between_placeholders_serve_where_the_secrets_are_missing(corpora: list[Corpus]) -> None:
    score = Score()
    for corpus in corpora:
        measure(corpus, plan_of(corpus.path, secrets=False).sessions, score, values=False)
    assert score.recall >= 0.99, score.missed[:10]
    assert score.false_share <= 0.005, score.wrong[:10]


def test_corpus_has_every_kind_and_is_the_same_for_the_same_seed(corpora: list[Corpus], tmp_path: Path) -> None:
    assert {kind for corpus in corpora for kind in corpus.kinds} == {kind for kind, _ in APPLICATIONS}
    again = build_corpus(tmp_path, 10, seed=1)
    assert again[0].truths == corpora[0].truths
    assert {truth.place.partition(" ")[0] for truth in again[0].truths} >= {"target", "header", "cookie", "body"}
