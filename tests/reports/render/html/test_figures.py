from __future__ import annotations

import json
import re
from typing import Any

import pytest

from reports.render.html.figures import Figure, draw, labelled, layout, log_ms, margin_for, ms, of_traces, seconds


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([2.0, 40.0], ["1 ms", "2 ms", "5 ms", "10 ms", "20 ms", "50 ms"]),
        ([0.002, 5_000.0], ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s"]),
    ],
)
def test_ticks_read_as_people_say_them_and_thin_out(values: list[float], wanted: list[str]) -> None:
    made = log_ms("took", values)
    texts = made["ticktext"]
    assert [text for text in texts if text in wanted] == wanted
    assert ("2 ms" in texts) is ("2 ms" in wanted)


def test_a_tick_stands_at_what_it_says() -> None:
    made = log_ms("took", [1.0, 30.0])
    at = dict(zip(made["ticktext"], made["tickvals"], strict=True))
    assert at["1 µs"] == pytest.approx(0.001)
    assert at["500 µs"] == pytest.approx(0.5)
    assert at["20 ms"] == pytest.approx(20)
    assert at["5 s"] == pytest.approx(5_000)
    assert at["200 s"] == pytest.approx(200_000)


def test_an_axis_of_nothing_has_a_range_all_the_same() -> None:
    low, high = log_ms("took", [None, 0.0])["range"]
    assert low < high


def test_numbers_are_exact() -> None:
    assert ms(1_234_567) == 1.234567
    assert ms(None) is None
    assert seconds(1_234_567_891) == 1.234568


def test_rows_go_down_with_a_label_each() -> None:
    made = labelled(["a", "b"], showgrid=False)
    assert (made["tickvals"], made["ticktext"], made["range"]) == ([0, 1], ["a", "b"], [1.6, -0.6])
    assert made["automargin"] is False


def test_the_margin_counts_characters_as_they_are_seen() -> None:
    assert margin_for(["&lt;b&gt;"]) == margin_for(["<b>"])
    assert margin_for(["x" * 500])["l"] <= 330
    assert margin_for([])["l"] > 0


def test_heights_are_of_one_axis() -> None:
    traces: list[dict[str, Any]] = [{"y": [1.0, None]}, {"y": [9.0], "yaxis": "y2"}]
    assert list(of_traces(traces)) == [1.0, None]
    assert list(of_traces(traces, "y2")) == [9.0]


def test_a_figure_s_data_stand_beside_its_place() -> None:
    made = draw(Figure(id="f", label="<b>", traces=[{"y": [1]}], layout=layout(), height=99, notes=("<i>",)))
    assert 'id="f"' in made
    assert "&lt;b&gt;" in made
    assert "&lt;i&gt;" in made
    data = re.search(r'<script type="application/json" id="f-data">(.*?)</script>', made)
    assert data is not None
    assert json.loads(data[1])["layout"]["height"] == 99
