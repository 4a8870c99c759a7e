from __future__ import annotations

from xml.etree import ElementTree

from nestperf.demo.catalogue import build_catalogue, poster_svg


def test_catalogue_is_the_same_each_time_with_unique_ids_and_names() -> None:
    titles = build_catalogue()
    assert titles == build_catalogue()
    assert len({title.tmdb_id for title in titles}) == len({title.title for title in titles}) == len(titles) == 120
    assert {title.media_type for title in titles} == {"movie", "tv"}


def test_every_poster_is_well_formed_and_differs() -> None:
    posters = [poster_svg(title) for title in build_catalogue()]
    for poster in posters:
        ElementTree.fromstring(poster)
    assert len(set(posters)) == len(posters)
