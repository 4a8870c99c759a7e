from __future__ import annotations

from reports.render.html.tables import Cell, Column, command, count, expandable, facts, table, took

COLUMNS = (Column("route", number=False), Column("n"), Column("failed"))


def test_a_cell_shows_one_thing_and_sorts_by_another() -> None:
    made = table("t", COLUMNS, [[Cell("/a"), took(1_500_000), count(2)]])
    assert '<td class="number" data-value="1500000">1.50 ms</td>' in made


def test_a_column_of_numbers_without_any_is_left_out() -> None:
    made = table("t", COLUMNS, [[Cell("/a"), count(3), count(0)], [Cell("/b"), count(4), count(0)]])
    assert "failed" not in made
    assert ">n</button>" in made


def test_a_column_of_texts_stays_though_it_is_empty() -> None:
    assert "<td></td>" in table("t", COLUMNS, [[Cell(""), count(3), count(1)]])


def test_a_count_of_nothing_is_empty_and_sorts_as_0() -> None:
    assert count(0) == ("", 0, None)
    assert count(1234) == ("1,234", 1234, None)


def test_a_duration_of_nothing_is_empty() -> None:
    assert took(None) == ("", None, None)
    assert took(0) == ("0 ms", 0, None)


def test_search_names_its_table() -> None:
    made = table("t", COLUMNS, [[Cell("/a"), count(1), count(1)]], search="Search routes")
    assert 'data-for="t"' in made
    assert 'placeholder="Search routes"' in made


def test_what_is_not_sorted_has_no_buttons() -> None:
    assert "<button" not in table("t", COLUMNS, [[Cell("/a"), count(1), count(1)]], sort=False)


def test_captured_text_is_escaped_everywhere() -> None:
    made = (
        table("t", (Column("<i>", number=False),), [[Cell("<b>", "<u>")]])
        + facts([("<i>", "<b>")])
        + command("<b>")
        + expandable("<i>", "<b>")
    )
    assert not any(f"<{name}>" in made for name in "bui")
