"""Forecasting: how many cases it takes, from a report or from a learning curve, written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from delineate.errors import DataError
from delineate.evaluation import LearningCurve, Needs, learning_curve, needs, read_curve, read_report
from delineate.evaluation.forecast.plot import learning_plot
from delineate.io.disk import write_text
from delineate.page import Items, Section, render_page

READING = (
    "Dots: measured. The line is dashed beyond the largest training; shaded: the 95 % interval of the curve, "
    "in which a single training may well not lie. Nothing is drawn beyond twice the largest training."
)


def forecast(
    source: Path, targets: Sequence[float], *, metric: str = "dice", out: Path | None = None
) -> LearningCurve | tuple[Needs, ...]:
    """How many cases the targets take.

    source  a CSV with columns size and score: how many cases to train with;
            anything that `read_report` reads: how many more cases to measure until a target is proven
    out     a folder for forecast.json and forecast.md, and of a learning curve forecast.html

    Raises:
        DataError: there is no target, or too little to tell.
    """
    if not targets:
        raise DataError("say what is to be reached, for example  --target 0.9")
    if source.suffix.lower() in {".csv", ".tsv"}:
        curve = learning_curve(*read_curve(source), targets=targets)
        if out is not None:
            write_text(out / "forecast.json", curve.to_json())
            write_text(out / "forecast.md", f"# Learning curve of {source.stem}\n\n{curve.to_markdown()}")
            write_text(out / "forecast.html", _page(curve, source.stem))
        return curve
    report = read_report(source)
    found = tuple(needs(report, target, metric) for target in targets)
    if out is not None:
        write_text(
            out / "forecast.json", "[\n" + ",\n".join(each.to_json().strip() for each in found) + "\n]\n"
        )
        tables = "\n".join(each.to_markdown() for each in found)
        write_text(out / "forecast.md", f"# {report.title}: cases to prove a threshold\n\n{tables}")
    return found


def _page(curve: LearningCurve, name: str) -> str:
    said = tuple(reach.sentence for reach in curve.reaches)
    return render_page(
        f"Learning curve of {name}",
        " ".join(said),
        (
            Section("More cases", (learning_plot(curve), READING)),
            Section("What was fitted", (Items(tuple(fit.formula for fit in curve.fits)),)),
        ),
        warnings=curve.notes,
        footer="Every number: forecast.json beside this page.",
    )
