"""Tables that never get wider than the terminal."""

from __future__ import annotations

import click

from nestperf.printable import columns_of
from reports.render.table import Row, facts, render_table

LONG = "/api/v1/media/requests/{id}/comments/{id}"


def rows(label: str = LONG) -> list[Row]:
    return [
        Row(label=label, lead="DELETE", cells=("1,234", "", "41.2 ms")),
        Row(label="/x", lead="GET", cells=("5", "", "")),
    ]


def test_render_table_with_room_shows_lead_and_label_apart() -> None:
    assert render_table(("n", "failed", "p50"), rows(), 80) == [
        "                                                         n      p50",
        "  ------  -----------------------------------------  -----  -------",
        "  DELETE  /api/v1/media/requests/{id}/comments/{id}  1,234  41.2 ms",
        "  GET     /x                                             5",
    ]


def test_render_table_with_less_room_joins_lead_and_label_and_shortens() -> None:
    lines = render_table(("n", "failed", "p50"), rows(), 50)
    assert lines[2] == "  DELETE /api…/{id}/comments/{id}  1,234  41.2 ms"
    assert max(map(columns_of, lines)) <= 50


def test_render_table_with_hardly_any_room_puts_labels_above_the_numbers() -> None:
    lines = render_table(("n", "failed", "p50"), rows(), 34)
    assert lines[2:4] == ["  DELETE /api…/{id}/comments/{id}", "    1,234  41.2 ms"]
    assert max(map(columns_of, lines)) <= 34


def test_render_table_in_every_width_stays_within_it() -> None:
    for width in range(30, 140):
        assert max(map(columns_of, render_table(("n", "failed", "p50"), rows("語" * 40), width))) <= width


def test_render_table_without_room_for_the_numbers_leaves_out_what_gives_way() -> None:
    numbers = [Row(label="/x", cells=("1,234", "99,999", "41.2 ms"))]
    lines = render_table(("n", "/min", "p50"), numbers, 18, give_way=("/min", "n"))
    assert lines[0].split() == ["n", "p50"]
    assert " ".join(lines[3:]).split("room:")[1].strip() == "/min."
    assert render_table(("n", "/min", "p50"), numbers, 40, give_way=("/min",))[0].split() == ["n", "/min", "p50"]


def test_render_table_keeps_columns_that_hold_something() -> None:
    lines = render_table(("n", "failed"), [Row(label="a", cells=("1", "")), Row(label="b", cells=("2", "7"))], 80)
    assert lines[0].split() == ["n", "failed"]


def test_render_table_in_groups_prints_each_heading_once_and_lines_below() -> None:
    lines = render_table(("n",), [Row(label="a", cells=("1",), group="calls", below="    more"),
                                  Row(label="b", cells=("2",), group="calls"),
                                  Row(label="c", cells=("3",), group="pages")], 80)  # fmt: skip
    assert [line.strip() for line in lines[2:]] == ["calls", "a  1", "more", "b  2", "pages", "c  3"]


def test_render_table_with_colour_is_laid_out_as_without() -> None:
    plain = [Row(label="a", lead="pass", cells=("1",)), Row(label="b", lead="inconclusive", cells=("2",))]
    painted = [row._replace(paint=lambda text: click.style(text, fg="red")) for row in plain]
    lines = render_table(("n",), painted, 80)
    assert "\x1b[31m" in lines[2]
    assert [click.unstyle(line) for line in lines] == render_table(("n",), plain, 80)


def test_facts_in_two_columns_are_cut_to_the_width() -> None:
    assert facts([("a", "1"), ("long", "2" * 50)], 20) == ["  a     1", "  long  2222…2222222"]
    assert facts([], 80) == []


def test_fact_that_is_a_sentence_goes_on_below() -> None:
    lines = facts([("because", "answered 404 where the recording has 200"), ("at", "1 s")], 32)
    assert lines == ["  because  answered 404 where", "           the recording has 200", "  at       1 s"]
