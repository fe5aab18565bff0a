"""Page: one HTML file that opens anywhere, without a server, a script or a network.

A page is a title, a few large figures, warnings, and sections of parts: text, tables, drawings (SVG) and
pictures. Whoever has something to show builds sections; how they look is decided in `page.html.j2` alone.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from markupsafe import Markup

from delineate import __version__

if TYPE_CHECKING:
    import jinja2

Color = tuple[int, int, int]
Cell = str | tuple[str, str]  # a value; with a second text, that stands small below it


@dataclass(frozen=True)
class Figure:
    """One number that is to be seen first."""

    title: str
    value: str
    below: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under headings; the first cell of a row names it. Columns in `words` hold running text."""

    heads: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    words: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A picture with a name and a line about it; `tag` is a word that sorts it (worst, best)."""

    uri: str
    name: str
    text: str = ""
    tag: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side, and what their colours mean."""

    pictures: tuple[Picture, ...]
    legend: tuple[tuple[str, Color], ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wide:
    """One picture across the page."""

    uri: str
    name: str


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    texts: tuple[str, ...]


Part = str | Markup | Table | Gallery | Wide | Items
"""A str is a paragraph of text and is escaped; Markup is a drawing that was made safe by who made it."""


@dataclass(frozen=True)
class Section:
    """Parts under a heading."""

    title: str
    parts: tuple[Part, ...]


def render_page(
    title: str,
    lead: str,
    sections: Sequence[Section],
    *,
    figures: Sequence[Figure] = (),
    warnings: Sequence[str] = (),
    footer: str = "",
) -> str:
    """The HTML of a page. All text is escaped; only `Markup` is taken as it is."""
    return _template().render(
        title=title,
        lead=lead,
        sections=[(section.title, [_named(part) for part in section.parts]) for section in sections],
        figures=figures,
        warnings=warnings,
        footer=footer,
        version=__version__,
    )


def stacked(text: str) -> Cell:
    """A value with its interval, "0.9 [0.8, 1.0]", as a cell with the interval below."""
    value, bracket, rest = text.partition(" [")
    return (value, rest.removesuffix("]").replace(", ", " to ")) if bracket and rest.count("]") == 1 else text


def picture_uri(png: bytes) -> str:
    """The bytes of a PNG as an address that stands in the page itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _named(part: Part) -> tuple[str, Part]:
    """A part with the name of the block of the template that draws it."""
    if isinstance(part, Markup):
        return "drawing", part
    return ("text", part) if isinstance(part, str) else (type(part).__name__.lower(), part)


@cache
def _template() -> jinja2.Template:
    import jinja2

    text = resources.files("delineate").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(text)
