"""Comparing: models that were evaluated on the same cases, held against each other and written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from delineate.errors import DataError
from delineate.evaluation import Comparison, Terms, compare, read_report, write_comparison
from delineate.evaluation.comparison.showing import comparison_page
from delineate.io.disk import write_text

PLACES = ("evaluation", "report.json")  # ends of paths that name no model


def compare_reports(
    paths: Sequence[Path],
    terms: Terms | None = None,
    *,
    names: Sequence[str] | None = None,
    out: Path | None = None,
) -> Comparison:
    """The comparison of two or more models.

    paths  what `read_report` reads: folders that were evaluated, runs, or report.json files
    names  of the models; None: what their paths are called, as far as it tells them apart
    out    a folder for comparison.json, comparison.csv, comparison.md and comparison.html

    Raises:
        DataError: there are fewer than two, one of them twice, or what `compare` refuses.
    """
    if len(paths) < 2:
        raise DataError(f"a comparison takes two reports or more, got {len(paths)}")
    places = [path.resolve() for path in paths]
    again = next((path for n, path in enumerate(places) if path in places[:n]), None)
    if again is not None:
        raise DataError(f"{again}: is named twice; a model is not compared with itself.")
    reports = [read_report(path) for path in paths]
    comparison = compare(*reports, names=names or names_of(places), terms=terms)
    if out is not None:
        write_comparison(comparison, out)
        write_text(out / "comparison.html", comparison_page(comparison))
    return comparison


def names_of(paths: Sequence[Path]) -> tuple[str, ...]:
    """The shortest ends of paths that are all different; `evaluation` and `report.json` name nothing."""
    parts = [_telling(path) for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = tuple("/".join(each[-count:]) for each in parts)
        if len(set(names)) == len(names):
            return names
    raise DataError(f"these are the same model: {', '.join(str(path) for path in paths)}")


def _telling(path: Path) -> tuple[str, ...]:
    parts = list(path.parts)
    while len(parts) > 1 and parts[-1] in PLACES:
        parts.pop()
    return tuple(parts)
