"""The films and series that friends can ask for, with their posters; all invented, and the same in every run."""

from __future__ import annotations

import html
from typing import NamedTuple

FIRST_ID = 36877
_FIRST = (
    *("Star", "Golden", "Hidden", "Paper", "Iron", "Crimson"),
    *("Hollow", "Silent", "Winter", "Velvet", "Electric", "Lost"),
)
_SECOND = ("Harbour", "Garden", "Orchestra", "Signal", "Kingdom", "Letters", "Voyage", "Archive", "Lanterns", "Tide")
_GENRES = ("Drama", "Science fiction", "Mystery", "Adventure", "Comedy", "Documentary")
_PLOTS = (
    "A lighthouse keeper finds a radio that only receives tomorrow's weather, and a town that would rather not know.",
    "Three siblings inherit a travelling orchestra without musicians and one season in which to fill the hall.",
    "An archivist catalogues letters that were never sent, until one of them turns out to be addressed to her.",
    "The last tram of the night takes a turning that is not on the line, with seven passengers and no driver.",
    "On a station far from everything the gardener is the only one who still answers when somebody knocks.",
)
_PRAISE = (
    "What begins as a favour for a neighbour becomes the longest winter on the coast.",
    "Every instrument remembers somebody, and not all of them want to be played again.",
    "Following it takes her across a country whose maps disagree about where it ends.",
)


class Title(NamedTuple):
    """One film or series."""

    tmdb_id: int
    media_type: str
    """`movie` or `tv`"""
    title: str
    year: int
    genre: str
    rating: float
    overview: str

    @property
    def poster_path(self) -> str:
        """Where the application serves its picture."""
        return f"/posters/{self.tmdb_id}"


def build_catalogue() -> tuple[Title, ...]:
    """All titles, in the order of their ids."""
    return tuple(
        _title(number, f"{first} {second}")
        for number, (first, second) in enumerate((first, second) for first in _FIRST for second in _SECOND)
    )


def _title(number: int, name: str) -> Title:
    return Title(
        tmdb_id=FIRST_ID + number,
        media_type="movie" if number % 2 == 0 else "tv",
        title=name,
        year=1984 + (number * 7) % 41,
        genre=_GENRES[(number * 5) % len(_GENRES)],
        rating=5.1 + (number * 13 % 44) / 10,
        overview=f"{_PLOTS[number * 3 % len(_PLOTS)]} {_PRAISE[number * 2 % len(_PRAISE)]}",
    )


def poster_svg(title: Title) -> str:
    """A poster, 200 by 300."""
    hue = title.tmdb_id * 47 % 360
    first, _, second = html.escape(title.title).partition(" ")
    x, y = 40 + title.tmdb_id * 31 % 120, 70 + title.tmdb_id * 17 % 80
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 300" width="200" height="300">
<defs><linearGradient id="sky" x1="0" y1="0" x2=".4" y2="1">
<stop offset="0" stop-color="hsl({hue} 45% 22%)"/><stop offset="1" stop-color="hsl({(hue + 50) % 360} 60% 48%)"/>
</linearGradient></defs>
<rect width="200" height="300" fill="url(#sky)"/>
<circle cx="{x}" cy="{y}" r="34" fill="hsl({(hue + 30) % 360} 85% 74%)" opacity=".85"/>
<path d="M0 {y + 96} Q60 {y + 50} 112 {y + 92} T200 {y + 74} V300 H0Z" fill="hsl({hue} 50% 14%)" opacity=".55"/>
<path d="M0 {y + 132} Q80 {y + 84} 140 {y + 128} T200 {y + 116} V300 H0Z" fill="hsl({hue} 55% 9%)" opacity=".8"/>
<g fill="#fff" font-family="Georgia, 'DejaVu Serif', serif" text-anchor="middle">
<text x="100" y="248" font-size="25" font-weight="700">{first}</text>
<text x="100" y="276" font-size="20" letter-spacing="2" opacity=".9">{second}</text></g>
</svg>
"""
