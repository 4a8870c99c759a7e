"""The grammar as it is written down: every sentence it makes is understood, and both copies of it are one."""

from __future__ import annotations

import random
import re
import tomllib
from pathlib import Path

import pytest

from nestperf.capture.model import Kind
from reports import grammar
from reports.grammar import parse_expression
from reports.thresholds import CONDITIONS, PURPOSES, SELECTING, parse_thresholds

DOCS = (Path(__file__).parents[2] / "docs" / "thresholds.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", DOCS, re.DOTALL)
BNF = next(text for language, text in BLOCKS if language == "bnf")
EXAMPLES = next(text for language, text in BLOCKS if not language and "p95(latency) < 1s" in text).splitlines()

TERMINALS = {
    "NUMBER": ("1", "20", "0.5", "99.9"),
    "PERCENTILE": ("p50", "p95", "p99.9"),
    "WINDOW": ("1m", "1.5 s", "20ms"),
    "NAME": ("service:status", "request:{id}:status", "request:*"),
    "STRING": ('"two words"', '"(odd)"', '"\\u00e9"'),
}


def rules() -> dict[str, str]:
    """Each rule's name and its right side."""
    text = re.sub(r";[^\n]*", "", BNF)
    parts = re.split(r"^(\w+) *=", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def sentence(side: str, known: dict[str, str], chance: random.Random) -> str:
    """One random sentence of a rule's right side."""
    tokens = re.findall(r'"[^"]*"|\w+|[][()|]', side)
    text, rest = _alternatives(tokens, known, chance)
    assert not rest
    return text


def _alternatives(tokens: list[str], known: dict[str, str], chance: random.Random) -> tuple[str, list[str]]:
    choices = []
    while True:
        words = []
        while tokens and tokens[0] not in ("|", ")", "]"):
            word, tokens = _one(tokens, known, chance)
            words.append(word)
        choices.append(" ".join(words))
        if not tokens or tokens[0] != "|":
            return chance.choice(choices), tokens
        tokens = tokens[1:]


def _one(tokens: list[str], known: dict[str, str], chance: random.Random) -> tuple[str, list[str]]:
    first, rest = tokens[0], tokens[1:]
    if first in ("(", "["):
        text, rest = _alternatives(rest, known, chance)
        return (text if first == "(" or chance.random() < 0.5 else ""), rest[1:]
    if first in TERMINALS:
        return chance.choice(TERMINALS[first]), rest
    if first.startswith('"'):
        return first.strip('"'), rest
    return sentence(known[first], known, chance), rest


@pytest.mark.parametrize("seed", range(300))
def test_every_sentence_of_the_documented_grammar_is_understood(seed: int) -> None:
    known = rules()
    parse_expression(sentence(known["expression"], known, random.Random(seed)))


def test_the_documented_grammar_is_the_one_beside_the_parser() -> None:
    assert grammar.__doc__ is not None
    beside = grammar.__doc__[grammar.__doc__.index("    expression =") :]
    assert [line[4:].rstrip() for line in beside.rstrip().splitlines()] == BNF.rstrip().splitlines()


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_documentation_is_understood(example: str) -> None:
    assert parse_expression(example).text == example


def test_the_documented_file_is_read(tmp_path: Path) -> None:
    text = next(text for language, text in BLOCKS if language == "toml")
    thresholds = parse_thresholds(text, "docs")
    assert len(thresholds.thresholds) == len(tomllib.loads(text)["threshold"]) == 2


def test_the_documented_refusal_is_what_is_printed() -> None:
    text = next(text for language, text in BLOCKS if text.startswith("Error: "))
    threshold = "[[threshold]]\nexpression = 'p95(latency) < 1s'\n"
    wrong = threshold + "[[threshold]]\nname = 'API'\nexpression = 'p95(latency) < fast'\n"
    with pytest.raises(grammar.ExpressionRefused) as refusal:
        parse_thresholds(wrong, "nestperf.toml")
    assert text == f"Error: {refusal.value}\n"


def test_every_key_kind_run_and_condition_is_documented() -> None:
    rows = "".join(line for line in DOCS.splitlines() if line.startswith("|"))
    for word in (*SELECTING, *PURPOSES, *CONDITIONS, *Kind, "applies", "required", "required_if", "users", "note"):
        assert re.search(rf'[`"]{word}[`"]', rows), word
